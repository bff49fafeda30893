"""The Grafana dashboard of the chart: a row for each question of a person on call."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from string import ascii_uppercase
from typing import TYPE_CHECKING, Literal

from grafana_foundation_sdk.builders.common import ReduceDataOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models.dashboard import Panel as Made

__all__ = ["dashboard"]

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_PREFIX = "twitch_operator_"
_HEIGHT = 8
_STAT_HEIGHT = 4
_IN = 'namespace=~"$namespace"'

Kind = Literal["stat", "table", "timeseries"]
_BUILDERS: Mapping[Kind, type[Stat | Table | TimeSeries]] = {
    "stat": Stat,
    "table": Table,
    "timeseries": TimeSeries,
}


@dataclass(frozen=True)
class Panel:
    """One panel.

    Args:
        title: What it shows.
        queries: Legend → PromQL, in which a metric `@name` is `twitch_operator_name`.
        kind: `stat`: the present as a number; `table`: the present of each resource.
        unit: Of Grafana: `s`, `reqps`, `short` and the like.
        width: Of 24.
        text: What to make of it.
    """

    title: str
    queries: Mapping[str, str]
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    text: str = ""

    def build(self, number: int) -> Builder[Made]:
        """Return what the SDK makes of it; the number is its id in the dashboard."""
        made = _BUILDERS[self.kind]().title(self.title).description(self.text).unit(self.unit)
        made.id(number).datasource(_SOURCE).span(self.width)
        made.height(_STAT_HEIGHT if self.kind == "stat" else _HEIGHT)
        if isinstance(made, Stat):
            made.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        for name, (legend, expression) in zip(ascii_uppercase, self.queries.items(), strict=False):
            query = Dataquery().ref_id(name).legend_format(legend)
            query.expr(expression.replace("@", _PREFIX))
            if self.kind == "timeseries":
                query.range()
            else:
                query.instant()
            if self.kind == "table":
                query.format(PromQueryFormat.TABLE)
            made.with_target(query)
        return made


_ROWS: Mapping[str, tuple[Panel, ...]] = {
    "Is it working?": (
        Panel(
            "Operators",
            {"running": "count(@build_info)", "leading": "sum(@leader)"},
            "stat",
            width=4,
        ),
        Panel(
            "Resources that are Ready",
            {"": f"avg(@resource_ready{{{_IN}}})"},
            "stat",
            "percentunit",
            4,
        ),
        Panel("Who need a human", {"": f"sum(@resource_stalled{{{_IN}}})"}, "stat", width=4),
        Panel(
            "Rules whose feed is connected",
            {"": f"avg(@feed_connected{{{_IN}}})"},
            "stat",
            "percentunit",
            4,
        ),
        Panel(
            "Oldest poll of a feed",
            {"": f"time() - min(@feed_last_poll_timestamp_seconds{{{_IN}}})"},
            "stat",
            "s",
            4,
            "Over 150 s, the feed is stale and cues are missed.",
        ),
        Panel(
            "Cue to call, 99 of 100",
            {
                "": "histogram_quantile(0.99, sum by (le)"
                " (increase(@cue_to_call_seconds_bucket[1h])))"
            },
            "stat",
            "s",
            4,
            "In the last hour.",
        ),
    ),
    "What is on air?": (
        Panel(
            "Channels",
            {
                "live": f"sum(@channel_live{{{_IN}}})",
                "in a commercial": (
                    f"sum(@channel_commercial_end_timestamp_seconds{{{_IN}}} > bool time())"
                ),
            },
            text="In a commercial that this operator started.",
        ),
        Panel(
            "Breaks by result",
            {"{{result}}": f"sum by (result) (increase(@channel_breaks_total{{{_IN}}}[5m]))"},
            text="confirmed: Twitch's ad schedule shows the commercial; skipped: by a decision.",
        ),
        Panel(
            "Events of rules",
            {"{{result}}": f"sum by (result) (rate(@rule_events_total{{{_IN}}}[5m]))"},
            unit="cps",
        ),
    ),
    "What failed, and why?": (
        Panel(
            "Decisions by verdict",
            {"{{verdict}}": "sum by (verdict) (increase(@decisions_total[5m]))"},
        ),
        Panel(
            "Calls to Twitch by status",
            {"{{path}} {{code}}": "sum by (path, code) (rate(@twitch_requests_total[5m])) > 0"},
            unit="reqps",
            text="unsent: Twitch was not reached; unanswered: it may have acted.",
        ),
        Panel(
            "Resources that are not Ready",
            {"": f"@resource_ready{{{_IN}}} == 0"},
            "table",
            text="The reason has a section in docs/troubleshooting.md.",
        ),
        Panel(
            "Duration of calls to Twitch, 99 of 100",
            {
                "{{path}}": "histogram_quantile(0.99, sum by (path, le)"
                " (rate(@twitch_request_duration_seconds_bucket[5m])))"
            },
            unit="s",
        ),
        Panel(
            "Feed lag",
            {
                f"{of} of 100": f"histogram_quantile(0.{of}, sum by (le)"
                " (rate(@feed_lag_seconds_bucket[5m])))"
                for of in (50, 90, 99)
            },
            unit="s",
            text="From the publication of a message to its receipt.",
        ),
        Panel(
            "Messages of feeds that were lost or are no events",
            {
                "gap: {{result}}": "sum by (result) (increase(@feed_gaps_total[5m]))",
                "no event": "sum(increase(@feed_malformed_messages_total[5m]))",
            },
        ),
    ),
    "Whose grant ends?": (
        Panel(
            "Tokens that expire first",
            {
                "{{namespace}}/{{channel}}": "bottomk(10,"
                f" @credential_expiration_timestamp_seconds{{{_IN}}} - time())"
            },
            unit="s",
            text="The operator refreshes an hour or more before; far below 0: rejected.",
        ),
        Panel(
            "Refreshes and validations of tokens",
            {
                "refresh {{result}}": "sum by (result) (increase(@token_refreshes_total[5m]))",
                "validation {{result}}": "sum by (result) (increase(@token_validations_total[5m]))",
            },
        ),
        Panel(
            "Next rotation of extension secrets",
            {
                "{{namespace}}/{{extension}}": "bottomk(10,"
                f" @extension_next_rotation_timestamp_seconds{{{_IN}}} - time())"
            },
            unit="s",
            text="Below 0: overdue.",
        ),
    ),
    "Is the process healthy?": (
        Panel("Loop lag", {"{{instance}}": "@loop_lag_seconds"}, unit="s"),
        Panel("Queues", {"{{queue}}": "sum by (queue) (@queue_length)"}),
        Panel(
            "Clock, ahead of Twitch's",
            {"{{instance}}": "@clock_skew_seconds"},
            unit="s",
            text="To a second.",
        ),
        Panel(
            "API server",
            {
                "{{method}} {{kind}} {{code}}": "sum by (method, kind, code)"
                " (rate(@kubernetes_requests_total[5m])) > 0"
            },
            unit="reqps",
        ),
        Panel(
            "Writes",
            {
                "status {{result}}": "sum by (result) (increase(@status_writes_total[5m]))",
                "Event {{result}}": "sum by (result) (increase(@kubernetes_events_total[5m]))",
                "as-run line {{result}}": "sum by (result) (increase(@as_run_lines_total[5m]))",
            },
        ),
        Panel("Restarts of the watch", {"{{instance}}": "increase(@watch_restarts_total[5m])"}),
    ),
    "Gateway": (
        Panel(
            "Requests by status",
            {"{{status}}": "sum by (status) (rate(@gateway_requests_total[5m]))"},
            unit="reqps",
        ),
        Panel(
            "Bearer tokens",
            {"{{result}}": "sum by (result) (rate(@gateway_authorizations_total[5m]))"},
            unit="cps",
        ),
        Panel(
            "Calls to Twitch, 99 of 100",
            {
                "{{call}}": "histogram_quantile(0.99, sum by (call, le)"
                " (rate(@gateway_upstream_seconds_bucket[5m])))"
            },
            unit="s",
        ),
    ),
}


def dashboard() -> str:
    """Return the dashboard as JSON."""
    made = (
        Dashboard("twitch-operator")
        .uid("twitch-operator")
        .tags(["twitch-operator"])
        .refresh("30s")
        .time("now-3h", "now")
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            QueryVariable("namespace")
            .label("Namespace")
            .datasource(_SOURCE)
            .query(f"label_values({_PREFIX}resource_ready, namespace)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    numbers = count(1)
    for title, panels in _ROWS.items():
        made.with_row(Row(title).id(next(numbers)))
        for panel in panels:
            made.with_panel(panel.build(next(numbers)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"
