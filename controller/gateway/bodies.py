"""The body of /send/: read within bounds, parsed, and checked field by field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from controller.gateway.answers import Refusal
from controller.policies.envelope import EnvelopeTooLarge, InvalidEnvelope, envelope

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["MAX_BODY", "envelope_of", "read_body"]

MAX_BODY = 64 * 1024
"""Bytes of a body that are read: what fits an envelope is shorter, however it is written."""

_REQUIRED = "This field is required."


async def read_body(request: Request) -> bytes:
    """Read a body.

    Raises:
        Refusal: It has more than `MAX_BODY` bytes, by what it says or by what comes.
        ClientDisconnect: The client has gone.
    """
    declared = request.headers.get("Content-Length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > MAX_BODY:
        raise _too_large(int(declared))
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _too_large(len(body))
    return body


def envelope_of(body: bytes) -> str:
    """The message for extension PubSub that a body asks for.

    Args:
        body: `{"type": …, "data": …, "version": …}`; other fields are nothing to it.

    Raises:
        Refusal: It is not that, or does not fit.
    """
    message = _parse(body)
    if not isinstance(message, dict):
        raise _faulty({"non_field_errors": f"An object is expected, not {_name(message)}."})
    faults = {
        field: fault
        for field, check in (("type", _type_fault), ("data", _data_fault))
        if (fault := check(message[field]) if field in message else _REQUIRED)
    }
    version = message.get("version", 0)
    if isinstance(version, bool) or not isinstance(version, int):
        faults["version"] = f"An integer is expected, not {_name(version)}."
    if faults:
        raise _faulty(faults)
    try:
        return envelope(message["type"], message["data"], version)
    except EnvelopeTooLarge as error:
        raise _message_too_large(error) from None
    except InvalidEnvelope as error:
        raise _faulty({"non_field_errors": str(error)}) from None


def _parse(body: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return _decode(body.decode())
    except UnicodeDecodeError:
        fault = "not UTF-8"
    except json.JSONDecodeError as error:
        fault = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        fault = "nested too deep"
    except ValueError:
        fault = "a number that cannot be read"
    raise Refusal(400, {"detail": f"JSON parse error: {fault}"})


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


# Made once: json.loads with options makes a decoder for each call.
_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def _type_fault(value: object) -> str | None:
    if not isinstance(value, str):
        return f"A string is expected, not {_name(value)}."
    return None if value.strip() else "This field may not be blank."


def _data_fault(value: object) -> str | None:
    return None if isinstance(value, dict) else f"An object is expected, not {_name(value)}."


def _name(value: object) -> str:
    """What JSON calls it."""
    for kind, name in (
        (type(None), "null"),
        (bool, "a boolean"),
        (str, "a string"),
        (list, "an array"),
        (dict, "an object"),
    ):
        if isinstance(value, kind):
            return name
    return "a number"


def _faulty(faults: dict[str, str]) -> Refusal:
    return Refusal(400, {field: [fault] for field, fault in faults.items()})


def _too_large(size: int) -> Refusal:
    return Refusal(
        413,
        {
            "error": "body_too_large",
            "detail": f"The body has {size} bytes or more, and at most {MAX_BODY} are read.",
            "size": size,
            "limit": MAX_BODY,
        },
    )


def _message_too_large(error: EnvelopeTooLarge) -> Refusal:
    return Refusal(
        413,
        {
            "error": "message_too_large",
            "detail": str(error),
            "size": error.size,
            "limit": error.limit,
        },
    )
