"""What an extension's shared secrets need next: a pure function of what is known.

A secret is made by one call that cannot be repeated without harm: each makes another and retires
all former ones. So the call is led up to by steps of which each leaves its trace where a next
process finds it: look what Twitch has, write down in the target Secret that a secret is about to
be made (which also shows that the Secret can be written), make it, store it. An answer that was
lost, or a process that died in between, leads to another look and to a pause in which a call that
is still on its way comes through, never to a second call at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from controller.policies.clocks import is_ahead
from controller.policies.extension_secrets import (
    MARGIN,
    SharedSecret,
    next_change,
    pending_of,
    signing_secret,
)
from controller.policies.problems import Blocked
from controller.policies.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from controller.sensitive import Sensitive

__all__ = [
    "REFUSED_FOR",
    "Begin",
    "Create",
    "Declined",
    "Forget",
    "Holding",
    "Plan",
    "Read",
    "Revoke",
    "RotationFacts",
    "Write",
    "begun",
    "learned",
    "made",
    "next_rotation",
    "not_made",
    "plan",
    "recalled",
    "revocation_ends",
    "revoked",
]

_JITTER = 0.1
_FRESH = 5.0  # seconds for which a look at Twitch counts as one right before the call
REFUSED_FOR = 60.0
"""Seconds for which a secret that Twitch did not take is not tried again."""

_SETTLE = 30.0  # seconds in which a call of unknown outcome may still come through


@dataclass(frozen=True, slots=True)
class Holding:
    """What is kept of the secrets: in the target Secret, and in this process.

    Attributes:
        secrets: All that Twitch told of, with the marks of those that were revoked.
        begun: When a secret was about to be made whose making was not seen to end.
        revoke_request: The last request to revoke whose marks are set; "": none yet.
    """

    secrets: tuple[SharedSecret, ...] = ()
    begun: float | None = None
    revoke_request: str = ""

    @property
    def replaced(self) -> bool:
        """Whether there is a secret that no revocation concerns."""
        return any(not secret.revoked for secret in self.secrets)


@dataclass(frozen=True, slots=True)
class Declined:
    """Twitch refused to make a secret; that says nothing of the secret that signed the call.

    Attributes:
        signer: What signed it.
        at: When.
        told: What Twitch said.
    """

    signer: Sensitive
    at: float
    told: str


@dataclass(frozen=True, slots=True)
class RotationFacts:
    """What is known.

    Attributes:
        holding: What is kept.
        stored: The target Secret holds just that.
        foreign: Why the Secret of that name is not written; None: it may be.
        bootstrap: The secret that the user gave, or why there is none.
        refused: Secrets that Twitch did not take lately.
        refusal: What Twitch said to the last of them.
        read_at: When Twitch last told what it has, in this process; None: not yet.
        intent: This process has just written down that a secret is to be made, and not called yet.
        revoke_request: The latest request to revoke; "": none.
        created: When the resource was made: the rotation of a secret that is older counts from it.
        interval: Seconds from one secret to the next.
        jitter: 0..1, steady for the resource.
        check_interval: Seconds between two looks at what Twitch has.
        settle: Seconds in which a call of unknown outcome may still come through.
        declined: The last refusal to make a secret; None: there was none.
    """

    holding: Holding
    stored: bool
    foreign: Blocked | None
    bootstrap: Sensitive | Blocked
    refused: Collection[Sensitive]
    refusal: str
    read_at: float | None
    intent: bool
    revoke_request: str
    created: float
    interval: float
    jitter: float
    check_interval: float
    settle: float = field(default=_SETTLE)
    declined: Declined | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """Put what is kept into the target Secret."""


@dataclass(frozen=True, slots=True)
class Read:
    """Ask Twitch what it has, signed with this secret."""

    signer: Sensitive


@dataclass(frozen=True, slots=True)
class Begin:
    """Write down that a secret is about to be made."""


@dataclass(frozen=True, slots=True)
class Forget:
    """No secret was made, and none is due any more: take the mark away."""


@dataclass(frozen=True, slots=True)
class Create:
    """Make a secret, signed with this one."""

    signer: Sensitive


@dataclass(frozen=True, slots=True)
class Revoke:
    """Mark all that is known as revoked."""


Plan = Write | Read | Begin | Forget | Create | Revoke | Rest


def plan(facts: RotationFacts, now: float) -> Plan:
    """The next step for an extension's secrets."""
    if facts.foreign is not None:
        return Rest(None, facts.foreign)
    holding = facts.holding
    if holding.secrets and not facts.stored:
        return Write()
    signer = _signer(facts, now)
    if holding.secrets and facts.revoke_request not in ("", holding.revoke_request):
        # What is to go are all that Twitch has, so it is asked first where it can be.
        fresh = facts.read_at is not None and now - facts.read_at <= _FRESH
        return Revoke() if fresh or signer is None else Read(signer)
    if facts.read_at is None or is_ahead(facts.read_at, now) or not holding.secrets:
        return Read(signer) if signer is not None else _stuck(facts, now)
    declined = _declined(facts, signer, now) if _wanted(facts, now) else None
    if holding.begun is not None or (declined is None and _wanted(facts, now)):
        return _make(facts, signer, now)
    if _look_due(facts, facts.read_at, now):
        return Read(signer) if signer is not None else _stuck(facts, now)
    until = _next_look(facts, facts.read_at, now)
    if declined is None:
        return Rest(until)
    return Rest(min(until, declined.at + facts.check_interval), warning=_refused(declined))


