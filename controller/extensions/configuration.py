"""Keeps an extension's configuration at Twitch as an ExtensionApp declares it.

It does what `policies.configuration.plan` says, and remembers the outcome.
"""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from controller.clients.extensions import ExtensionRefused, SegmentContent
from controller.clients.helix import Unauthorized
from controller.errors import RateLimited, TransientError
from controller.extensions.configuration_record import ConfigurationRecord
from controller.extensions.policies import configuration as policy
from controller.extensions.policies.configuration_facts import (
    Budget,
    ConfigurationFacts,
    Content,
    Failure,
    Mark,
    Seen,
    Want,
    marks,
    wants,
)
from controller.runtime.owned_secrets import jitter
from controller.runtime.plan_loop import Unsettled, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.clients.extension_jwt import Extension
    from controller.clients.extensions import Extensions, UpstreamAnswer
    from controller.policies.findings import Finding
    from controller.resources.extensionapp import ExtensionAppSpec, SegmentStatus
    from controller.runtime.resource import Key
    from controller.settings import Settings

__all__ = ["ConfigurationManager"]

logger = logging.getLogger(__name__)

_LONGEST_ROUND = 10.0  # seconds; the extension's secrets must not wait longer than that
_MOST_STEPS = 100  # Twitch takes fewer calls a minute
_MAX_TEXT = 300


