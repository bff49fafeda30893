"""A channel's status: from what runs, and back to it after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.arbiter.arbiter import Arbiter
from controller.arbiter.memory import Memory
from controller.arbiter.steps import BY_HAND, CueRecord
from controller.channels.policies.grant_facts import Known
from controller.events import Verdict
from controller.resources.commercials import DEFAULT_POLICY
from controller.resources.twitchchannel import (
    AdScheduleStatus,
    AuthorizationStatus,
    Broadcaster,
    Commercials,
    RecentCue,
    TwitchChannelStatus,
)

if TYPE_CHECKING:
    from controller.channels.grant.manager import GrantManager
    from controller.clients.helix import User
    from controller.events import AdSchedule
    from controller.runtime.resource import Resource
    from controller.term import Term

__all__ = [
    "Remembered",
    "ad_schedule",
    "authorization",
    "broadcaster",
    "claim_of",
    "claimed",
    "commercials",
    "known",
    "remembered",
    "remembering_arbiter",
]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a status remembers of the commercials.

    Attributes:
        cues: What was called for.
        next_eligible: When the cooldown ends.
        retry_after: Cooldown that Twitch's last answer imposed, in seconds.
        last_ad: When the last ad began that is told of.
        last_confirmed: When the last commercial began that was confirmed.
    """

    cues: tuple[CueRecord, ...]
    next_eligible: float | None
    retry_after: float | None
    last_ad: float | None
    last_confirmed: float | None


def claim_of(status: TwitchChannelStatus) -> str | None:
    """Id of the broadcaster whose grant a channel has, as its status tells."""
    held = any(c.type == "Authorized" and c.status == "True" for c in status.conditions)
    return status.broadcaster.id if status.broadcaster is not None and held else None


def claimed(resource: Resource) -> str | None:
    """The same, of a channel that another shard acts for."""
    return claim_of(TwitchChannelStatus.from_status(resource.status))


def remembered(status: TwitchChannelStatus) -> Remembered:
    """Read what a former process wrote."""
    told = status.commercials or Commercials()
    return Remembered(
        cues=tuple(_record(cue) for cue in told.recent_cues),
        next_eligible=told.next_eligible_time,
        retry_after=told.retry_after_seconds,
        last_ad=status.ad_schedule.last_ad_time if status.ad_schedule is not None else None,
        last_confirmed=told.last_confirmed_time,
    )


def remembering_arbiter(status: TwitchChannelStatus, term: Term, call_timeout: float) -> Arbiter:
    """An arbiter that goes on from what a former process wrote.

    Args:
        status: As it was found.
        term: Since when this process decides.
        call_timeout: Seconds after which an unanswered call can no longer act.
    """
    known = remembered(status)
    memory = Memory(known.cues, known.next_eligible)
    return Arbiter(DEFAULT_POLICY, term, call_timeout, memory=memory, last_ad=known.last_ad)


def _record(cue: RecentCue) -> CueRecord:
    return CueRecord(
        cue.cue_id,
        cue.publish_time,
        cue.start_time or cue.publish_time,
        cue.length_seconds or 0,
        _RESULTS.get(cue.result, Verdict.FIRED),
        due=cue.due_time,
        break_seconds=cue.break_seconds,
        accepted=cue.accepted_seconds,
        rule=cue.rule or BY_HAND,
    )


_RESULTS = {verdict.value: verdict for verdict in Verdict}


def broadcaster(
    user: User | None, known: Known | None, before: Broadcaster | None
) -> Broadcaster | None:
    """Who gave the grant; as told before where that is not known at present.

    Args:
        user: Whose grant it is.
        known: Who was found under `spec.login`.
        before: As told before.
    """
    if user is None:
        return before
    return Broadcaster(
        id=user.id,
        login=user.login,
        display_name=user.display_name,
        type=user.broadcaster_type or None,
        matched_login=known.login if known is not None and known.id == user.id else None,
    )


def known(before: Broadcaster | None) -> Known | None:
    """Who was found under `spec.login` by a former process."""
    if before is None or before.matched_login is None:
        return None
    return Known(before.id, before.matched_login)


def authorization(
    grant_manager: GrantManager, before: AuthorizationStatus | None, *, tried: bool
) -> AuthorizationStatus | None:
    """The grant and the access token.

    Args:
        grant_manager: Of the grant.
        before: As told before.
        tried: Whether the grant was looked at yet.
    """
    grant, device = grant_manager.grant, grant_manager.device
    if grant is None and device is None and (before is None or not tried):
        return before
    told = before or AuthorizationStatus()
    return AuthorizationStatus(
        scopes=(grant.scopes or ()) if grant is not None else (),
        expiration_time=(grant.expires_at or None) if grant is not None else None,
        last_refresh_time=grant_manager.last_refresh or told.last_refresh_time,
        last_validation_time=grant_manager.last_validation or told.last_validation_time,
        verification_uri=device.verification_uri if device is not None else None,
        user_code=device.user_code if device is not None else None,
        user_code_expiration_time=device.expires_at if device is not None else None,
    )


def commercials(arbiter: Arbiter, before: Commercials | None) -> Commercials | None:
    """What ran, and when the next may."""
    memory = arbiter.memory
    last, recent = memory.last_fired, memory.recent
    if not recent and memory.next_eligible is None:
        return before
    told = before or Commercials()
    retry_after = memory.retry_after
    return Commercials(
        last_start_time=last.started if last is not None else told.last_start_time,
        last_length_seconds=(
            (last.accepted or last.length) if last is not None else told.last_length_seconds
        ),
        last_message=memory.last_message or told.last_message,
        retry_after_seconds=(
            round(retry_after) if retry_after is not None else told.retry_after_seconds
        ),
        next_eligible_time=memory.next_eligible,
        last_confirmed_time=arbiter.ads.last_confirmed,
        recent_cues=tuple(_recent_cue(record) for record in recent),
    )


def _recent_cue(record: CueRecord) -> RecentCue:
    return RecentCue(
        cue_id=record.cue_id,
        publish_time=record.published,
        start_time=record.started,
        length_seconds=record.length,
        result=record.result.value,
        due_time=record.due,
        break_seconds=round(record.break_seconds, 3) if record.break_seconds is not None else None,
        accepted_seconds=record.accepted,
        rule=record.rule or None,
    )


def ad_schedule(
    schedule: AdSchedule | None, before: AdScheduleStatus | None
) -> AdScheduleStatus | None:
    """What Twitch tells of the channel's ads."""
    if schedule is None:
        return before
    return AdScheduleStatus(
        last_ad_time=schedule.last_ad,
        next_ad_time=schedule.next_ad,
        snooze_count=schedule.snooze_count,
        preroll_free_seconds=schedule.preroll_free,
    )