def _wanted(facts: RotationFacts, now: float) -> bool:
    """Whether another secret is to be made."""
    holding = facts.holding
    due = next_rotation(holding, facts.created, facts.interval, facts.jitter)
    return now >= due or not holding.replaced


def _declined(facts: RotationFacts, signer: Sensitive | None, now: float) -> Declined | None:
    """The refusal for whose sake another call must wait; None: there may be one."""
    last = facts.declined
    if last is None or last.signer != signer or is_ahead(last.at, now):
        return None
    return last if now < last.at + facts.check_interval else None


def _refused(declined: Declined) -> Blocked:
    message = (
        f"Twitch refuses to make a new shared secret ({declined.told}), and takes what the present"
        " one signs: that one stays in use; retrying. If it lasts, create a secret in"
        " the extension's console (dev.twitch.tv/console, Extensions, Settings, Secret Keys): it"
        " is taken up"
    )
    return Blocked("RotationRefused", message, human=True)


def _make(facts: RotationFacts, signer: Sensitive | None, now: float) -> Plan:
    """The way to a new secret, from wherever a former process or call left it."""
    if signer is None:
        return _stuck(facts, now)
    begun = facts.holding.begun
    if begun is not None and facts.intent:
        return Create(signer)
    read_at = facts.read_at or 0.0
    if begun is not None and now < begun:
        # The clock was set back. Who knows when the call was made? It is looked for now and then.
        recent = 0.0 <= now - read_at <= facts.settle
        return Rest(read_at + facts.settle + 1) if recent else Read(signer)
    if begun is not None and now < begun + facts.settle:
        # A call may be on its way: its secret would be found by a look.
        return Read(signer) if read_at <= begun else Rest(begun + facts.settle)
    if now - read_at > _FRESH or (begun is not None and read_at < begun + facts.settle):
        return Read(signer)
    return Begin() if _wanted(facts, now) else Forget()


def _look_due(facts: RotationFacts, read_at: float, now: float) -> bool:
    """Whether Twitch is to be asked: now and then, and once a new secret should be active."""
    signs = (secret.active + MARGIN for secret in facts.holding.secrets)
    return now >= read_at + facts.check_interval or any(read_at < at <= now for at in signs)


def _next_look(facts: RotationFacts, read_at: float, now: float) -> float:
    """When there is something to do again."""
    moments = (
        read_at + facts.check_interval,
        next_rotation(facts.holding, facts.created, facts.interval, facts.jitter),
        next_change(facts.holding.secrets, now),
    )
    # A rotation that is due waits for a pending secret, whose activation is such a change.
    return min(moment for moment in moments if moment is not None and moment > now)


def _signer(facts: RotationFacts, now: float) -> Sensitive | None:
    """What to sign with: the secret that should, else any that Twitch might take."""
    secrets = facts.holding.secrets
    first = signing_secret(secrets, now)
    tried = [first.content] if first is not None else []
    tried += [secret.content for secret in secrets if secret.counts(now)]
    if not isinstance(facts.bootstrap, Blocked):
        tried.append(facts.bootstrap)
    return next((content for content in tried if content not in facts.refused), None)


