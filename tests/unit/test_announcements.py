"""Conditions before and after → what is announced."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.channels.policies.announcements import announce_channel
from controller.policies.announcements import Announcement, Transitions, announce_ready
from controller.policies.findings import Finding
from controller.resources.common import Condition
from controller.runtime.conditions import to_conditions

Status = Literal["True", "False", "Unknown"]
Conditions = tuple[Condition, ...]

PENDING = "not authorized yet: see the condition Authorized in the status"


def conditions(*findings: Finding) -> Conditions:
    return to_conditions(findings, (), generation=1, now=0.0)


def channel(authorized: Finding, ready: Finding | None = None) -> Conditions:
    """What a channel's status says; by default its Ready says the same as Authorized."""
    found = ready or Finding(
        "Ready", authorized.status, authorized.reason, authorized.message, authorized.human
    )
    return (*conditions(authorized), *summary(found))


def rule(ready: Finding) -> Conditions:
    return (*conditions(Finding("FeedConnected", "True", "Succeeded", "")), *summary(ready))


def summary(ready: Finding) -> Conditions:
    stalled = ready.status != "True" and ready.human
    return conditions(
        ready, Finding("Stalled", "True" if stalled else "False", ready.reason, ready.message)
    )


def authorized(
    status: Status, reason: str, message: str = "told", *, human: bool = False
) -> Finding:
    return Finding("Authorized", status, reason, message, human)


def ready(status: Status, reason: str, message: str = "told", *, human: bool = False) -> Finding:
    return Finding("Ready", status, reason, message, human)


GRANTED = authorized("True", "Succeeded", "authorized by mst3k")
REVOKED = authorized("False", "AuthorizationRevoked", "consent again", human=True)
FETCHED = authorized("Unknown", "AuthorizationPending", "the grant is being fetched")
CODE = authorized("False", "AuthorizationPending", "type ABCD-EFGH")
MISSING = authorized("False", "SecretNotFound", "spec.app.secretRef: create it")
TROUBLE = authorized("False", "TransientError", "Twitch is away; retrying")
REFUSED = authorized("True", "InputRefused", "by the former grant; correct the new one")

AUTHORIZED = Announcement("Normal", "Authorized", "authorized by mst3k", "Authorize")
TOLD_REVOKED = Announcement("Warning", "AuthorizationRevoked", "consent again", "Authorize")
TOLD_PENDING = Announcement("Normal", "AuthorizationPending", PENDING, "Authorize")
TOLD_MISSING = Announcement("Warning", "SecretNotFound", MISSING.message, "Authorize")
TOLD_TROUBLE = Announcement("Warning", "TransientError", TROUBLE.message, "Authorize")
TOLD_REFUSED = Announcement("Warning", "InputRefused", REFUSED.message, "Authorize")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, GRANTED, AUTHORIZED),
        (None, FETCHED, TOLD_PENDING),
        (None, MISSING, TOLD_MISSING),
        (MISSING, CODE, TOLD_PENDING),
        (FETCHED, CODE, None),
        (CODE, authorized("False", "AuthorizationPending", "type another"), None),
        (CODE, GRANTED, AUTHORIZED),
        (GRANTED, authorized("True", "Succeeded", "without a wished scope"), None),
        (GRANTED, REVOKED, TOLD_REVOKED),
        (GRANTED, TROUBLE, TOLD_TROUBLE),
        (TROUBLE, REVOKED, TOLD_REVOKED),
        (REVOKED, GRANTED, AUTHORIZED),
        (GRANTED, REFUSED, TOLD_REFUSED),
        (REFUSED, GRANTED, AUTHORIZED),
    ],
    ids=lambda value: f"{value.status}-{value.reason}" if isinstance(value, Finding) else "",
)
def test_a_transition_of_authorized_is_told_once_though_ready_follows(
    before: Finding | None, after: Finding, told: Announcement | None
) -> None:
    was = channel(before) if before is not None else ()
    assert announce_channel(Transitions(was, channel(after))) == (
        (told,) if told is not None else ()
    )


SUSPENDED = ready("False", "Suspended", "spec.suspend is true")
NOT_ELIGIBLE = ready("False", "NotEligible", "neither affiliate nor partner", human=True)
WORKS = ready("True", "Succeeded", REFUSED.message)
WAITS = ready("False", "Pending", "the stream key is being fetched")
STALLS = Finding("Stalled", "True", REFUSED.reason, REFUSED.message)
PAUSED = ready("False", "Paused", "held back since 08:00 by alice")
TOLD_PAUSED = Announcement("Normal", "Paused", PAUSED.message, "Reconcile")
TOLD_RESUMED = Announcement(
    "Normal", "Resumed", "resumed: cues start commercials again (Succeeded)", "Reconcile"
)
TOLD_RESUMED_BROKEN = Announcement(
    "Normal", "Resumed", "resumed: Ready=False (AuthorizationRevoked)", "Reconcile"
)
TOLD_SUSPENDED = Announcement("Normal", "Suspended", SUSPENDED.message, "Reconcile")
TOLD_NOT_ELIGIBLE = Announcement("Warning", "NotEligible", NOT_ELIGIBLE.message, "Reconcile")
TOLD_READY = Announcement("Normal", "Ready", "authorized by mst3k", "Reconcile")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ((), channel(GRANTED, SUSPENDED), (AUTHORIZED, TOLD_SUSPENDED)),
        (channel(GRANTED), channel(GRANTED, SUSPENDED), (TOLD_SUSPENDED,)),
        (channel(GRANTED, SUSPENDED), channel(GRANTED), (TOLD_READY,)),
        (channel(GRANTED, SUSPENDED), channel(REVOKED, SUSPENDED), (TOLD_REVOKED,)),
        # Its revocation was told when it happened.
        (channel(REVOKED, SUSPENDED), channel(REVOKED), ()),
        (channel(GRANTED), channel(GRANTED, PAUSED), (TOLD_PAUSED,)),
        (channel(GRANTED, PAUSED), channel(GRANTED), (TOLD_RESUMED,)),
        (channel(REVOKED, PAUSED), channel(REVOKED), (TOLD_RESUMED_BROKEN,)),
        (channel(GRANTED, PAUSED), channel(GRANTED, SUSPENDED), (TOLD_SUSPENDED,)),
        ((), channel(GRANTED, NOT_ELIGIBLE), (AUTHORIZED, TOLD_NOT_ELIGIBLE)),
        (channel(GRANTED, NOT_ELIGIBLE), channel(GRANTED), (TOLD_READY,)),
        # Ready, though something is the matter with the grant: told once.
        (channel(REVOKED), channel(REFUSED, WORKS), (TOLD_REFUSED,)),
        # What waits does not stall because something else does.
        (channel(GRANTED), conditions(REFUSED, WAITS, STALLS), (TOLD_REFUSED,)),
    ],
)
def test_a_channel_tells_what_only_its_summary_knows(
    before: Conditions, after: Conditions, told: tuple[Announcement, ...]
) -> None:
    assert announce_channel(Transitions(before, after)) == told


