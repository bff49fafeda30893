"""What a channel's status says about a request for a consent, or for its end."""

from __future__ import annotations

import pytest

from controller.commands.consent.outcomes import (
    Done,
    Failed,
    Request,
    Waiting,
    judge_authorization,
    judge_revocation,
)
from controller.resources.twitchchannel import TwitchChannelStatus

NOW = 1_800_000_000.0
ASKED = "2027-01-15T08:00:00.123Z"
REQUEST = Request("mst3k", ASKED)
BY_DEVICE = Request("mst3k", ASKED, by_device=True)
CODE = {
    "verificationUri": "https://www.twitch.tv/activate",
    "userCode": "ABCDEFGH",
    "userCodeExpirationTime": "2027-01-15T08:30:00Z",
}


def condition(
    kind: str, status: str, reason: str = "Succeeded", message: str = ""
) -> dict[str, str]:
    when = "2027-01-15T07:00:00Z"
    return {"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": when}  # fmt: skip


def status(
    *conditions: object, answered: str = ASKED, **authorization: object
) -> TwitchChannelStatus:
    return TwitchChannelStatus.from_status(
        {
            "lastHandledReconcileAt": answered,
            "lastHandledRevokeAt": answered,
            "conditions": conditions,
            "broadcaster": {"id": "1", "login": "mst3k"},
            "authorization": authorization,
        }
    )


def failing(
    reason: str, message: str = "told", *, human: bool = True
) -> tuple[dict[str, str], ...]:
    return (
        condition("Ready", "False", reason, message),
        condition("Authorized", "False", reason, message),
        condition("Stalled", "True" if human else "False", reason, message),
        condition("Reconciling", "False" if human else "True", reason, message),
    )


def ready(
    told: str = "authorized by mst3k", reason: str = "Succeeded", *, human: bool = False
) -> tuple[dict[str, str], ...]:
    return (
        condition("Ready", "True", message=told),
        condition("Authorized", "True", reason, told),
        condition("Stalled", "True" if human else "False", reason, told),
    )


def held(
    authorized: str, reason: str, *, by: str = "Suspended", human: bool = False
) -> tuple[dict[str, str], ...]:
    return (
        condition("Ready", "False", by, "held back since 2027"),
        condition("Authorized", authorized, reason, "told"),
        condition("Stalled", "True" if human else "False", reason, "told"),
    )


def test_a_ready_channel_is_told_with_login_and_scopes() -> None:
    told = judge_authorization(status(*ready(), scopes=["a:b", "c:d"]), REQUEST, NOW)
    assert told == Done("twitchchannel/mst3k is Ready: authorized by mst3k\nScopes: a:b, c:d")


def test_what_a_ready_channel_lacks_is_told_too() -> None:
    lacks = "authorized by mst3k; the grant lacks the scope channel:read:ads"
    told = judge_authorization(status(*ready(lacks), scopes=["a:b"]), REQUEST, NOW)
    assert told == Done(f"twitchchannel/mst3k is Ready: {lacks}\nScopes: a:b")


def test_a_changed_login_is_no_failure_of_the_consent() -> None:
    message = "authorized by mst3k: correct spec.login"
    found = status(*ready(message, "LoginChanged", human=True))
    told = judge_authorization(found, REQUEST, NOW)
    assert told == Done(f"twitchchannel/mst3k is Ready: {message}")


@pytest.mark.parametrize("reason", ["InputRefused", "Expiring"])
def test_a_consent_that_is_not_used_fails_though_the_former_grant_goes_on(reason: str) -> None:
    found = status(*ready("the new code is refused", reason, human=True))
    told = judge_authorization(found, REQUEST, NOW)
    assert told == Failed(f"{reason}: the new code is refused")


def test_a_human_fault_fails_with_reason_and_message() -> None:
    told = judge_authorization(status(*failing("LoginMismatch", "of another")), REQUEST, NOW)
    assert told == Failed("LoginMismatch: of another")


def test_what_may_pass_is_waited_for() -> None:
    found = status(*failing("TransientError", "503", human=False))
    assert judge_authorization(found, REQUEST, NOW) == Waiting("TransientError: 503")


def test_a_suspended_channel_is_done_once_it_is_authorized() -> None:
    told = judge_authorization(status(*held("True", "Succeeded")), REQUEST, NOW)
    assert isinstance(told, Done)
    assert "twitchchannel/mst3k is authorized by mst3k" in told.text
    assert "It is suspended: cues start nothing" in told.text


