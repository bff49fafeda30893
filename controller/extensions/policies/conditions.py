"""Conditions of an ExtensionApp, from facts; see `controller.channels.policies.conditions`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.policies.findings import Finding, with_summary
from controller.resources.common import rfc3339

if TYPE_CHECKING:
    from controller.policies.problems import Blocked

__all__ = ["REVOKED", "ExtensionFacts", "extension_findings"]

REVOKED = "SecretsRevoked"
"""Reason of SecretsCurrent and Ready while a revocation is under way."""

_PRICE = (
    "the gateway and all who follow secrets.json refuse the former secrets from now on, and with"
    " them the JWTs of Twitch's extension helper, which get 403 until the new secret is active"
)
_STILL_GOOD = (
    "Calls to Twitch are still signed with the old secret, and Twitch takes it until it expires: to"
    " delete it at once, use the extension's console (dev.twitch.tv/console, Extensions, Settings)"
)


@dataclass(frozen=True, slots=True)
class ExtensionFacts:
    """What is known about an extension.

    Attributes:
        spec_problem: Why the spec cannot be used.
        conflict: The older ExtensionApp of the same client id.
        blocked: What keeps the secrets from being current.
        failure: What passed wrong last, if it may pass.
        signs: There is a secret to sign with, and the target Secret has it.
        stored: The target Secret holds what is known.
        target: Name of the target Secret.
        next_rotation: When the next secret is made.
        revoking: A revocation is under way.
        revoked_until: When its new secret becomes active; None: it is not made yet.
        configuration: Whether Twitch has the configuration as declared; None: none is declared.
        gateway: Whether the gateway can serve it; None: it is not asked to.
        owner_problem: Why the target Secret's owner is not as the spec has it; None: it is.
        warning: What a human must change though the secrets serve on; None: nothing.
    """

    spec_problem: Blocked | None
    conflict: str | None
    blocked: Blocked | None
    failure: str | None
    signs: bool
    stored: bool
    target: str
    next_rotation: float | None
    revoking: bool
    revoked_until: float | None
    configuration: Finding | None
    gateway: Finding | None
    owner_problem: Blocked | None = None
    warning: Blocked | None = None


def extension_findings(facts: ExtensionFacts) -> tuple[Finding, ...]:
    """All conditions of an ExtensionApp."""
    secrets = _secrets(facts)
    others = tuple(f for f in (facts.configuration, facts.gateway) if f is not None)
    found = with_summary(
        (secrets, *others),
        _ready(facts, secrets, others),
        suspended=False,
        warning=secrets if secrets.human else None,
    )
    return tuple(finding for finding in found if finding.type != "Suspended")


def _secrets(facts: ExtensionFacts) -> Finding:
    kind = "SecretsCurrent"
    problem = facts.spec_problem
    if problem is not None:
        return Finding(kind, "Unknown", problem.reason, problem.message, problem.human)
    if facts.conflict is not None:
        message = (
            f"ExtensionApp {facts.conflict} has this clientId: delete one of the two; the secrets"
            " and the configuration of this one are left alone"
        )
        return Finding(kind, "False", "Conflict", message, human=True)
    if facts.blocked is not None:
        blocked = facts.blocked
        return Finding(kind, "False", blocked.reason, blocked.message, blocked.human)
    if not facts.signs or not facts.stored:
        if facts.failure is not None:
            message = f"{facts.failure}; retrying"
            return Finding(kind, "False", "TransientError", message)
        message = "Twitch is being asked for the extension's secrets"
        return Finding(kind, "Unknown", "Pending", message)
    return _serving(facts, kind)


def _serving(facts: ExtensionFacts, kind: str) -> Finding:
    """What there is to tell of secrets that are stored and sign."""
    if facts.revoking:
        return Finding(kind, "True", REVOKED, _revoking(facts), human=facts.warning is not None)
    if facts.warning is not None:
        return Finding(kind, "True", facts.warning.reason, facts.warning.message, human=True)
    told = f"Secret {facts.target} is up to date"
    if facts.next_rotation is not None:
        told += f"; next rotation at {rfc3339(math.ceil(facts.next_rotation))}"
    if facts.failure is not None:
        told += f"; retrying after: {facts.failure}"
    if facts.owner_problem is not None:
        message = f"{told}; {facts.owner_problem.message}"
        return Finding(kind, "True", facts.owner_problem.reason, message, human=True)
    return Finding(kind, "True", "Succeeded", told)


def _revoking(facts: ExtensionFacts) -> str:
    if facts.revoked_until is None:
        why = facts.warning.message if facts.warning is not None else facts.failure
        when = f"the new one is being made{f' ({why})' if why else ''}"
    else:
        when = f"the new one is active at {rfc3339(math.ceil(facts.revoked_until))}"
    return f"all former secrets are revoked: {_PRICE}; {when}. {_STILL_GOOD}"


def _ready(facts: ExtensionFacts, secrets: Finding, others: tuple[Finding, ...]) -> Finding:
    if facts.spec_problem is not None:
        problem = facts.spec_problem
        return Finding("Ready", "False", problem.reason, problem.message, problem.human)
    if secrets.status != "True" or secrets.reason == REVOKED:
        return Finding("Ready", "False", secrets.reason, secrets.message, secrets.human)
    wrong = [finding for finding in others if finding.status != "True"]
    if wrong:
        first = next((finding for finding in wrong if finding.human), wrong[0])
        return Finding("Ready", "False", first.reason, first.message, first.human)
    return Finding("Ready", "True", "Succeeded", secrets.message)
