"""Moments at which an operator that keeps extension secrets is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.cluster.kubectl import eventually

if TYPE_CHECKING:
    import random

    from tests.cluster.extension_scene import Extensions
    from tests.cluster.gate import Gate
    from tests.cluster.operator_harness import Operator
    from tests.other_extensions import Trouble

__all__ = ["Killings", "Moment"]

Moment = Callable[[], Awaitable[None]]

_TIMEOUT = 2  # seconds; for twice as long the operator expects a call to come through
_ROTATES = 20.0  # seconds in which one of the extensions is sure to make a secret


@dataclass
class Killings:
    """Kills the operator, and starts it anew.

    Attributes:
        revocations: When which extension's secrets were to be revoked.
    """

    scene: Extensions
    gate: Gate
    names: list[str]
    rng: random.Random
    operator: Operator = field(init=False)
    revocations: list[tuple[float, str]] = field(default_factory=list)

    async def kill_at(self, moment: Moment) -> None:
        """Kill it there, let what it had sent come to its end, and start it."""
        await moment()
        await self._kill()
        await self.start()

    @property
    def moments(self) -> list[Moment]:
        return [
            self.anywhere, self.while_it_starts, self.before_twitch_has_made_it,
            self.when_twitch_never_made_it, self.before_the_answer, self.in_the_answer,
            self.before_it_is_stored, self.after_it_is_stored, self.before_any_write,
            self.without_the_api_server, self.in_a_revocation,
        ]  # fmt: skip

    async def anywhere(self) -> None:
        await asyncio.sleep(self.rng.uniform(0, 2))

    async def while_it_starts(self) -> None:
        await self._kill()
        await self.start(wait=False)
        await asyncio.sleep(self.rng.uniform(0.5, 2.5))

    async def before_twitch_has_made_it(self) -> None:
        """Twitch makes it when the operator that asked for it is gone, and the next one looks."""
        self._spoil("late")
        self.scene.twitch.slowness = self.rng.uniform(1, 2 * _TIMEOUT - 0.3)
        await self._until(lambda: self.scene.twitch.spoilt > 0)
        await asyncio.sleep(self.rng.uniform(0, 0.05))

    async def when_twitch_never_made_it(self) -> None:
        self._spoil("lost")
        await self._until(lambda: self.scene.twitch.spoilt > 0)
        await asyncio.sleep(self.rng.uniform(0, 0.05))

    async def before_the_answer(self) -> None:
        self._spoil("slow-done")
        await self._until_made()

    async def in_the_answer(self) -> None:
        await self._until_made()
        await asyncio.sleep(self.rng.uniform(0, 0.02))

    async def before_it_is_stored(self) -> None:
        await self._hold_store(written=False)

    async def after_it_is_stored(self) -> None:
        await self._hold_store(written=True)

    async def _hold_store(self, *, written: bool) -> None:
        self._spoil("slow-done")
        self.scene.twitch.slowness = 0.3
        await self._until_made()
        self.gate.hold(self._targets, written=written)
        await self._until(lambda: self.gate.held)

    async def before_any_write(self) -> None:
        """That a secret is to be made, that one was, or that another one signs now."""
        self.gate.hold(self._targets, written=self.rng.random() < 0.5)
        await self._until(lambda: self.gate.held)

    async def without_the_api_server(self) -> None:
        await self.gate.cut()
        await asyncio.sleep(self.rng.uniform(0, 2))
        await self.operator.kill()
        await self.gate.mend()

    async def in_a_revocation(self) -> None:
        name = self.rng.choice(self.names)
        self.revocations.append((time.time(), name))
        await self.scene.revoke(name, f"{len(self.revocations)}")
        await asyncio.sleep(self.rng.uniform(0, 0.3))

    @property
    def _targets(self) -> set[str]:
        return {f"{name}-secrets" for name in self.names}

    def _spoil(self, trouble: Trouble) -> None:
        """The next secret that is made, whose ever it is, is made so."""
        self.scene.twitch.spoilt = 0
        self.scene.twitch.slowness = self.rng.uniform(0.5, 2.5)
        for name in self.names:
            self.scene.twitch.spoil(self.scene.client_id(name), "make", trouble)

    async def _until_made(self) -> None:
        before = self._made
        await self._until(lambda: self._made > before)

    @property
    def _made(self) -> int:
        return sum(len(self.scene.at_twitch(name).made) for name in self.names)

    async def _until(self, condition: Callable[[], object]) -> None:
        await eventually(lambda: self.operator.ended or condition(), _ROTATES)

    async def _kill(self) -> None:
        if not self.operator.ended:
            await self.operator.kill()
        self.gate.release()
        self.scene.twitch.forget_troubles()
        await eventually(lambda: not self.gate.busy)

    async def start(self, *, wait: bool = True) -> None:
        """Start an operator that looks at Twitch when it must, and not by the way."""
        self.operator = await self.scene.start(
            kubeconfig=self.gate.kubeconfig,
            wait=wait,
            EXTENSION_CHECK_INTERVAL="10m",
            CALL_TIMEOUT=f"{_TIMEOUT}s",
        )
