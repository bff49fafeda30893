"""What a process remembers of a grant: what it uses, what it forgets, what it takes over."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from controller.channels.grant.state import CLIENT_INTERVAL, GrantState
from controller.channels.policies.grant_facts import Device, Grant, Holding, Known, RevokedGrant
from controller.clients.helix import User
from controller.clients.identity import Application
from controller.policies.problems import Blocked
from controller.sensitive import Sensitive

APP = Application("client", Sensitive("secret"))
GRANT = Grant(
    access=Sensitive("access"),
    refresh=Sensitive("refresh"),
    expires_at=2_000_000_000.0,
    lifetime=14_400.0,
    scopes=("channel:edit:commercial",),
)
ROTATED = replace(GRANT, access=Sensitive("new-access"), refresh=Sensitive("new-refresh"))
DEVICE = Device(Sensitive("device"), "ABCD", "https://x", 2_000_000_000.0, 5.0, "client", ())
SAVED = Holding(GRANT, input_sha256="ab")
KEY, REFUSAL = ("ab", None), Blocked("AuthorizationRevoked", "used before", human=True)


def knowing() -> GrantState:
    """A state that has learned everything about its grant."""
    return GrantState(
        saved=SAVED,
        refusals={KEY: REFUSAL},
        dead=RevokedGrant("dead", 1.0),
        user=User("1", "mst3k", "MST3K", "partner"),
        last_validation=5.0,
    )


def judged_by(app: Application) -> GrantState:
    """A state that has learned what this application may not have."""
    state = GrantState(saved=SAVED)
    state.use(app)
    state.refusals[KEY], state.dead = REFUSAL, RevokedGrant("dead", 1.0)
    state.reject(app, "Twitch answered 403")
    return state


def test_what_is_in_hand_is_the_newest() -> None:
    assert GrantState().holding == Holding()
    assert GrantState(saved=SAVED).holding == SAVED
    assert GrantState(saved=SAVED, pending=Holding(ROTATED)).holding == Holding(ROTATED)


@pytest.mark.parametrize(
    ("pending", "used"),
    [
        (None, GRANT),
        # A rotated refresh token that no Secret has would be lost by a crash.
        (Holding(ROTATED), GRANT),
        (Holding(replace(GRANT, access=Sensitive("new"))), replace(GRANT, access=Sensitive("new"))),
        (Holding(), GRANT),
    ],
    ids=["stored", "rotated", "not rotated", "emptied"],
)
def test_a_rotated_token_is_used_only_once_it_is_stored(
    pending: Holding | None, used: Grant
) -> None:
    assert GrantState(saved=SAVED, pending=pending).grant == used


def test_the_first_grant_is_used_only_once_it_is_stored() -> None:
    assert GrantState(pending=Holding(GRANT)).grant is None
    assert GrantState(saved=Holding(GRANT)).grant == GRANT


def test_another_application_has_its_own_chance() -> None:
    state = judged_by(APP)
    state.use(replace(APP, secret=Sensitive("regenerated")))
    assert state.app == replace(APP, secret=Sensitive("regenerated"))
    assert not state.refusals
    assert (state.dead, state.rejection("app"), state.last_validation) == (None, None, None)
    assert state.saved == SAVED


def test_an_application_that_could_not_be_read_for_a_while_is_the_same_one() -> None:
    state = judged_by(APP)
    state.app = None
    state.use(replace(APP))
    assert state.refusals == {KEY: REFUSAL}
    assert state.dead == RevokedGrant("dead", 1.0)
    assert state.rejection("app") is not None


def test_a_rejection_names_the_secret_and_is_believed_for_a_while() -> None:
    state = GrantState(saved=SAVED)
    assert state.rejection("app") is None
    state.reject(APP, "Twitch answered 403: invalid client secret")
    rejection = state.rejection("app")
    assert rejection is not None
    assert (rejection.reason, rejection.human) == ("ClientRejected", True)
    assert rejection.message.startswith("Twitch answered 403: invalid client secret. ")
    assert "Secret app" in rejection.message
    assert state.grant == GRANT
    state._rejected_at = time.monotonic() - CLIENT_INTERVAL
    assert state.rejection("app") is None
    state._rejected_at = time.time()
    assert state.rejection("app") is None


def test_forgetting_refusals_keeps_the_grant_and_asks_anew() -> None:
    state = knowing()
    state.reject(APP, "Twitch answered 403")
    state.forget_refusals()
    assert (state.refusals, state.dead, state.last_validation) == ({}, None, None)
    assert state.rejection("app") is None
    assert state.grant == GRANT


@pytest.mark.parametrize(
    "stored",
    [
        Holding(ROTATED, input_sha256="ab"),
        Holding(GRANT, DEVICE, "ab"),
        Holding(GRANT, input_sha256="cd"),
        Holding(GRANT, input_sha256="ab", revoke_request="now"),
        Holding(input_sha256="ab", revoke_request="now"),
    ],
    ids=["rotated", "device", "input", "request", "left"],
)
def test_what_another_wrote_is_taken_over_and_judged_anew(stored: Holding) -> None:
    state, before = knowing(), time.time()
    assert state.adopt(stored)
    assert state.saved == stored
    assert state.pending is None
    assert (state.dead, state.last_validation) == (None, None)
    # When the other asked about a device code is not known: a whole interval is waited.
    assert before <= state.polled_at <= time.time()
    assert state.refusals == {KEY: REFUSAL}


def test_what_was_learned_of_the_same_tokens_is_not_overwritten() -> None:
    state = knowing()
    state.drop_access()
    assert not state.adopt(SAVED)
    assert state.saved == SAVED.without_access()
    assert (state.dead, state.last_validation) == (RevokedGrant("dead", 1.0), 5.0)


@pytest.mark.parametrize("stored", [Holding(), Holding(device=DEVICE), Holding(input_sha256="ab")])
def test_a_secret_that_somebody_emptied_is_written_anew(stored: Holding) -> None:
    state = knowing()
    assert not state.adopt(stored)
    assert state.pending == SAVED
    assert state.grant == GRANT
    assert state.last_validation == 5.0


def test_a_first_look_takes_what_the_secret_holds() -> None:
    state = GrantState()
    assert not state.adopt(Holding())
    assert state.adopt(Holding(device=DEVICE))
    assert state.adopt(SAVED)
    assert state.grant == GRANT


def met(state: GrantState, user_id: str, login: str, wanted: str | None) -> bool:
    """Meet a user, and tell whether it is the wanted one under another login."""
    state.user = User(user_id, login, login, "partner")
    state.meet(wanted)
    return state.renamed(wanted)


@pytest.mark.parametrize("known", [None, Known("1", "mst3k")], ids=["running", "restarted"])
def test_who_had_the_wanted_login_once_is_known_by_the_id(known: Known | None) -> None:
    state = GrantState(known=known)
    if known is None:
        assert not met(state, "1", "mst3k", "mst3k")
    assert met(state, "1", "rifftrax", "mst3k")
    assert state.known == Known("1", "mst3k")
    assert not met(state, "1", "rifftrax", "rifftrax")
    assert state.known == Known("1", "rifftrax")
    assert not met(state, "1", "rifftrax", None)


def test_who_never_had_the_wanted_login_is_not_renamed() -> None:
    assert not met(GrantState(), "2", "rifftrax", "mst3k")
    state = GrantState(known=Known("1", "mst3k"))
    assert not met(state, "1", "mst3k", "rifftrax")  # the spec names another since
    assert not met(state, "2", "rifftrax", "mst3k")
    assert state.known is None
    assert not met(state, "1", "joel", "mst3k")


def test_a_refusal_without_a_reason_is_believed_the_third_time_in_a_row() -> None:
    state, token, other = GrantState(), Sensitive("a"), Sensitive("b")
    assert [state.doubt(token), state.doubt(token)] == [False, False]
    assert not state.doubt(other)
    assert state.doubt(token)
    state.forget_refusals()
    assert not state.doubt(token)


def test_dropping_the_access_token_keeps_the_rest() -> None:
    state = GrantState(saved=Holding(GRANT, DEVICE, "ab", "then"))
    state.drop_access()
    assert state.saved == Holding(GRANT.without_access(), DEVICE, "ab", "then")
    empty = GrantState()
    empty.drop_access()
    assert empty.saved == Holding()


def test_a_changed_application_is_news_and_the_first_one_is_not() -> None:
    state = GrantState()
    assert not state.changes(APP)
    state.use(APP)
    assert not state.changes(Application("client", Sensitive("secret")))
    state.app = None  # its Secret could not be read for a while
    assert state.changes(Application("client", Sensitive("renewed")))
