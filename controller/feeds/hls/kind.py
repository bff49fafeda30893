"""HLS playlists as a kind of feeds. What reads them is imported where it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.events import Ruling, Verdict
from controller.feeds.base import FeedKind, SecretNeed
from controller.feeds.hls.keys import HlsKey
from controller.feeds.hls.spec import HlsSettings, HlsSpec

if TYPE_CHECKING:
    from controller.clients.kube import Secret
    from controller.events import Event
    from controller.feeds.base import Feed, Sink
    from controller.settings import Settings

__all__ = ["Hls"]


class Hls(FeedKind[HlsSpec, HlsKey]):
    """Ad breaks that are marked in HLS playlists."""

    name = "hls"
    title = "HLS"
    description = "Ad breaks that an encoder or packager marks in an HLS playlist."
    spec_model = HlsSpec
    settings = HlsSettings

    def topics(self, spec: HlsSpec) -> tuple[str, ...]:
        """The URL of its playlist."""
        return (spec.url,)

    def secret(self, spec: HlsSpec) -> SecretNeed | None:
        """The Secret with the headers."""
        if spec.secret_ref is None:
            return None
        return SecretNeed("spec.feed.hls.secretRef", spec.secret_ref.name, "Authorization")

    def key(self, spec: HlsSpec, secret: Secret | None) -> HlsKey:
        """Headers and rendition."""
        return HlsKey.read(spec, secret)

    def load(self) -> None:
        """Import the HTTP client."""
        import controller.feeds.hls.feed  # noqa: F401, PLC0415 - see above

    def open(self, key: HlsKey, settings: Settings, sink: Sink) -> Feed:
        """Make a feed for some headers and a rendition."""
        from controller.feeds.hls.feed import HlsFeed  # noqa: PLC0415 - as above

        return HlsFeed(key, settings, sink)

    def passes_over(self, spec: HlsSpec, event: Event) -> Ruling | None:
        """A break that ran already when it was first seen starts nothing, unless the rule says."""
        if spec.join_running or not event.payload.get("joined"):
            return None
        over = event.payload.get("elapsed_sec")
        detail = (
            f"the break had been running for {over} s when it was first seen:"
            " spec.feed.hls.joinRunning is false"
        )
        return Ruling(Verdict.EXPIRED, detail)

    def remedy(self, spec: HlsSpec, reason: str) -> str | None:
        """What to do about what does not pass by itself."""
        match reason:
            case "AccessDenied" if spec.secret_ref is not None:
                return (
                    f"check the headers in Secret {spec.secret_ref.name} (spec.feed.hls.secretRef)"
                )
            case "AccessDenied":
                return "name a Secret with the headers that it wants in spec.feed.hls.secretRef"
            case "RenditionNotFound":
                return "correct spec.feed.hls.rendition"
            case "HostNotAllowed" | "InvalidPlaylist":
                return "correct spec.feed.hls.url"
        return None