class ConfigurationManager:
    """The configuration of one ExtensionApp.

    Args:
        key: The ExtensionApp.
        extensions: Twitch.
        settings: Intervals.
        remembered: What the status tells.

    Attributes:
        doubted: In the last round Twitch refused a call as one of somebody who may not make it: the
            secret that signed may be lost, which only a look at the secrets can tell.
    """

    def __init__(
        self,
        key: Key,
        extensions: Extensions,
        settings: Settings,
        remembered: Iterable[SegmentStatus] = (),
    ) -> None:
        self._key = key
        self._extensions = extensions
        self._interval = settings.extension_check_interval
        self._jitter = jitter(str(key))
        self._record = ConfigurationRecord(remembered)
        self._wants: tuple[Want, ...] = ()
        self._required: tuple[Mark, ...] = ()
        self._seen: dict[str | None, Seen] = {}
        self._failures: dict[tuple[str, str | None], Failure] = {}
        self._gets, self._puts = Budget(), Budget()
        self._signer: Extension | None = None
        self.doubted = False

    def segments(self) -> tuple[SegmentStatus, ...]:
        """What there is to tell of the segments, and of the required configuration of channels."""
        return self._record.segments

    @property
    def finding(self) -> Finding | None:
        """The condition ConfigurationSynced.

        None: no segment is declared, or `reconcile` was not called yet.
        """
        return self._record.finding

    def recall(self, remembered: Iterable[SegmentStatus]) -> None:
        """Take what the status tells of another process' work."""
        self._record = ConfigurationRecord(remembered)

    def recheck(self) -> None:
        """Look anew at all at the next round, and try again what Twitch refused."""
        self._seen.clear()
        self._failures.clear()

    async def reconcile(
        self,
        spec: ExtensionAppSpec,
        extension: Extension,
        broadcaster_of: Callable[[str], str | None],
    ) -> float | None:
        """Do what is due, for some seconds at most.

        Args:
            spec: What the user wants.
            extension: Who signs.
            broadcaster_of: The broadcaster id of a TwitchChannel of the same namespace, by its
                name; None: it is not known, or is another channel's.

        Returns:
            When to come back (seconds since the epoch; a time that is over: there is more to do);
            None: when the spec or a channel changes.

        Raises:
            InvalidExtensionSecret: The secret is not base64 text.
            TransientError: To be tried again with growing pauses; another channel comes first then.
        """
        self._declare(spec, broadcaster_of)
        self._sign_with(extension)
        try:
            rest, _ = await settle(
                self._look_around,
                policy.plan,
                partial(self._try, extension),
                most=_MOST_STEPS,
                within=_LONGEST_ROUND,
                unsettled="there is more to do",
            )
            return rest.until
        except Unsettled:
            return time.time()
        finally:
            self._record.tell(self._facts())

    def _declare(self, spec: ExtensionAppSpec, broadcaster_of: Callable[[str], str | None]) -> None:
        """Take what is declared now, and forget what is not declared any more."""
        self._wants = wants(spec, broadcaster_of)
        self._required = marks(spec, self._wants)
        keys = {want.key for want in self._wants} | {mark.key for mark in self._required}
        self._failures = {key: failure for key, failure in self._failures.items() if key in keys}
        places = {want.broadcaster_id for want in self._wants if want.reachable}
        self._seen = {place: seen for place, seen in self._seen.items() if place in places}

    def _sign_with(self, extension: Extension) -> None:
        """What was refused with another secret is tried again with this one."""
        if extension != self._signer:
            failures = self._failures.items()
            self._failures = {key: failure for key, failure in failures if failure.passing}
        self._signer, self.doubted = extension, False

    async def _look_around(self) -> ConfigurationFacts:
        return self._facts()

    def _facts(self) -> ConfigurationFacts:
        return ConfigurationFacts(
            wants=self._wants,
            marks=self._required,
            seen=self._seen,
            failures=self._failures,
            marked=self._record.marked,
            gets=self._gets,
            puts=self._puts,
            check_interval=self._interval,
            jitter=self._jitter,
        )

    async def _try(self, extension: Extension, step: policy.Step, _: ConfigurationFacts) -> None:
        """Make a call, and take note of what came of it.

        Raises:
            TransientError: It may pass, and Twitch did not say when.
        """
        try:
            await self._do(step, extension)
        except RateLimited as error:
            now = time.time()
            logger.info("%s: %s; waiting", self._key, error)
            if isinstance(step, policy.Look):
                self._gets = self._gets.refused(now, error.retry_after)
            else:
                self._puts = self._puts.refused(now, error.retry_after)
        except (Unauthorized, ExtensionRefused) as error:
            logger.warning("%s: %s", self._key, error)
            self._note(step, error, passing=False)
            self.doubted = self.doubted or isinstance(error, Unauthorized)
        except TransientError as error:
            self._note(step, error, passing=True)
            raise
        finally:
            # Twitch counted the call at some time before now, whatever it answered.
            if isinstance(step, policy.Look):
                self._gets = self._gets.spent(time.time())
            else:
                self._puts = self._puts.spent(time.time())

    async def _do(self, step: policy.Step, extension: Extension) -> None:
        if isinstance(step, policy.Look):
            await self._look(step, extension)
        elif isinstance(step, policy.Set):
            await self._set(step.want, extension)
        else:
            await self._set_required(step.mark, extension)

    async def _look(self, look: policy.Look, extension: Extension) -> None:
        place = look.broadcaster_id
        found = await self._extensions.configuration(extension, look.segments, place)
        contents = {
            segment: Content(had.content, had.version) if (had := found.get(segment)) else None
            for segment in look.segments
        }
        self._seen[place] = Seen(time.time(), contents)
        for segment in look.segments:
            failure = self._failures.get((segment, place))
            if failure is not None and failure.of is None:
                del self._failures[segment, place]

    async def _set(self, want: Want, extension: Extension) -> None:
        content = SegmentContent(want.content.text, want.content.version)
        await self._extensions.set_configuration(
            extension, want.segment, want.broadcaster_id, content
        )
        place = want.broadcaster_id
        self._seen[place] = self._seen[place].but(want.segment, want.content)
        self._failures.pop(want.key, None)
        self._record.was_set(want)
        whose = f" of {want.channel}" if want.channel is not None else ""
        logger.info("%s: the %s segment%s was set", self._key, want.segment, whose)

    async def _set_required(self, mark: Mark, extension: Extension) -> None:
        _check(
            await self._extensions.set_required_configuration(
                extension, mark.broadcaster_id or "", mark.version, mark.value
            )
        )
        self._record.was_marked(mark)
        self._failures.pop(mark.key, None)
        logger.info("%s: the required configuration of %s was set", self._key, mark.channel)

    def _note(self, step: policy.Step, error: Exception, *, passing: bool) -> None:
        now, told = time.time(), str(error)
        if isinstance(step, policy.Look):
            for segment in step.segments:
                failure = Failure(told, now, passing)
                self._failures[segment, step.broadcaster_id] = failure
            return
        thing = step.want if isinstance(step, policy.Set) else step.mark
        self._failures[thing.key] = Failure(told, now, passing, thing.sha256)
        if isinstance(step, policy.Set) and passing:
            # It may have been set, and somebody else may set it until the next try.
            place = step.want.broadcaster_id
            self._seen[place] = self._seen[place].without(step.want.segment)


def _check(answer: UpstreamAnswer) -> None:
    """Raise for all but success."""
    if 200 <= answer.status < 300:
        return
    text = _message_of(answer.content)
    told = f"Twitch answered PUT /extensions/required_configuration with {answer.status}"
    told += text and f": {text}"
    if answer.status in (401, 403):
        raise Unauthorized(told)
    if answer.status == 429:
        raise RateLimited(told, retry_after=answer.retry_after)
    if answer.status >= 500:
        raise TransientError(told)
    raise ExtensionRefused(told)


def _message_of(content: str) -> str:
    """The `message` of Twitch's error body, shortened; never the body."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    message = body.get("message") if isinstance(body, dict) else None
    return message[:_MAX_TEXT] if isinstance(message, str) else ""