def _stuck(facts: RotationFacts, now: float) -> Rest:
    """No secret is left that Twitch takes."""
    again = now + min(facts.check_interval, REFUSED_FOR)
    pending = pending_of(facts.holding.secrets, now)
    if pending is not None and pending.active > now:
        message = (
            "Twitch takes none of the former secrets any more, and the new one is not active yet:"
            " nothing can be signed until then"
        )
        return Rest(pending.active, Blocked("SecretPending", message, human=False))
    if isinstance(facts.bootstrap, Blocked) and not facts.holding.secrets:
        return Rest(again, facts.bootstrap)
    told = f" ({facts.refusal})" if facts.refusal else ""
    message = (
        f"Twitch takes no shared secret that is known{told}: check spec.ownerId and spec.clientId"
        " first; if both are the extension's, make a secret in its console (dev.twitch.tv/console,"
        " Extensions, Settings, Secret Keys) and put it into the Secret of"
        " spec.secret.bootstrapSecretRef"
    )
    return Rest(again, Blocked("SecretLost", message, human=True))


def next_rotation(holding: Holding, created: float, interval: float, jitter: float) -> float:
    """When the next secret is to be made.

    Args:
        holding: What is kept.
        created: When the resource was made: a secret that is older counts as made then.
        interval: Seconds from one secret to the next.
        jitter: 0..1, by which up to a tenth of the interval is left out.
    """
    newest = max((secret.active for secret in holding.secrets), default=created)
    return max(newest, created) + interval * (1 - _JITTER * jitter)


def revocation_ends(holding: Holding, now: float) -> float | None:
    """When, after a revocation, the new secret becomes active; None: none is under way."""
    if not any(secret.revoked and now < secret.expires for secret in holding.secrets):
        return None
    if any(not secret.revoked and secret.counts(now) for secret in holding.secrets):
        return None
    pending = pending_of(holding.secrets, now)
    return pending.active if pending is not None else None


# What the steps come to


def learned(holding: Holding, told: Iterable[SharedSecret], now: float) -> Holding:
    """Take over what Twitch has.

    Marks stay. A secret that is not active yet stays, too, where Twitch does not tell of it: it may
    have been asked elsewhere than where the secret was made. A new one ends what had begun.
    """
    before = {secret.content: secret for secret in holding.secrets}
    found = {
        secret.content: replace(secret, revoked=_is_revoked(before.get(secret.content)))
        for secret in told
        if now < secret.expires
    }
    for content, secret in before.items():
        if now < secret.active and content not in found:
            found[content] = secret
    new = any(content not in before for content in found)
    begun = None if new and before else holding.begun
    ordered = tuple(sorted(found.values(), key=lambda secret: (-secret.active, -secret.expires)))
    return replace(holding, secrets=ordered, begun=begun)


def begun(holding: Holding, now: float) -> Holding:
    """A secret is about to be made."""
    return replace(holding, begun=now)


def made(holding: Holding, told: Iterable[SharedSecret], now: float) -> Holding:
    """A secret was made, and Twitch told what it has now."""
    return replace(learned(holding, told, now), begun=None)


def not_made(holding: Holding) -> Holding:
    """Twitch refused to make a secret, or was not reached."""
    return replace(holding, begun=None)


def revoked(holding: Holding, request: str) -> Holding:
    """All that is known is out of service, as somebody asked."""
    marked = tuple(replace(secret, revoked=True) for secret in holding.secrets)
    return replace(holding, secrets=marked, revoke_request=request)


def recalled(holding: Holding, request: str) -> Holding:
    """A revocation that was carried out, whose marks were lost with the target Secret.

    All but the newest are of before it, or may be.
    """
    newest = max((secret.active for secret in holding.secrets), default=0.0)
    marked = tuple(
        replace(secret, revoked=secret.revoked or secret.active < newest)
        for secret in holding.secrets
    )
    return replace(holding, secrets=marked, revoke_request=request)


def _is_revoked(secret: SharedSecret | None) -> bool:
    return secret is not None and secret.revoked
