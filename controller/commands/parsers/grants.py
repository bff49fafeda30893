"""The arguments of what begins a grant, and of what ends one or the secrets of an extension."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.commands.parsers.common import add_channel, add_place, add_timeout, new_command

if TYPE_CHECKING:
    from controller.commands.parsers.common import Commands

__all__ = ["add_authorize", "add_revoke", "add_revoke_secrets"]


def add_authorize(commands: Commands) -> None:
    """Add `authorize`."""
    authorize = new_command(
        commands,
        "authorize",
        "authorize.authorize",
        "let the broadcaster of a channel consent, in a browser",
        (
            "Opens Twitch's consent page, hands what comes of it to the operator through the"
            " Secret that spec.authorization names, and waits until the channel is Ready. For a"
            " deviceCode it shows the code to type. Exit code: 0 authorized, 1 not, 130"
            " interrupted."
        ),
        "mst3k -n playout",
    )
    add_channel(authorize, wait="for the consent, and then for the operator", timeout="5m")
    authorize.add_argument(
        "--no-browser",
        dest="use_browser",
        action="store_false",
        help="only print the address of the consent page",
    )
    authorize.add_argument(
        "--redirect-uri",
        metavar="URI",
        help="as the application registered it, for a channel with a refreshToken (default: "
        "http://localhost:3000/auth/twitch/callback)",
    )


def add_revoke(commands: Commands) -> None:
    """Add `revoke`."""
    revoke = new_command(
        commands,
        "revoke",
        "revoke.revoke",
        "end the grant of a channel at Twitch",
        (
            "Asks the operator to revoke the channel's grant at Twitch, and waits until it has. No"
            " commercial runs on the channel until its broadcaster consents again. Exit code: 0"
            " revoked, 1 not, 130 interrupted."
        ),
        "mst3k -n playout",
    )
    add_channel(revoke, wait="for the operator", timeout="1m")


def add_revoke_secrets(commands: Commands) -> None:
    """Add `revoke-secrets`."""
    revoke = new_command(
        commands,
        "revoke-secrets",
        "revoke_secrets.revoke_secrets",
        "take all shared secrets of an extension out of service",
        (
            "For secrets that leaked: has the operator make a new shared secret, and the gateway"
            " refuse all former ones from now on. The price: until the new secret is active"
            " (spec.secret.rotation.activationDelay), the JWTs of Twitch's extension helper are"
            " refused with 403. Twitch takes the old secrets until they expire, within one hour; at"
            " once they are deleted in the extension's console alone. Exit code: 0 revoked, 1 not,"
            " 130 interrupted."
        ),
        "deck-tracker -n extensions",
    )
    revoke.add_argument("name", metavar="NAME", help="of the ExtensionApp")
    add_place(revoke, of="ExtensionApp")
    add_timeout(revoke, wait="for the operator", timeout="1m")
