"""The kinds of feeds, by the name of their field in `spec.feed`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.errors import InvalidSecret
from controller.feeds.base import FeedKind, Source
from controller.feeds.hls.kind import Hls
from controller.feeds.pubnub.kind import PubNub
from controller.logs import quieten, redact_also
from controller.policies.problems import Blocked, missing_secret
from controller.resources.one_of import Registry
from controller.resources.triggerrule import FEED
from controller.settings import PARTS

if TYPE_CHECKING:
    from controller.clients.kube import Secret
    from controller.feeds.base import Feed, SecretNeed, Sink
    from controller.resources.one_of import Chosen
    from controller.settings import Settings

__all__ = ["FEEDS", "named", "needed_secret", "source_of", "topics_of"]

AnyKind = FeedKind[Any, Any]


class _Feeds(Registry[AnyKind]):
    def add(self, kind: AnyKind) -> None:
        super().add(kind)
        if kind.settings is not None:
            PARTS[kind.name] = kind.settings
        for pattern, replacement in kind.redactions.items():
            redact_also(pattern, replacement)
        for logger, level in kind.loggers.items():
            quieten(logger, level)

    def load(self) -> None:
        """Import what feeds need, which takes longer than an event may wait."""
        for kind in self:
            kind.load()

    def open(self, source: Source, settings: Settings, sink: Sink) -> Feed:
        """Make a feed that listens to nothing yet."""
        return self._kinds[source.kind].open(source.key, settings, sink)

    def remove(self, name: str) -> None:
        super().remove(name)
        PARTS.pop(name, None)


FEEDS: Final = _Feeds(FEED)
FEEDS.add(PubNub())
FEEDS.add(Hls())


def topics_of(feed: Chosen) -> tuple[str, ...]:
    """What a rule with this `spec.feed` listens to."""
    return FEEDS.of(feed).topics(feed.spec)


def needed_secret(feed: Chosen) -> SecretNeed | None:
    """The Secret that a rule with this `spec.feed` needs; None: none."""
    return FEEDS.of(feed).secret(feed.spec)


def source_of(feed: Chosen, secret: Secret | None, namespace: str) -> Source | Blocked:
    """What a rule with this `spec.feed` listens at, or why that is not known.

    Args:
        feed: The rule's.
        secret: The one that it needs; None: there is none.
        namespace: Of the rule.
    """
    need = needed_secret(feed)
    if need is not None and secret is None:
        return missing_secret(need.field, need.name, namespace, need.keys)
    try:
        return Source(feed.kind, FEEDS.of(feed).key(feed.spec, secret))
    except InvalidSecret as error:
        where = need.field if need is not None else f"spec.feed.{feed.kind}"
        return Blocked("InvalidSecret", f"{where}: {error}", human=True)


def named(feed: Chosen, namespace: str) -> str:
    """Name a feed for people: by its Secret, where it has one."""
    need = needed_secret(feed)
    return f"Secret {namespace}/{need.name}" if need is not None else FEEDS.of(feed).title
