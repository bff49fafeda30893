"""A grant at rest, and what the tests of its policy change about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.channels.policies.grant_facts import (
    Consent,
    Device,
    Grant,
    GrantFacts,
    Holding,
    Input,
    RevokedGrant,
)
from controller.channels.policies.grant_plan import Plan, plan
from controller.policies.problems import Blocked
from controller.resources.twitchchannel import COMMERCIAL_SCOPE, READ_ADS_SCOPE
from controller.sensitive import Sensitive

__all__ = [
    "APP",
    "AT_REST",
    "BY_CODE",
    "BY_DEVICE",
    "BY_TOKEN",
    "COMMAND",
    "DEAD",
    "DEVICE",
    "EMPTY",
    "FOREIGN",
    "FRESH",
    "HOUR",
    "LOGIN_AT_REST",
    "MISSING",
    "NOW",
    "NO_APP",
    "OTHER",
    "REFUSED",
    "REJECTED",
    "SCOPES",
    "TOKEN",
    "USED",
    "holding",
    "planned",
]

NOW = 1_700_000_000.0
HOUR = 3600.0
SCOPES = (COMMERCIAL_SCOPE, READ_ADS_SCOPE)
APP = "client"
COMMAND = "kubectl twitch authorize -n tv mst3k"

BY_TOKEN = Consent(way="refreshToken", command=COMMAND, scopes=SCOPES, client_id=APP)
BY_CODE = replace(BY_TOKEN, way="authorizationCode")
BY_DEVICE = replace(BY_TOKEN, way="deviceCode")

TOKEN, OTHER = Input(Sensitive("given")), Input(Sensitive("given-anew"))
FOREIGN = Blocked("Conflict", "spec.token.secretName", human=True)
NO_APP = Blocked("SecretNotFound", "spec.app.secretRef", human=False)
MISSING = Blocked("SecretNotFound", "spec.authorization", human=False)
REJECTED = Blocked("ClientRejected", "correct client-secret", human=True)
USED = Blocked("AuthorizationRevoked", "the code was used before", human=True)
REFUSED = {TOKEN.key: USED}

FRESH = Grant(
    access=Sensitive("access"),
    refresh=Sensitive("refresh"),
    expires_at=NOW + 4 * HOUR,
    lifetime=4 * HOUR,
    scopes=SCOPES,
)
DEVICE = Device(
    code=Sensitive("device"),
    user_code="ABCD-EFGH",
    verification_uri="https://www.twitch.tv/activate",
    expires_at=NOW + 1800,
    interval=5.0,
    client_id=APP,
    scopes=SCOPES,
)
AT_REST = GrantFacts(
    consent=BY_TOKEN,
    given=TOKEN,
    holding=Holding(FRESH, input_sha256=TOKEN.sha256),
    unsaved=False,
    validated_at=NOW,
    login="mst3k",
    jitter=0.0,
)
EMPTY = replace(AT_REST, holding=Holding(), validated_at=None, login=None)
LOGIN_AT_REST = replace(AT_REST, consent=BY_DEVICE, given=None, holding=Holding(FRESH))
DEAD = RevokedGrant("Twitch answered 401: dead", NOW)


def holding(facts: GrantFacts, **changes: Any) -> GrantFacts:  # noqa: ANN401 - the fields of the holding
    """The same facts with something else in hand."""
    return replace(facts, holding=replace(facts.holding, **changes))


def planned(facts: GrantFacts, after: float = 0.0) -> Plan:
    """The next step, some seconds after NOW."""
    return plan(facts, NOW + after, HOUR)
