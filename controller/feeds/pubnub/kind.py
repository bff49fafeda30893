"""PubNub as a kind of feeds. What speaks to PubNub is imported where it is needed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from controller.errors import OperatorError, TransientError
from controller.feeds.base import FeedKind, Past, SecretNeed
from controller.feeds.pubnub.keys import PubNubKeys
from controller.feeds.pubnub.spec import PubNubSettings, PubNubSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clients.kube import Secret
    from controller.feeds.base import Feed, Sink, Span
    from controller.settings import Settings

__all__ = ["PubNub"]


class PubNub(FeedKind[PubNubSpec, PubNubKeys]):
    """Messages on channels of PubNub; a feed for each key set."""

    name = "pubnub"
    title = "PubNub"
    description = "Messages that the playout system publishes on PubNub."
    spec_model = PubNubSpec
    settings = PubNubSettings
    # The subscribe key stands in the path.
    redactions: ClassVar[Mapping[str, str]] = {r"(/v2/subscribe/)[^/\s]+": r"\1***"}
    # The SDK reports each failed request, URL and all; the feed tells the same without.
    loggers: ClassVar[Mapping[str, int]] = {"pubnub": logging.CRITICAL}

    def topics(self, spec: PubNubSpec) -> tuple[str, ...]:
        """The names of its channels."""
        return spec.topics

    def secret(self, spec: PubNubSpec) -> SecretNeed:
        """The Secret with the key set."""
        return SecretNeed("spec.feed.pubnub.secretRef", spec.secret_ref.name, "subscribe-key")

    def key(self, spec: PubNubSpec, secret: Secret | None) -> PubNubKeys:
        """The key set."""
        assert secret is not None  # noqa: S101 - one is needed
        return PubNubKeys.read(secret, spec.secret_ref.name)

    def load(self) -> None:
        """Import the SDK, which takes a second."""
        import controller.feeds.pubnub.feed  # noqa: F401, PLC0415 - see above

    def open(self, key: PubNubKeys, settings: Settings, sink: Sink) -> Feed:
        """Make a feed for a key set."""
        from controller.feeds.pubnub.feed import PubNubFeed  # noqa: PLC0415 - as above

        return PubNubFeed(key, settings, sink)

    def remedy(self, spec: PubNubSpec, reason: str) -> str | None:
        """What to do about keys that are refused, or do not decrypt."""
        secret = f"Secret {spec.secret_ref.name} (spec.feed.pubnub.secretRef)"
        match reason:
            case "AccessDenied":
                return f"check subscribe-key and auth-key in {secret} and the topics' access"
            case "DecryptionFailed":
                return f"cipher-key in {secret} must be the key that the publishers encrypt with"
        return None

    async def read_past(
        self,
        spec: PubNubSpec,
        key: PubNubKeys,
        settings: Settings,
        span: Span,
        progress: Callable[[int], None],
    ) -> Past:
        """Read PubNub's history."""
        from controller.feeds.pubnub.backtest_history import read_past  # noqa: PLC0415 - as above

        try:
            return await read_past(key, settings, span, progress)
        except TransientError as error:
            msg = (
                f"PubNub's history could not be read: {error}. It needs Message Persistence for the"
                f" key set of Secret {spec.secret_ref.name}, and the right to read it"
            )
            raise OperatorError(msg) from None
