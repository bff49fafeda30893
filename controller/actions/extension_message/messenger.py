"""The messages of rules to extensions' front ends: from the event to Twitch.

They never wait for one another, but for a free connection; and nothing of a commercial waits for
them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from controller.actions.base import DoneBefore, Performer
from controller.actions.extension_message.desk import MessageDesk, RuleChannel
from controller.actions.extension_message.message import EVERYWHERE, Message
from controller.actions.extension_message.reach import reachable
from controller.actions.extension_message.sending import OutboundMessage, send_message
from controller.arbiter.steps import Readiness
from controller.clients.extension_jwt import Perms
from controller.events import Progress, Ruling, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.actions.base import RuleReference, Services
    from controller.channels.channel import Channel

    Report = Callable[[Progress], None]

__all__ = ["Messenger"]

logger = logging.getLogger(__name__)

_AT_ONCE = 200  # calls; there are connections left for commercials then
_AT_ONCE_EACH = 32  # calls of one extension: it must not take the others' turn
_MOST_UNDER_WAY = 10_000
_SETTLE = 30.0  # seconds in which a process that has just begun reads the extensions' secrets
_LOOK, _MOST_PAUSE = 0.1, 1.0  # the pause between two looks grows: thousands may wait


class Messenger(Performer[Message]):
    """Sends the messages of rules.

    Args:
        services: What it works with.
    """

    def __init__(self, services: Services) -> None:
        self._rule = services.rule
        self._extension_of = services.extension_of
        self._extensions = services.extensions
        self._term = services.term
        self._desk = MessageDesk()
        self._under_way: set[asyncio.Task[None]] = set()
        self._all = asyncio.Semaphore(_AT_ONCE)
        self._each: dict[str, asyncio.Semaphore] = {}

    def recall(self, rule: RuleReference) -> None:
        """Remember what a former process sent for a rule, as its status tells."""
        now = time.time()
        for channel, done in rule.done_before:
            self._desk.recall(RuleChannel(rule.resource.uid, channel), done, now)

    def submit(
        self, rule: RuleReference, channel: Channel, request: Message, report: Report
    ) -> None:
        """Decide about a message, and send it.

        Args:
            rule: Whose it is.
            channel: To which it goes; where it goes to all, the one that the rule names.
            request: What is sent.
            report: Called with what became of it.
        """
        judged = self._judge(rule, channel, request)
        if isinstance(judged, Ruling):
            again = judged.verdict is Verdict.DUPLICATE
            if request.past and not again:
                rule.remember(_done(request), channel.resource.key.name)
            if not request.past or not again:  # that it came twice before the start is no news
                report(Progress(judged))
            return
        if len(self._under_way) >= _MOST_UNDER_WAY:
            self._desk.take_back(_line(rule, channel, request), request)
            report(Progress(Ruling(Verdict.FAILED, f"{_MOST_UNDER_WAY} messages wait already")))
            return
        work = self._finish(rule, channel, request, judged, report)
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def drain(self, within: float) -> None:
        """Wait, for at most so many seconds, for the answers to what is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=within)
        for task in self._under_way:
            task.cancel()

    def _judge(
        self, rule: RuleReference, channel: Channel, message: Message
    ) -> OutboundMessage | Ruling | None:
        """What to send, or why nothing; None: that will be known in moments."""
        now, line = time.time(), _line(rule, channel, message)
        ruling = self._desk.turned_away(line, message, now) or _held(channel, message)
        if ruling is not None:
            return ruling
        if not self._term.may_act:
            return None  # until the lease is renewed, or another replica is seen to lead
        extension = self._extension_of(rule.resource.key.namespace, message.extension)
        if isinstance(extension, str):
            settling = now < self._term.since + _SETTLE
            return None if settling else Ruling(Verdict.FAILED, extension)
        to = EVERYWHERE if message.is_global else channel.broadcaster_id or ""
        text = self._desk.admit(line, message, extension.client_id, to, now)
        if isinstance(text, Ruling):
            return text
        return OutboundMessage(extension, Perms(to, message.send), text, message.described(text))

    async def _finish(
        self,
        rule: RuleReference,
        channel: Channel,
        message: Message,
        judged: OutboundMessage | None,
        report: Report,
    ) -> None:
        try:
            progress = await self._sent(rule, channel, message, judged)
        except Exception:
            # A fault of ours: told as a verdict, and the next message has its own chance.
            logger.exception("%s: message %s failed", rule.resource.key, message.id)
            told = "an internal fault; see the operator's log"
            progress = Progress(Ruling(Verdict.FAILED, told))
        report(progress)

    async def _sent(
        self,
        rule: RuleReference,
        channel: Channel,
        message: Message,
        letter: OutboundMessage | None,
    ) -> Progress:
        pause = _LOOK
        while letter is None:
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _MOST_PAUSE)
            judged = self._withdrawn(rule, message) or self._judge(rule, channel, message)
            if isinstance(judged, Ruling):
                return Progress(judged)
            letter = judged
        held = partial(self._held_back, rule, channel, message)
        client_id = letter.extension.client_id
        each = self._each.setdefault(client_id, asyncio.Semaphore(_AT_ONCE_EACH))
        async with each, self._all:
            sent = await send_message(self._extensions, letter, held)
        if sent.left:
            rule.remember(_done(message), channel.resource.key.name)
        else:
            self._desk.take_back(_line(rule, channel, message), message)
        if sent.limited:
            self._desk.drain(client_id, letter.perms.channel_id, time.time())
        return Progress(sent.ruling, sent.called_at)

    def _held_back(self, rule: RuleReference, channel: Channel, message: Message) -> Ruling | None:
        """Why a message must not be sent any more."""
        return (
            self._withdrawn(rule, message)
            or message.too_old(time.time())
            or _held(channel, message)
        )

    def _withdrawn(self, rule: RuleReference, message: Message) -> Ruling | None:
        """Whether the rule changed while its message waited."""
        if self._rule(rule.resource.key) is not rule:
            return Ruling(Verdict.SUSPENDED, "the rule was deleted while the message waited")
        if rule.suspended:
            return Ruling(Verdict.SUSPENDED, "the rule was suspended while the message waited")
        if rule.dry_run and not message.dry_run:
            return Ruling(Verdict.SUSPENDED, "the rule became a DryRun while the message waited")
        return None


def _held(channel: Channel, message: Message) -> Ruling | None:
    """Why a channel gets no messages at present."""
    finding = reachable(channel, everywhere=message.is_global)
    if finding.status == "True":
        return None
    held = Readiness.of(finding.reason, finding.message)
    return Ruling(held.verdict, held.detail)


def _done(message: Message) -> DoneBefore:
    return DoneBefore(message.id, message.begins, message.same_as)


def _line(rule: RuleReference, channel: Channel, message: Message) -> RuleChannel:
    return RuleChannel(rule.resource.uid, channel.resource.key.name, message.dry_run)
