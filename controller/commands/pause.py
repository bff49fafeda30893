"""`kubectl twitch pause` and `resume`: hold the commercials of channels, or of all that there are.

The annotation is where the operator looks right before each call. A channel that is made later is
not paused by it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.clients.kube import KubeError, KubeUnavailable
from controller.commands.cluster import Forbidden, run_in_cluster
from controller.commands.show.pausing import (
    Outcome,
    Place,
    Scope,
    choice,
    is_confirmed,
    report,
)
from controller.commands.terminal import agrees, can_type, say
from controller.errors import OperatorError, TransientError
from controller.policies.pausing import find_pause, written_pause
from controller.resources.common import rfc3339
from controller.resources.kind import PAUSED
from controller.resources.twitchchannel import TWITCH_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.commands.cluster import Cluster

__all__ = ["Options", "pause"]

_AT_ONCE = 16
_TRIES = 3
_PAUSE = 0.5  # seconds between two tries, while the API server is away


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        names: Of TwitchChannels; none: all.
        sure: All are meant where no names are given: nobody is asked before they are resumed.
        namespace: None: that of the context; where no names are given: all namespaces.
        context: Of the kubeconfig; None: the current one.
        reason: Why, for those who read the annotation.
        wait: Seconds to wait for the operator; 0: not at all.
        resume: Let them go on.
    """

    names: Sequence[str]
    sure: bool
    namespace: str | None
    context: str | None
    reason: str
    wait: float
    resume: bool


def pause(options: Options) -> int:
    """Pause channels, or let them go on.

    Returns:
        The exit code: 0 where all are paused, and the operator confirmed it; else 1.

    Raises:
        OperatorError: The channels cannot be found out, or it is not clear which are meant.
    """

    async def work(cluster: Cluster) -> tuple[Outcome, Scope]:
        switch = _Switch(cluster, options)
        return await switch.turn(), switch.scope

    outcome, scope = run_in_cluster(options.context, work)
    say(report(outcome, scope, resume=options.resume, wait=options.wait))
    return 0 if outcome.complete else 1


class _Switch:
    def __init__(self, cluster: Cluster, options: Options) -> None:
        self._cluster = cluster
        self._options = options
        self._resume = options.resume
        self._free = asyncio.Semaphore(_AT_ONCE)
        # Names are in one namespace; without them, none means all.
        named = bool(options.names)
        self._namespace = cluster.namespace(options.namespace) if named else options.namespace
        self.scope = Scope(named, self._namespace, options.context)

    async def turn(self) -> Outcome:
        outcome = Outcome()
        found = await self._find(outcome)
        pauses = {p: find_pause(each["metadata"].get("annotations")) for p, each in found.items()}
        done = {place for place, pause in pauses.items() if (pause is None) is self._resume}
        outcome.already.extend(sorted(done))
        todo = [place for place in found if place not in done]
        if self._resume and not self._options.names and not self._options.sure and len(todo) > 1:
            await self._ask({place: pauses[place] or "" for place in todo})
        value = None if self._resume or not todo else await self._value()
        await asyncio.gather(*(self._set(place, value, outcome) for place in todo))
        if self._options.wait:
            await self._confirm(outcome)
        return outcome

    @staticmethod
    async def _ask(paused: Mapping[Place, str]) -> None:
        """Somebody may mean one channel, and have forgotten its name.

        Pausing asks nothing: it is done in an emergency, and costs no more than a break.
        """
        say(choice(paused))
        if not can_type():
            msg = (
                "name the channels to resume, choose a namespace with -n, or resume all with --all"
            )
            raise OperatorError(msg)
        if not await agrees(f"Resume all {len(paused)}?"):
            msg = "none was resumed; name those that are to go on"
            raise OperatorError(msg)

    async def _find(self, outcome: Outcome) -> dict[Place, Mapping[str, Any]]:
        if self._options.names:
            return await self._named(self._options.names, outcome)
        try:
            found = await self._cluster.list_all(TWITCH_CHANNEL, self._namespace)
        except Forbidden as error:
            if self._namespace is not None:
                raise
            msg = f"{error}; or pause the channels of one namespace with -n"
            if self._resume:
                msg = msg.replace("or pause", "or resume")
            raise OperatorError(msg) from None
        return {Place.of(each): each for each in found}

    async def _named(
        self, names: Iterable[str], outcome: Outcome
    ) -> dict[Place, Mapping[str, Any]]:
        namespace = self._namespace or ""
        found: dict[Place, Mapping[str, Any]] = {}

        async def look(name: str) -> None:
            place = Place(namespace, name)
            try:
                async with self._free:
                    found[place] = await self._cluster.get(TWITCH_CHANNEL, namespace, name)
            except OperatorError as error:
                outcome.failed[place] = str(error)

        await asyncio.gather(*(look(name) for name in dict.fromkeys(names)))
        return found

    async def _value(self) -> str:
        try:
            who = await self._cluster.kube.who_am_i()
        except (KubeError, KubeUnavailable):  # an API server before 1.28 does not tell
            who = ""
        return written_pause(rfc3339(time.time()), who, self._options.reason)

    async def _set(self, place: Place, value: str | None, outcome: Outcome) -> None:
        namespace, name = place
        async with self._free:
            for tries in range(_TRIES):
                try:
                    await self._cluster.annotate(TWITCH_CHANNEL, namespace, name, {PAUSED: value})
                except TransientError as error:
                    if tries + 1 == _TRIES:
                        outcome.failed[place] = str(error)
                    await asyncio.sleep(_PAUSE)
                except OperatorError as error:
                    outcome.failed[place] = str(error)
                    return
                else:
                    outcome.changed.append(place)
                    return

    async def _confirm(self, outcome: Outcome) -> None:
        """Wait until the status of each tells that the operator has seen it."""

        async def read() -> dict[Place, Mapping[str, Any]]:
            if self._options.names:
                return await self._named([place.name for place in outcome.set], Outcome())
            found = await self._cluster.list_all(TWITCH_CHANNEL, self._namespace)
            return {Place.of(each): each for each in found}

        def unconfirmed(found: Mapping[Place, Mapping[str, Any]]) -> dict[Place, str]:
            # One that is gone meanwhile runs no commercial.
            told = {
                p: is_confirmed(found[p], resume=self._resume) for p in outcome.set if p in found
            }
            return {place: why for place, why in told.items() if why is not None}

        if outcome.set:
            found, _ = await self._cluster.until(
                read, lambda seen: not unconfirmed(seen), self._options.wait, look=_PAUSE
            )
            outcome.unconfirmed = unconfirmed(found)