def test_a_paused_channel_is_done_once_it_is_authorized() -> None:
    told = judge_authorization(status(*held("True", "Succeeded", by="Paused")), REQUEST, NOW)
    assert told == Done(
        "twitchchannel/mst3k is authorized by mst3k\nIt is paused: held back since 2027"
    )


@pytest.mark.parametrize("by", ["Paused", "Suspended"])
@pytest.mark.parametrize(
    ("reason", "human", "wanted"),
    [
        ("AuthorizationRevoked", True, Failed("AuthorizationRevoked: told")),
        ("TransientError", False, Waiting("TransientError: told")),
        ("AuthorizationPending", False, Waiting("AuthorizationPending: told")),
    ],
)
def test_a_channel_held_back_without_a_grant_is_judged_by_authorized(
    by: str, reason: str, human: bool, wanted: Failed | Waiting
) -> None:
    found = status(*held("False", reason, by=by, human=human))
    assert judge_authorization(found, REQUEST, NOW) == wanted


def test_a_code_is_shown_for_a_suspended_channel_too() -> None:
    found = status(*held("False", "AuthorizationPending"), **CODE)
    told = judge_authorization(found, BY_DEVICE, NOW)
    assert isinstance(told, Waiting)
    assert "ABCDEFGH" in told.text


def test_an_older_answer_is_none() -> None:
    found = status(*ready(), answered="2027-01-15T07:59:59Z")
    request = Request("mst3k", ASKED, before=found.conditions)
    assert judge_authorization(found, request, NOW) == Waiting("")


def test_a_condition_that_changed_since_is_a_sign_of_life() -> None:
    found = status(*failing("TransientError", "503", human=False), answered="")
    request = Request("mst3k", ASKED, before=status(*ready()).conditions)
    assert judge_authorization(found, request, NOW) == Waiting("TransientError: 503")


def test_a_channel_without_any_status_has_said_nothing_yet() -> None:
    found = TwitchChannelStatus.from_status({})
    assert judge_authorization(found, REQUEST, NOW) == Waiting("")
    assert judge_revocation(found, REQUEST) == Waiting("")


def test_the_broadcaster_has_all_the_time_to_type_a_code() -> None:
    found = status(*failing("AuthorizationPending", human=False), **CODE)
    told = judge_authorization(found, BY_DEVICE, NOW)
    assert told == Waiting(
        "Let the broadcaster open https://www.twitch.tv/activate and type ABCDEFGH, until"
        " 2027-01-15T08:30:00Z; then a new code is shown here",
        unhurried=True,
        address="https://www.twitch.tv/activate",
    )


@pytest.mark.parametrize(
    "reason", ["AuthorizationRevoked", "Expiring", "LoginMismatch", "ScopeMissing"]
)
def test_a_shown_code_is_the_cure_of_what_a_consent_cures(reason: str) -> None:
    found = status(*failing(reason), **CODE)
    told = judge_authorization(found, BY_DEVICE, NOW)
    assert isinstance(told, Waiting)
    assert "ABCDEFGH" in told.text


def test_whose_consent_it_was_is_told_before_another_code_is_to_be_typed() -> None:
    message = "the grant is of joel, spec.login is mst3k: correct spec.login, or type ABCDEFGH"
    told = judge_authorization(status(*failing("LoginMismatch", message), **CODE), BY_DEVICE, NOW)
    assert isinstance(told, Waiting)
    assert told.text.startswith(
        "The grant is of joel, spec.login is mst3k. Let the broadcaster open https://www.twitch.tv"
    )


def test_a_shown_code_is_typed_though_the_former_grant_is_ready() -> None:
    told = judge_authorization(status(*ready(), **CODE), BY_DEVICE, NOW)
    assert isinstance(told, Waiting)
    assert told.unhurried


def test_a_shown_code_cures_no_refused_application() -> None:
    told = judge_authorization(status(*failing("ClientRejected"), **CODE), BY_DEVICE, NOW)
    assert told == Failed("ClientRejected: told")


def test_a_code_that_has_run_out_is_not_shown() -> None:
    found = status(*failing("AuthorizationPending", "a code", human=False), **CODE)
    told = judge_authorization(found, BY_DEVICE, NOW + 1801)
    assert told == Waiting("AuthorizationPending: a code", unhurried=True)


def test_a_revocation_is_done_when_the_status_answers() -> None:
    found = status(*failing("AuthorizationRevoked"))
    told = judge_revocation(found, REQUEST)
    assert told == Done("twitchchannel/mst3k: the grant was revoked at Twitch")
    assert isinstance(judge_revocation(found, Request("mst3k", "another")), Waiting)
