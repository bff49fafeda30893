"""What makes two HLS feeds the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from controller.clients.secret_values import text_of_key
from controller.errors import InvalidSecret
from controller.feeds.hls.renditions import Choice
from controller.policies.gateway_checks import host_of, host_refusal

if TYPE_CHECKING:
    from controller.clients.kube import Secret
    from controller.feeds.hls.spec import HlsSpec
    from controller.sensitive import Sensitive

__all__ = ["HlsKey"]

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_MAX_HEADERS = 20
_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})


class HlsKey(NamedTuple):
    """Headers and rendition.

    Attributes:
        host: The only host that gets the headers; empty: there are none.
        headers: Name and value of each.
        rendition: Which one of a master playlist is read.
    """

    host: str
    headers: tuple[tuple[str, Sensitive], ...]
    rendition: Choice

    @classmethod
    def read(cls, spec: HlsSpec, secret: Secret | None) -> HlsKey:
        """Read it from a rule and its Secret.

        Raises:
            InvalidSecret: The Secret does not allow the host, or a key of it is not a header.
        """
        rendition = Choice.of(spec.rendition)
        if secret is None or spec.secret_ref is None:
            return cls("", (), rendition)
        name, host = spec.secret_ref.name, host_of(spec.url)
        refusal = host_refusal(name, secret.annotations, host)
        if refusal is not None:
            raise InvalidSecret(refusal)
        wrong = [k for k in secret.data if not _HEADER.fullmatch(k) or k.lower() in _OURS]
        if wrong or len(secret.data) > _MAX_HEADERS or not secret.data:
            problem = f"{wrong[0]} is not one" if wrong else f"it has {len(secret.data)}"
            msg = (
                f"Secret {name} must have 1 to {_MAX_HEADERS} keys, each the name of an HTTP"
                f" header: {problem}"
            )
            raise InvalidSecret(msg)
        values = ((key, text_of_key(secret, name, key)) for key in sorted(secret.data))
        return cls(host, tuple(values), rendition)
