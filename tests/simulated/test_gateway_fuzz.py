"""The gateway under requests that are made from its own description, good ones and bad ones.

No answer is undocumented, none is a 500, and none contradicts what /openapi.json says of it.

Environment:
    TWITCH_OPERATOR_TEST_EXAMPLES: How many for each route and kind; default 8.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from tests.simulated.gateway_stand import CHANNEL, CLIENT_ID, VERSION, Stand, new_stand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.other_extensions import Trouble

EXAMPLES = int(os.environ.get("TWITCH_OPERATOR_TEST_EXAMPLES") or 8)
TROUBLES: tuple[Trouble, ...] = ("down", "error-done", "lost", "lost-done", "garbled")
DOCUMENTED = {502, 503, 504}
REPAIRED = [ignored_auth, negative_data_rejection]
"""Checks of what a test has put right before it was sent."""


@contextmanager
def standing() -> Iterator[Stand]:
    """A stand in a thread of its own: the clients here are not asynchronous."""
    ready, done, made = threading.Event(), asyncio.Event(), []

    async def stand() -> None:
        async with new_stand() as here:
            made.append((here, asyncio.get_running_loop()))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(stand()))
    thread.start()
    assert ready.wait(10)
    (here, loop) = made[0]
    try:
        yield here
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with standing() as stand:
        yield stand


def fuzz(stand: Stand, path: str, mode: GenerationMode, act: Callable[[Any], None]) -> None:
    """Do this with cases that the description allows, or with such that it does not."""
    operation = schemathesis.openapi.from_url(f"{stand.url}/openapi.json")[path]["POST"]

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:  # noqa: ANN401 - schemathesis' own
        act(case)

    run()


def log_in(stand: Stand, case: Any) -> None:  # noqa: ANN401
    """As somebody who may: what is left of the case are its body and other headers."""
    token = stand.helper() if case.operation.path == "/setup/" else stand.book.token()
    case.headers["Authorization"] = f"Bearer {token}"
    case.headers["X-Twitch-Client-Id"] = CLIENT_ID


def of_each(test: Any) -> Any:  # noqa: ANN401 - pytest's own
    """Parametrize a test by route and by the kind of cases."""
    test = pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)(test)
    return pytest.mark.parametrize("path", ["/send/", "/setup/"])(test)


@of_each
def test_strangers_get_what_is_documented(stand: Stand, path: str, mode: GenerationMode) -> None:
    def act(case: Any) -> None:  # noqa: ANN401
        # A client id that nobody knows is no fault of the form.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    fuzz(stand, path, mode, act)


@of_each
def test_those_who_may_get_what_is_documented(
    stand: Stand, path: str, mode: GenerationMode
) -> None:
    def act(case: Any) -> None:  # noqa: ANN401
        log_in(stand, case)
        if len(case.headers) % 4:
            case.headers["X-Twitch-User-Id"] = CHANNEL
        case.call_and_validate(excluded_checks=REPAIRED)

    fuzz(stand, path, mode, act)


@of_each
def test_a_twitch_in_trouble_leads_to_nothing_else(
    stand: Stand, path: str, mode: GenerationMode
) -> None:
    troubles = itertools.cycle(TROUBLES)

    def act(case: Any) -> None:  # noqa: ANN401
        log_in(stand, case)
        case.headers["X-Twitch-User-Id"] = CHANNEL
        case.headers["X-Twitch-Extension-Version"] = VERSION
        stand.twitch.forget_troubles()
        trouble = next(troubles)
        stand.twitch.spoil(CLIENT_ID, "message", trouble)
        stand.twitch.spoil(CLIENT_ID, "require", trouble)
        answer = case.call()
        case.validate_response(answer, excluded_checks=[not_a_server_error, *REPAIRED])
        assert answer.status_code < 500 or answer.status_code in DOCUMENTED

    fuzz(stand, path, mode, act)
