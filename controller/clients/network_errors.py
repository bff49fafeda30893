"""Why a call got no answer, in words for people."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING

import aiohttp
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["in_words"]

_BROKEN_OFF = (
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.RemoteProtocolError,
)
_NO_URL = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
_UNEXPECTED = (httpx.DecodingError, httpx.TooManyRedirects, aiohttp.ClientResponseError, ValueError)


def in_words(error: BaseException) -> str:
    """Say why a call got no answer.

    Args:
        error: Of httpx, aiohttp, the PubNub SDK or the system; what led to it is looked at as well.

    Returns:
        Such as `connection refused`: no sentence, and nothing of the request.
    """
    chain = list(_chain(error))
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not trusted ({each.verify_message or each.reason})"
        if isinstance(each, ssl.SSLError):
            return f"TLS failed ({(each.reason or 'no reason given').replace('_', ' ').lower()})"
        if isinstance(each, socket.gaierror):
            return "its name could not be resolved"
        if isinstance(each, httpx.ConnectTimeout | aiohttp.ConnectionTimeoutError):
            return "the connection timed out"
        if isinstance(each, httpx.PoolTimeout):
            return "no connection was free in time"
        if isinstance(each, _NO_URL):
            return "its URL is not valid"
    for each in chain:
        told = _of(each)
        if told is not None:
            return told
    return "the connection failed"


def _of(error: BaseException) -> str | None:
    match error:
        case TimeoutError() | httpx.TimeoutException():
            return "no answer in time"
        case OSError(errno=errno.ECONNREFUSED):
            return "connection refused"
        case _ if isinstance(error, _BROKEN_OFF):
            return "the connection was broken off"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()
        case _ if isinstance(error, _UNEXPECTED):
            return "its answer cannot be read"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, the innermost first."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, BaseException) or each in seen:
            continue
        seen.append(each)
        waiting.append(each.__cause__ or each.__context__)  # httpcore hides what it comes from
        waiting += [getattr(each, name, None) for name in ("os_error", "certificate_error")]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
    return reversed(seen)
