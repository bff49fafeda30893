"""Which channels a rule is for: one by its name, or some by their labels."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from controller.resources.common import ObjectName, SpecModel
from controller.resources.fields import KeysMatching, Matching, Rule
from controller.resources.matcher import FieldPath

__all__ = ["ChannelReference", "ChannelSelector", "EventLabel"]

_NAME = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_NO_NAME = "must be the name of a label, such as feed-code or example.com/feed-code"

LabelName = Annotated[str, Field(max_length=253 + 1 + 63), Matching(_NAME, _NO_NAME)]
LabelValue = Annotated[
    str,
    Field(max_length=63),
    Matching(
        r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        "must be the value of a label: at most 63 letters, digits, '-', '_' and '.', with a letter"
        " or digit at both ends",
    ),
]


class ChannelReference(SpecModel):
    """A TwitchChannel in the same namespace."""

    name: Annotated[ObjectName, Field(max_length=63)]
    """Name of the TwitchChannel, in the namespace of this object. You may create it later."""


class EventLabel(SpecModel):
    """A label of the channels whose value comes from the event."""

    label: LabelName
    """Name of the label, such as feed-code."""

    field: FieldPath
    """Path of the event's field that holds the label's value, such as feed_code. An event without
    the field selects no channel."""


class ChannelSelector(SpecModel):
    """TwitchChannels in the same namespace, by their labels."""

    rules: ClassVar = (
        Rule(
            "(has(self.matchLabels) && size(self.matchLabels) > 0)"
            " || (has(self.matchEvent) && size(self.matchEvent) > 0)",
            "must have matchLabels or matchEvent: without both, each event would be for all"
            " channels",
        ),
    )

    match_labels: Annotated[
        Mapping[str, LabelValue],
        Field(max_length=16),
        KeysMatching(_NAME, f"each key {_NO_NAME}"),
    ] = Field(default_factory=dict)
    """Labels and values that a channel must have; at most 16."""

    match_event: Annotated[
        tuple[EventLabel, ...],
        Field(max_length=4, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Labels whose value comes from the event; at most 4. One rule can then serve many channels:
    each event selects the channels whose label equals the event's field."""

    def __str__(self) -> str:
        """As kubectl writes it; a label that the event tells has the event's field in braces."""
        told = [f"{label}={value}" for label, value in self.match_labels.items()]
        return ",".join(told + [f"{each.label}={{{each.field}}}" for each in self.match_event])

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.match_labels and not self.match_event:
            raise ValueError(self.rules[0].message)
        return self
