"""Conditions and Events of an ExtensionApp."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.extensions.policies.announcements import (
    announce_extension,
    revocation,
    rotation,
)
from controller.extensions.policies.conditions import ExtensionFacts, extension_findings
from controller.logs import redact
from controller.policies.announcements import Transitions
from controller.policies.findings import Finding
from controller.policies.gateway_checks import allows, provider_problem
from controller.policies.problems import Blocked
from controller.resources.common import Condition
from controller.resources.extensionapp import OAuth
from controller.resources.kind import ALLOWED_HOST

GOOD = ExtensionFacts(
    spec_problem=None,
    conflict=None,
    blocked=None,
    failure=None,
    signs=True,
    stored=True,
    target="deck-tracker-secrets",
    next_rotation=1_900_000_000.0,
    revoking=False,
    revoked_until=None,
    configuration=None,
    gateway=None,
)


def told(facts: ExtensionFacts) -> dict[str, tuple[str, str]]:
    return {finding.type: (finding.status, finding.reason) for finding in extension_findings(facts)}


def test_an_extension_whose_secrets_are_stored_is_ready() -> None:
    assert told(GOOD) == {
        "Ready": ("True", "Succeeded"),
        "SecretsCurrent": ("True", "Succeeded"),
        "Reconciling": ("False", "Succeeded"),
        "Stalled": ("False", "Succeeded"),
    }


@pytest.mark.parametrize(
    ("change", "secrets", "reason", "stalled"),
    [
        ({"spec_problem": Blocked("InvalidSpec", "x", human=True)}, "Unknown", "InvalidSpec", True),
        ({"conflict": "a/b"}, "False", "Conflict", True),
        ({"blocked": Blocked("SecretLost", "x", human=True)}, "False", "SecretLost", True),
        (
            {"blocked": Blocked("SecretNotFound", "x", human=False)},
            "False",
            "SecretNotFound",
            False,
        ),
        ({"stored": False}, "Unknown", "Pending", False),
        ({"signs": False, "failure": "x"}, "False", "TransientError", False),
        ({"revoking": True}, "True", "SecretsRevoked", False),
    ],
)
def test_what_is_in_the_way_is_told(
    change: dict[str, object], secrets: str, reason: str, stalled: bool
) -> None:
    found = told(replace(GOOD, **change))  # type: ignore[arg-type]
    assert found["SecretsCurrent"] == (secrets, reason)
    assert found["Ready"] == ("False", reason)
    assert found["Stalled"][0] == ("True" if stalled else "False")
    assert found["Reconciling"][0] == ("False" if stalled else "True")


def test_a_failure_that_may_pass_leaves_secrets_that_count_current() -> None:
    facts = replace(GOOD, failure="Twitch did not answer")
    assert told(facts)["Ready"] == ("True", "Succeeded")
    assert "Twitch did not answer" in extension_findings(facts)[0].message


def test_what_a_human_must_change_goes_before_what_is_waited_for() -> None:
    waits = Finding("ConfigurationSynced", "False", "ChannelNotReady", "waits")
    wrong = Finding("GatewayConfigured", "False", "HostNotAllowed", "annotate", human=True)
    found = told(replace(GOOD, configuration=waits, gateway=wrong))
    assert found["Ready"] == ("False", "HostNotAllowed")
    assert found["Stalled"][0] == "True"
    assert told(replace(GOOD, configuration=waits))["Reconciling"][0] == "True"


def test_the_price_of_a_revocation_is_told() -> None:
    facts = replace(GOOD, revoking=True, revoked_until=1_900_000_000.2)
    message = next(f.message for f in extension_findings(facts) if f.type == "SecretsCurrent")
    assert "403" in message
    assert "active at 2030-03-17T17:46:41Z" in message
    assert "console" in message
    made = replace(GOOD, revoking=True, failure="Twitch did not answer")
    message = next(f.message for f in extension_findings(made) if f.type == "SecretsCurrent")
    assert "the new one is being made (Twitch did not answer)" in message


REFUSED = Blocked("RotationRefused", "Twitch answered 401", human=True)


def test_secrets_that_serve_on_though_none_can_be_made_leave_it_ready() -> None:
    facts = replace(GOOD, warning=REFUSED)
    found = told(facts)
    assert found["SecretsCurrent"] == ("True", "RotationRefused")
    assert found["Ready"] == ("True", "Succeeded")
    assert found["Stalled"] == ("True", "RotationRefused")
    assert all(
        f.message == "Twitch answered 401"
        for f in extension_findings(facts)
        if f.type in ("SecretsCurrent", "Stalled")
    )
    news = announce_extension(Transitions(conditions(GOOD), conditions(facts)))
    assert [(event.type, event.reason, event.note) for event in news] == [
        ("Warning", "RotationRefused", "Twitch answered 401")
    ]


def test_a_revocation_whose_new_secret_is_refused_needs_somebody() -> None:
    facts = replace(GOOD, revoking=True, warning=REFUSED)
    found = told(facts)
    assert found["SecretsCurrent"] == ("True", "SecretsRevoked")
    assert found["Ready"] == ("False", "SecretsRevoked")
    assert found["Stalled"] == ("True", "SecretsRevoked")
    assert "the new one is being made (Twitch answered 401)" in extension_findings(facts)[1].message
    news = announce_extension(Transitions(conditions(GOOD), conditions(facts)))
    assert [(event.type, event.reason) for event in news] == [("Warning", "SecretsRevoked")]


def conditions(facts: ExtensionFacts) -> list[Condition]:
    return [
        Condition(
            type=finding.type,
            status=finding.status,
            last_transition_time=0,
            reason=finding.reason,
            message=finding.message,
        )
        for finding in extension_findings(facts)
    ]


def test_a_revocation_is_a_warning_event() -> None:
    news = announce_extension(
        Transitions(conditions(GOOD), conditions(replace(GOOD, revoking=True)))
    )
    assert [(event.type, event.reason) for event in news] == [("Warning", "SecretsRevoked")]
    assert "console" in news[0].note
    over = announce_extension(
        Transitions(conditions(replace(GOOD, revoking=True)), conditions(GOOD))
    )
    assert [(event.type, event.reason) for event in over] == [("Normal", "Ready")]


def test_another_revocation_within_the_first_is_a_warning_event_too() -> None:
    def status(handled: str, reason: str) -> dict[str, object]:
        condition = {"type": "SecretsCurrent", "reason": reason, "message": f"by {handled}"}
        return {"lastHandledRevokeAt": handled, "conditions": [condition]}

    news = revocation(status("one", "SecretsRevoked"), status("two", "SecretsRevoked"))
    assert news is not None
    assert (news.type, news.reason, news.note) == ("Warning", "SecretsRevoked", "by two")
    assert revocation(status("one", "SecretsRevoked"), status("one", "SecretsRevoked")) is None
    # A transition tells it already.
    assert revocation(status("one", "Succeeded"), status("two", "SecretsRevoked")) is None
    assert revocation({}, {"lastHandledRevokeAt": "one"}) is None


def test_a_lost_secret_is_one_warning_event() -> None:
    lost = replace(GOOD, blocked=Blocked("SecretLost", "make one", human=True))
    news = announce_extension(Transitions(conditions(GOOD), conditions(lost)))
    assert [(event.type, event.reason, event.note) for event in news] == [
        ("Warning", "SecretLost", "make one")
    ]


def test_a_rotation_is_an_event_with_a_fingerprint() -> None:
    after = {
        "lastRotationTime": "2030-01-01T00:00:00Z",
        "secrets": [
            {"fingerprint": "aaa", "activeTime": "2030-01-01T00:10:00Z"},
            {"fingerprint": "bbb", "activeTime": "2029-01-01T00:10:00Z"},
        ],
    }
    news = rotation({}, after)
    assert news is not None
    assert (news.type, news.reason) == ("Normal", "SecretRotated")
    assert "aaa" in news.note
    assert rotation(after, after) is None
    assert rotation({}, {"secrets": after["secrets"]}) is None
    assert rotation({}, {"lastRotationTime": "2030-01-01T00:00:00Z"}) is None


SECRET = {"client-id": b"gateway", "client-secret": b"hunter2"}
INTROSPECTION = OAuth.from_spec(
    {"introspectionUrl": "https://id.example.com/introspect", "secretRef": {"name": "oauth"}}
)


@pytest.mark.parametrize(
    ("data", "annotations", "reason"),
    [
        (SECRET, {ALLOWED_HOST: "id.example.com"}, None),
        (SECRET, {ALLOWED_HOST: " ID.example.com "}, None),
        (SECRET, {}, "HostNotAllowed"),
        (SECRET, {ALLOWED_HOST: "example.com"}, "HostNotAllowed"),
        (SECRET, {ALLOWED_HOST: ""}, "HostNotAllowed"),
        (None, {}, "SecretNotFound"),
        ({"client-id": b"gateway"}, {ALLOWED_HOST: "id.example.com"}, "InvalidSecret"),
        (SECRET | {"client-secret": b" "}, {ALLOWED_HOST: "id.example.com"}, "InvalidSecret"),
    ],
)
def test_a_secret_goes_only_where_it_says_itself(
    data: dict[str, bytes] | None, annotations: dict[str, str], reason: str | None
) -> None:
    problem = provider_problem(INTROSPECTION, data, annotations, (), "games")
    assert (problem.reason if problem is not None else None) == reason
    if reason == "HostNotAllowed":
        assert problem is not None
        command = f"-n games --overwrite {ALLOWED_HOST}=id.example.com"
        # In a log, too: a name that ends in oauth is no credential's.
        assert command in redact(problem.message)


def test_http_is_for_allowed_hosts_alone() -> None:
    oauth = OAuth.from_spec({"issuer": "http://127.0.0.1:8123"})
    problem = provider_problem(oauth, None, {}, (), "games")
    assert problem is not None
    assert problem.reason == "InvalidSpec"
    assert "spec.gateway.oauth.issuer" in problem.message
    assert provider_problem(oauth, None, {}, ("127.0.0.1",), "games") is None
    assert provider_problem(oauth, None, {}, ("127.0.0.1:8123",), "games") is None
    assert provider_problem(oauth, None, {}, ("127.0.0.1:8124",), "games") is not None


def test_a_host_is_allowed_by_its_name_or_with_its_port() -> None:
    assert allows(("id.internal",), "https://id.internal/x")
    assert allows(("id.internal:443",), "https://ID.internal/x")
    assert not allows(("id.internal:80",), "https://id.internal/x")
    assert not allows(("internal",), "https://id.internal/x")
    assert not allows((), "https://id.internal/x")
    assert not allows(("id.internal",), "https://id.internal:port/")
    assert not allows(("",), "https:///x")
    for entry in ("::1", "[::1]", "[::1]:8443"):
        assert allows((entry,), "http://[::1]:8443/x")
    assert not allows(("[::1]:8444",), "http://[::1]:8443/x")
