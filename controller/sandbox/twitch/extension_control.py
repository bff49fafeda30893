"""The simulator's own endpoints about extensions: what their console does, and what came of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from controller.sandbox.twitch.bodies import (
    DelayBody,
    ExtensionBody,
    FingerprintBody,
    HelperTokenBody,
)
from controller.sandbox.twitch.control import ROOT, Ask, Endpoint

if TYPE_CHECKING:
    from controller.sandbox.twitch.extensions import Extension

__all__ = ["EXTENSION_ENDPOINTS"]

Json = dict[str, Any]


def _extensions(ask: Ask[None]) -> list[Json]:
    now = ask.twitch.clock()
    return [_shown(extension, now) for extension in ask.twitch.extensions.all()]


def _extension(ask: Ask[None]) -> Json:
    return _shown(ask.twitch.extensions.named(ask.name), ask.twitch.clock())


def _shown(extension: Extension, now: float) -> Json:
    return {
        "client_id": extension.client_id,
        "owner_id": extension.owner_id,
        "created": extension.created,
        "secrets": [
            {
                "fingerprint": secret.fingerprint,
                "active_at": secret.active,
                "expires_at": secret.expires,
                "state": extension.state(secret, now),
            }
            for secret in extension.secrets
        ],
        "received": extension.received,
        "messages": [asdict(message) for message in extension.messages],
        "segments": [
            {"segment": segment, "broadcaster_id": whose, "content": content, "version": version}
            for (segment, whose), (content, version) in extension.segments.items()
        ],
        "required_configurations": [
            {"broadcaster_id": whose, "version": version, "value": value}
            for whose, (version, value) in extension.required.items()
        ],
    }


def _add(ask: Ask[ExtensionBody]) -> Json:
    made = ask.twitch.add_extension(**ask.body.model_dump())
    return {"client_id": made.client_id, "secret": made.secrets[0].content}


def _create_secret(ask: Ask[DelayBody]) -> Json:
    extensions = ask.twitch.extensions
    extension, now = extensions.named(ask.name), ask.twitch.clock()
    made = extensions.create_secret(extension, ask.body.delay, now)
    return {"secret": made.content, "fingerprint": made.fingerprint}


def _delete_secret(ask: Ask[FingerprintBody]) -> Json:
    extensions = ask.twitch.extensions
    extensions.delete_secret(extensions.named(ask.name), ask.body.fingerprint)
    return {"deleted": ask.body.fingerprint}


def _helper_token(ask: Ask[HelperTokenBody]) -> Json:
    return {"token": ask.twitch.helper_token(ask.name, **ask.body.model_dump())}


_ONE = f"{ROOT}/extensions/{{client_id}}"
_WHAT = "An extension: its secrets by fingerprint, the messages it got, its configuration."

EXTENSION_ENDPOINTS = (
    Endpoint("GET", f"{ROOT}/extensions", "The extensions.", _extensions),
    Endpoint("POST", f"{ROOT}/extensions", "Add one: its first secret.", _add, ExtensionBody),
    Endpoint("GET", _ONE, _WHAT, _extension),
    Endpoint(
        "POST", f"{_ONE}/create-secret", "Make a secret in its console.", _create_secret, DelayBody
    ),
    Endpoint(
        "POST",
        f"{_ONE}/delete-secret",
        "Delete a secret at once, in its console.",
        _delete_secret,
        FingerprintBody,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/helper-token",
        "A JWT of Twitch's extension helper.",
        _helper_token,
        HelperTokenBody,
    ),
)
