"""How a user says yes: authorization codes (in a browser) and device codes. No I/O, no clock."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.sandbox.twitch.grants import App, Grants, Tokens

__all__ = ["CODE_LIFETIME", "DEVICE_LIFETIME", "Device", "Logins"]

CODE_LIFETIME = 600
DEVICE_LIFETIME = 1800
_KEPT = 1000
_LETTERS = string.ascii_uppercase


@dataclass(frozen=True, slots=True)
class _Code:
    app: App
    user_id: str
    scopes: tuple[str, ...]
    redirect_uri: str
    expires: float


@dataclass(slots=True)
class Device:
    """A device that waits for its user.

    Attributes:
        app: What runs on it.
        scopes: What it asks for.
        device_code: What it polls with.
        user_code: What the user types.
        expires: Seconds since the epoch.
        user_id: Who agreed; "" so far nobody.
    """

    app: App
    scopes: tuple[str, ...]
    device_code: str
    user_code: str
    expires: float
    user_id: str = ""


class Logins:
    """Consents under way; each code is good once, and the oldest beyond 1,000 are forgotten."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants
        self._codes: dict[str, _Code] = {}
        self._devices: dict[str, Device] = {}

    def code(
        self, app: App, user_id: str, scopes: Iterable[str], redirect_uri: str, now: float
    ) -> str:
        """The user agreed in a browser.

        Returns:
            An authorization code, good for ten minutes.
        """
        code = secrets.token_hex(15)
        self._codes[code] = _Code(app, user_id, tuple(scopes), redirect_uri, now + CODE_LIFETIME)
        _trim(self._codes)
        return code

    def trade_code(self, app: App, code: str, redirect_uri: str, now: float) -> Tokens:
        """Trade an authorization code for tokens.

        Raises:
            Refusal: 400, the code is unknown, used, old or another app's, or the URI is not the
                one that it was sent to.
        """
        found = self._codes.get(code)
        if found is None or found.app is not app or now >= found.expires:
            raise Refusal(400, "Invalid authorization code")
        if redirect_uri != found.redirect_uri:
            raise Refusal(400, "Parameter redirect_uri does not match registered URI")
        del self._codes[code]
        return self._grants.consent(app, found.user_id, found.scopes, now)

    def start_device(self, app: App, scopes: Iterable[str], now: float) -> Device:
        """A device asks for a code to show."""
        user_code = "".join(secrets.choice(_LETTERS) for _ in range(8))
        device_code = secrets.token_hex(20)
        device = Device(app, tuple(scopes), device_code, user_code, now + DEVICE_LIFETIME)
        self._devices[device_code] = device
        _trim(self._devices)
        return device

    def approve_device(self, user_code: str, user_id: str, now: float) -> None:
        """The user types the code.

        Raises:
            Refusal: 404, no device waits with it.
        """
        for device in self._devices.values():
            if device.user_code == user_code.upper() and now < device.expires:
                device.user_id = user_id
                return
        raise Refusal(404, f"no device waits with the code {user_code!r}: ask for a new one")

    def trade_device(self, app: App, device_code: str, now: float) -> Tokens:
        """Poll with a device code.

        Raises:
            Refusal: 400, nobody agreed yet, or the code is unknown, used or old.
        """
        device = self._devices.get(device_code)
        if device is None or device.app is not app or now >= device.expires:
            raise Refusal(400, "invalid device code")
        if not device.user_id:
            raise Refusal(400, "authorization_pending")
        del self._devices[device_code]
        return self._grants.consent(app, device.user_id, device.scopes, now)


def _trim(waiting: dict[str, _Code] | dict[str, Device]) -> None:
    if len(waiting) > _KEPT:
        del waiting[next(iter(waiting))]