LISTENS = ready("True", "Succeeded", "listening")
INVALID = ready("False", "InvalidExpression", "spec.when: correct it", human=True)
OTHERWISE_INVALID = ready("False", "InvalidExpression", "spec.match: correct it", human=True)
NO_CHANNEL = ready("False", "ChannelNotFound", "it is waited for")
NO_SECRET = ready("False", "SecretNotFound", "create it")
TOLD_NO_CHANNEL = Announcement("Warning", "ChannelNotFound", "it is waited for", "Reconcile")
TOLD_NO_SECRET = Announcement("Warning", "SecretNotFound", "create it", "Reconcile")
STALE = ready("False", "FeedStale", "no poll for a while")
TOLD_INVALID = Announcement("Warning", "InvalidExpression", INVALID.message, "Reconcile")
TOLD_LISTENS = Announcement("Normal", "Ready", "listening", "Reconcile")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, LISTENS, None),
        (None, NO_CHANNEL, TOLD_NO_CHANNEL),
        (None, NO_SECRET, TOLD_NO_SECRET),
        (LISTENS, NO_CHANNEL, TOLD_NO_CHANNEL),
        (NO_SECRET, NO_SECRET, None),
        (NO_CHANNEL, LISTENS, TOLD_LISTENS),
        (None, INVALID, TOLD_INVALID),
        (LISTENS, INVALID, TOLD_INVALID),
        (NO_CHANNEL, INVALID, TOLD_INVALID),
        (INVALID, OTHERWISE_INVALID, None),
        (INVALID, NO_CHANNEL, TOLD_NO_CHANNEL),
        (INVALID, LISTENS, TOLD_LISTENS),
        (LISTENS, STALE, None),
        (STALE, LISTENS, TOLD_LISTENS),
        (LISTENS, SUSPENDED, TOLD_SUSPENDED),
    ],
    ids=lambda value: f"{value.status}-{value.reason}" if isinstance(value, Finding) else "",
)
def test_a_rule_tells_what_a_human_must_do_and_that_it_was_done(
    before: Finding | None, after: Finding, told: Announcement | None
) -> None:
    was = rule(before) if before is not None else ()
    assert announce_ready(Transitions(was, rule(after))) == told


_STATUSES: list[Status] = ["True", "False", "Unknown"]
any_finding = st.builds(
    Finding,
    st.sampled_from(["Ready", "Authorized", "FeedConnected", "Stalled", "Suspended", "Other"]),
    st.sampled_from(_STATUSES),
    st.sampled_from(
        [
            "Succeeded",
            "Suspended",
            "Paused",
            "ChannelNotFound",
            "AuthorizationPending",
            "Conflict",
            "FeedStale",
        ]
    ),
    st.sampled_from(["", "told", "told otherwise"]),
)
any_conditions = st.lists(any_finding, max_size=6, unique_by=lambda each: each.type).map(
    lambda found: conditions(*found)
)


@given(held=any_conditions)
def test_a_restart_tells_nothing_again(held: Conditions) -> None:
    assert announce_channel(Transitions(held, held)) == ()


@given(before=any_conditions, after=any_conditions)
def test_each_condition_is_told_at_most_once_and_never_the_same_twice(
    before: Conditions, after: Conditions
) -> None:
    told = announce_channel(Transitions(before, after))
    assert len({each.action for each in told}) == len(told) <= 2
    assert len({(each.reason, each.note) for each in told}) == len(told)


@given(code=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=8, max_size=8), before=any_conditions)
def test_a_code_to_type_is_in_no_announcement(code: str, before: Conditions) -> None:
    pending = authorized("False", "AuthorizationPending", f"open https://x/?code={code}: {code}")
    assert code not in str(announce_channel(Transitions(before, channel(pending))))


@pytest.mark.parametrize("reason", ["LoginMismatch", "ScopeMissing", "AuthorizationRevoked"])
def test_a_code_that_is_the_remedy_is_in_no_announcement(reason: str) -> None:
    told = "it is of joel: let the broadcaster open https://x/?device-code=ABCDEFGH and type"
    broken = authorized("False", reason, f"{told} ABCDEFGH", human=True)
    (news,) = announce_channel(Transitions((), channel(broken)), {"ABCDEFGH"})
    assert news.note.startswith("it is of joel: ")
    assert "ABCDEFGH" not in news.note
    assert "status.authorization.userCode" in news.note
