"""Which of several extensions with one client id is served."""

from __future__ import annotations

from tests.simulated.gateway_learning import (
    ApiServer,
    learning,
    shared,
    status,
)


async def test_of_two_with_the_same_client_id_the_accepted_one_is_served_then_the_older() -> None:
    api = ApiServer()
    older, newer = "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"
    api.put_app("mine", clientId="same", created=newer)
    api.put_app("theirs", clientId="same", created=older)
    async with learning(api) as known:
        assert known.found("same").label == "studio/theirs"
        known.tell("mine", status=status("True", "Succeeded"))
        assert known.found("same").label == "studio/mine"
        known.tell("theirs", status=status("True", "Succeeded"))
        assert known.found("same").label == "studio/theirs"
        known.tell("theirs", status=status("False", "Conflict"))
        assert known.found("same").label == "studio/mine"


async def test_who_has_no_secret_takes_no_client_id_from_one_who_has() -> None:
    api, secret = ApiServer(), shared("one")
    older, newer = "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"
    api.put_app("theirs", clientId="same", created=older)
    api.put_app("mine", clientId="same", created=newer)
    api.put_target("mine", secret)
    async with learning(api) as known:
        assert known.found("same").label == "studio/mine"
        assert known.verifies("same") == [secret.content]


async def test_who_was_accepted_once_keeps_the_client_id_in_trouble() -> None:
    api = ApiServer()
    older, newer = "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"
    api.put_app("theirs", clientId="same", created=older)
    api.put_target("theirs", shared("forged"))
    trouble = status("False", "TransientError", accepted=True)
    api.put_app("mine", clientId="same", created=newer, status=trouble)
    async with learning(api) as known:
        assert known.found("same").label == "studio/mine"


async def test_one_that_is_in_conflict_is_not_served_though_there_is_no_other() -> None:
    api = ApiServer()
    api.put_app("deck", status=status("False", "Conflict"))
    async with learning(api) as known:
        assert known.catalog.find("client-deck") is None


async def test_the_owner_of_a_client_id_that_is_not_served_leaves_it_to_nobody() -> None:
    api = ApiServer()
    api.put_app("mine", clientId="same", gateway=None, status=status("True", "Succeeded"))
    api.put_app("theirs", clientId="same")
    async with learning(api) as known:
        assert known.catalog.find("same") is None
