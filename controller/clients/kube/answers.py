"""What an answer of the API server means: the expected object, a refusal, or no answer at all.

Between the operator and the API server there may be a load balancer, a proxy or a login page. What
they send in its place is no answer: neither an object, nor the news that something does not exist.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from controller.displayable import displayable
from controller.errors import NotLeading, PermanentError, TransientError
from controller.logs import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "KubeConflict",
    "KubeError",
    "KubeExpired",
    "KubeNotFound",
    "KubeNotLeading",
    "KubeUnavailable",
    "read_answer",
    "values_of",
]

_VERBS = {"GET": "get", "PATCH": "patch", "POST": "create", "PUT": "update"}
_NO_SUCH_PATH = b"404 page not found"  # of a group that is not installed: not even a Status
_LONGEST_TOLD = 600  # characters of the server's own words
_WORD = re.compile(r"[A-Za-z0-9+/=_.-]{6,}")


class KubeError(PermanentError):
    """The API server refused a request for good: a 4xx that no retry cures.

    Attributes:
        status: Of the answer.
        verb: What was refused, as a Role has it, such as patch.
    """

    def __init__(self, message: str, status: int, verb: str) -> None:
        super().__init__(message)
        self.status = status
        self.verb = verb


class KubeNotFound(KubeError):
    """404: the object (or its CRD) is not there."""


class KubeConflict(KubeError):
    """409, or a failed test of a JSON patch: the object is not the one that was read."""


class KubeUnavailable(TransientError):
    """The API server is away, slow or overloaded, or something else answers in its place."""


class KubeNotLeading(KubeUnavailable, NotLeading):
    """Nothing was written: this process does not lead, or cannot know that it still does."""


class KubeExpired(KubeUnavailable):
    """410: what a list goes on from is not kept any more; a new list is answered."""


def read_answer(
    method: str, path: str, status: int, content: bytes, kind: str, hidden: Iterable[str] = ()
) -> dict[str, Any]:
    """The object that was asked for.

    Args:
        method: Of the request.
        path: Of the request.
        status: Of the answer.
        content: Of the answer.
        kind: That the answer must be of; a list's items are looked at, too.
        hidden: What the request had that no message may repeat.

    Raises:
        KubeNotFound: There is no such object.
        KubeConflict: The object is not the one that was read.
        KubeError: The API server refuses.
        KubeUnavailable: It cannot answer now, or this is none of its answers.
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    told = answer.get("message") if isinstance(answer, dict) else None
    words = _harmless(told, hidden) if isinstance(told, str) else ""
    message = f"the API server answered {method} {path} with {status}" + (words and f": {words}")
    if 200 <= status < 300:
        if isinstance(answer, dict) and _is_expected(answer, kind):
            return answer
        msg = f"{message}, but not with a {kind}: does a proxy answer in its place?"
        raise KubeUnavailable(msg)
    if status in (429, 401) or status >= 500:
        raise KubeUnavailable(message)
    is_status = isinstance(answer, dict) and answer.get("kind") == "Status"
    if not is_status and not (status == 404 and content.strip() == _NO_SUCH_PATH):
        msg = f"{message}, but not as the API server does: does a proxy answer in its place?"
        raise KubeUnavailable(msg)
    raise _refusal(status, message, words, _VERBS[method])


def _refusal(status: int, message: str, words: str, verb: str) -> KubeError | KubeUnavailable:
    if status == 404:
        return KubeNotFound(message, status, verb)
    if status == 409 or (status == 422 and "testing path" in words):
        return KubeConflict(message, status, verb)
    if status == 410:
        return KubeExpired(message)
    return KubeError(message, status, verb)


def _is_expected(answer: Mapping[str, Any], kind: str) -> bool:
    if answer.get("kind") != kind:
        return False
    if kind == "APIResourceList" or kind.endswith("Review"):
        return True
    if not kind.endswith("List"):
        return _is_object(answer) and isinstance(answer.get("data") or {}, dict)
    meta, items = answer.get("metadata", {}), answer.get("items")
    listed = isinstance(meta, dict) and isinstance(meta.get("continue", ""), str)
    return listed and isinstance(items, list) and all(map(_is_object, items))


def _is_object(item: object) -> bool:
    meta = item.get("metadata") if isinstance(item, dict) else None
    cluster_wide = isinstance(item, dict) and item.get("kind") == "Namespace"
    names = ("name", "uid") if cluster_wide else ("name", "namespace", "uid")
    if not isinstance(meta, dict) or not all(isinstance(meta.get(name), str) for name in names):
        return False
    owners = meta.get("ownerReferences") or []
    maps = (meta.get("labels") or {}, meta.get("annotations") or {})
    return isinstance(owners, list) and all(isinstance(each, dict) for each in [*owners, *maps])


def _harmless(told: str, hidden: Iterable[str]) -> str:
    """The server's own words, without what an admission webhook may quote from the request."""
    values = tuple(hidden)

    def shown(word: re.Match[str]) -> str:
        text = word[0]
        secret = any(text in value or (len(value) > 3 and value in text) for value in values)
        return "***" if secret else text

    text = displayable(redact(_WORD.sub(shown, told) if values else told))
    return text if len(text) <= _LONGEST_TOLD else text[: _LONGEST_TOLD - 1] + "…"


def values_of(data: Mapping[str, str]) -> list[str]:
    """What the data of a Secret holds, as it is sent and as it is meant."""
    values = list(data.values())
    for encoded in data.values():
        try:
            values.append(base64.b64decode(encoded).decode())
        except (binascii.Error, ValueError):
            continue
    return [value for value in values if value]
