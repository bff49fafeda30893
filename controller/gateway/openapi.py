"""What /openapi.json says of the two routes: their headers, bodies and every answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from controller.gateway.request_context import CHANNEL, CLIENT_ID, VERSION

__all__ = ["DESCRIPTION", "SECURITY", "SEND", "SETUP"]

DESCRIPTION = """The backend service of Twitch extensions: `/send/` shows a message to the viewers
of a channel, `/setup/` marks a channel as set up. Paths do with and without the slash at their end.
Each answer has the header `X-Request-Id`, which is the request's own where it has one."""


class Fault(BaseModel):
    """What is wrong."""

    detail: str


class NamedFault(Fault):
    """What is wrong, with a name for programs."""

    error: str


class ChannelNotAllowed(NamedFault):
    """The channel is not one of those that the caller may act for."""

    available_channels: list[str]


class TooLarge(NamedFault):
    """More bytes than are taken."""

    size: int
    limit: int


class TwitchAnswer(BaseModel):
    """What Twitch answered."""

    status: int
    content_type: str
    content: str


class BadUpstream(NamedFault):
    """Twitch refused, or could not be reached."""

    upstream_status_code: int | None
    upstream_data: str | dict[str, Any] | None


class Done(BaseModel):
    """Nothing to tell."""


FieldFaults = dict[str, list[str]]


def _answers(**models: tuple[Any, str]) -> dict[int | str, dict[str, Any]]:
    return {
        int(status.removeprefix("_")): {"model": model, "description": text}
        for status, (model, text) in models.items()
    }


def _with_headers(answer: dict[str, Any], **headers: str) -> dict[str, Any]:
    described = {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    }
    return answer | {"headers": described}


def _header(name: str, text: str, pattern: str | None = r"\S") -> dict[str, Any]:
    """Of one that is required; without a pattern it may be left out, and have any value."""
    valid = {} if pattern is None else {"minLength": 1, "pattern": pattern}
    return {
        "name": name,
        "in": "header",
        "required": pattern is not None,
        "description": text,
        "schema": {"type": "string", **valid},
    }


_CLIENT_ID = _header(CLIENT_ID, "Client id of the extension.")
_CHANNEL = _header(CHANNEL, "Twitch's user id of the channel.")
_RETRY = "Whole seconds until it makes sense to try again."
_NO_ANSWER = "The connection to Twitch failed"
_NOT_READY = "extension_not_ready: no secret of the extension is in force at present"

SECURITY: dict[str, Any] = {
    "oauth2Token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token of the extension's OAuth2 provider.",
    },
    "helperToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The JWT that Twitch's extension helper gives to the front end.",
    },
}

_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["type", "data"],
    "properties": {
        "type": {
            "type": "string",
            "minLength": 1,
            "pattern": r"\S",
            "description": "Tells the front end what the message is.",
        },
        "data": {"type": "object", "description": "What it carries."},
        "version": {"type": "integer", "default": 0, "description": "Of the message's form."},
    },
}

_SEND_TOO_LARGE = (
    "message_too_large: the message has more than 5,120 bytes of UTF-8 with its envelope;"
    " body_too_large: the body is not even read."
)
_SEND_ANSWERS = _answers(
    _200=(TwitchAnswer, "Twitch took the message."),
    _400=(Fault | FieldFaults, "A header is missing or wrong; the body is; or its fields are."),
    _401=(Fault, "The bearer token is missing or not valid."),
    _403=(ChannelNotAllowed, "The channel is not linked to the token's account."),
    _413=(TooLarge, _SEND_TOO_LARGE),
    _429=(NamedFault, "rate_limited: 100 messages for each channel, and one more each second."),
    _502=(TwitchAnswer | BadUpstream, f"Twitch refused the message. {_NO_ANSWER}: bad_upstream."),
    _503=(
        NamedFault,
        f"authorization_unavailable: the OAuth2 provider cannot be asked; {_NOT_READY}.",
    ),
    _504=(Fault, "Twitch gave no answer in time."),
)
_SEND_ANSWERS[401] = _with_headers(_SEND_ANSWERS[401], WWW_Authenticate="Bearer")
_SEND_ANSWERS[429] = _with_headers(_SEND_ANSWERS[429], Retry_After=_RETRY)
_SEND_ANSWERS[503] = _with_headers(_SEND_ANSWERS[503], Retry_After=_RETRY)

_SETUP_FORBIDDEN = (
    "invalid_authorization, invalid_jwt, expired_signature, missing_payload_key,"
    " unauthorized_role, account_not_linked: the JWT; channel_not_allowed: its channel is another"
    " than the header's."
)
_SETUP_ANSWERS = _answers(
    _200=(Done, "The channel is marked as set up."),
    _400=(Fault, "A header is missing or wrong."),
    _403=(ChannelNotAllowed | NamedFault, _SETUP_FORBIDDEN),
    _502=(BadUpstream, f"Twitch refused. {_NO_ANSWER}: upstream_status_code is null."),
    _503=(NamedFault, f"{_NOT_READY}."),
    _504=(Fault, "Twitch gave no answer in time."),
)
_SETUP_ANSWERS[503] = _with_headers(_SETUP_ANSWERS[503], Retry_After=_RETRY)

SEND: dict[str, Any] = {
    "summary": "Show a message to the viewers of a channel",
    "description": "At most once: nothing is sent again.",
    "operation_id": "send",
    "response_model": TwitchAnswer,
    "responses": _SEND_ANSWERS,
    "openapi_extra": {
        "security": [{"oauth2Token": []}],
        "parameters": [_CLIENT_ID, _CHANNEL, _header(VERSION, "Ignored.", None)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}},
    },
}
"""How /send/ is described; arguments of `FastAPI.add_api_route`."""

SETUP: dict[str, Any] = {
    "summary": "Mark a channel as set up",
    "description": "By its broadcaster, from the extension's own front end. Needs no body.",
    "operation_id": "setup",
    "response_model": Done,
    "responses": _SETUP_ANSWERS,
    "openapi_extra": {
        "security": [{"helperToken": []}],
        "parameters": [
            _CLIENT_ID,
            _CHANNEL,
            _header(VERSION, "Version of the extension.", r"^[A-Za-z0-9._+-]{1,32}$"),
        ],
    },
}
"""The same for /setup/."""
