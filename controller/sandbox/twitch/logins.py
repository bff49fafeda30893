"""How a user says yes: authorization codes (in a browser) and device codes. No I/O, no clock."""

from __future__ import annotations

import math
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.sandbox.twitch.grants import App, Grant, Grants, Tokens

__all__ = ["Device", "Logins"]

_KEPT = 1000
_LETTERS = string.ascii_uppercase
_SLOW_DOWN = 5  # seconds, RFC 8628, section 3.5
_JITTER = 0.5  # seconds that a network may bring two polls closer together


@dataclass(slots=True)
class _Code:
    app: App
    user_id: str
    scopes: tuple[str, ...]
    redirect_uri: str
    expires: float
    grant: Grant | None = None  # what it was traded for


@dataclass(slots=True)
class Device:
    """A device that waits for its user.

    Attributes:
        app: What runs on it.
        scopes: What it asks for.
        device_code: What it polls with.
        user_code: What the user types.
        expires: Seconds since the epoch.
        interval: Seconds from one poll to the next; each hasty poll adds to it.
        polled: When it last polled, seconds since the epoch.
        user_id: Who agreed; "" so far nobody.
        denied: The user said no.
    """

    app: App
    scopes: tuple[str, ...]
    device_code: str = field(repr=False)
    user_code: str
    expires: float
    interval: int
    polled: float = -math.inf
    user_id: str = ""
    denied: bool = False


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
            An authorization code, good once and for `code_lifetime` seconds.
        """
        code = secrets.token_hex(15)
        expires = now + self._grants.options.code_lifetime
        self._codes[code] = _Code(app, user_id, tuple(scopes), redirect_uri, expires)
        _trim(self._codes)
        return code

    def trade_code(self, app: App, code: str, redirect_uri: str, now: float) -> Tokens:
        """Trade an authorization code for tokens.

        Raises:
            Refusal: 400, the code is unknown, used, old or another app's, or the URI is not the
                one that it was sent to.
        """
        found = self._codes.get(code)
        if found is None or found.app is not app:
            raise Refusal(400, "Invalid authorization code")
        if found.grant is not None and self._grants.options.reused_code_ends_grant:
            self._grants.end(found.grant)
        if found.grant is not None or now >= found.expires:
            raise Refusal(400, "Invalid authorization code")
        if redirect_uri != found.redirect_uri:
            raise Refusal(400, "Parameter redirect_uri does not match registered URI")
        found.grant = self._grants.agree(app, found.user_id, found.scopes)
        return self._grants.issue(found.grant, now)

    def start_device(self, app: App, scopes: Iterable[str], now: float) -> Device:
        """A device asks for a code to show."""
        user_code = "".join(secrets.choice(_LETTERS) for _ in range(8))
        device_code = secrets.token_hex(20)
        options = self._grants.options
        device = Device(
            app,
            tuple(scopes),
            device_code,
            user_code,
            now + options.device_lifetime,
            options.device_interval,
        )
        self._devices[device_code] = device
        _trim(self._devices)
        return device

    def approve_device(self, user_code: str, user_id: str, now: float) -> None:
        """The user types the code, and agrees.

        Raises:
            Refusal: 404, no device waits with it.
        """
        self._waiting(user_code, now).user_id = user_id

    def deny_device(self, user_code: str, now: float) -> None:
        """The user types the code, and says no.

        Raises:
            Refusal: 404, no device waits with it.
        """
        self._waiting(user_code, now).denied = True

    def _waiting(self, user_code: str, now: float) -> Device:
        for device in self._devices.values():
            answered = device.user_id or device.denied
            if device.user_code == user_code.upper() and now < device.expires and not answered:
                return device
        raise Refusal(404, f"no device waits with the code {user_code!r}: ask for a new one")

    def trade_device(self, app: App, device_code: str, now: float) -> Tokens:
        """Poll with a device code.

        Raises:
            Refusal: 400, nobody agreed yet (`slow_down` for a hasty poll), the user said no, or
                the code is unknown, used or old.
        """
        device = self._devices.get(device_code)
        if device is None or device.app is not app or now >= device.expires:
            raise Refusal(400, "invalid device code")
        if device.denied:
            raise Refusal(400, "access_denied")
        if not device.user_id:
            raise Refusal(400, "slow_down" if self._hasty(device, now) else "authorization_pending")
        del self._devices[device_code]
        return self._grants.consent(app, device.user_id, device.scopes, now)

    def _hasty(self, device: Device, now: float) -> bool:
        early = now - device.polled < device.interval - _JITTER
        device.polled = now
        if not (early and self._grants.options.device_slow_down):
            return False
        device.interval += _SLOW_DOWN
        return True


def _trim(waiting: dict[str, _Code] | dict[str, Device]) -> None:
    if len(waiting) > _KEPT:
        del waiting[next(iter(waiting))]
