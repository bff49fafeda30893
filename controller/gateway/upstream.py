"""Calls to Twitch on behalf of a request: who signs them, and what their failures are answered."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from controller.clients.extension_jwt import Extension, InvalidExtensionSecret
from controller.clients.extensions import NoAnswer, NotSent
from controller.gateway.answers import Refusal, not_ready
from controller.policies.extension_secrets import signing_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.gateway.catalog import Endpoint
    from controller.gateway.metrics import GatewayMetrics

__all__ = ["MAX_CONTENT", "calling", "signer_of"]

logger = logging.getLogger(__name__)

MAX_CONTENT = 4096
"""Characters of Twitch's answer that are handed on."""

_TRY_AGAIN = 10.0  # seconds; a Secret that is missing is looked for as often


def signer_of(served: Endpoint) -> Extension:
    """Who signs the calls of an extension.

    Raises:
        Refusal: None of its secrets is good for it.
    """
    secret = signing_secret(served.secrets, time.time())
    if secret is None:
        raise _no_secret()
    return Extension(served.client_id, served.owner_id, secret.content)


@contextmanager
def calling(metrics: GatewayMetrics, call: str) -> Iterator[None]:
    """Around one call to Twitch: its time is noted, and its failures become answers.

    Raises:
        Refusal: There is no answer of Twitch.
    """
    begin = time.perf_counter()
    try:
        yield
    except InvalidExtensionSecret:
        raise _no_secret() from None
    except (NotSent, NoAnswer) as error:
        logger.warning("%s: %s", call, error)
        if error.timed_out:
            raise Refusal(504, {"detail": "The Twitch API timed out."}) from None
        if isinstance(error, NotSent):
            raise _bad_upstream("The Twitch API could not be reached.") from None
        raise _bad_upstream("The connection to the Twitch API broke.") from None
    finally:
        metrics.upstream.labels(call).observe(time.perf_counter() - begin)


def _bad_upstream(detail: str) -> Refusal:
    return Refusal(
        502,
        {
            "error": "bad_upstream",
            "detail": detail,
            "upstream_status_code": None,
            "upstream_data": None,
        },
    )


def _no_secret() -> Refusal:
    detail = "No secret of the extension is in force at present."
    return not_ready("extension_not_ready", detail, _TRY_AGAIN)
