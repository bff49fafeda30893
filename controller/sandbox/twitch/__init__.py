"""A Twitch on this machine, as exact as the real one in what a careless client gets wrong.

    async with TwitchSimulator() as twitch:
        twitch.add_app("client", "secret")
        twitch.add_broadcaster("mst3k")
        tokens = twitch.consent("mst3k", "client")
        ...  # a client calls twitch.identity_url and twitch.helix_url

`wire` reads and writes; `state`, `ads`, `grants`, `logins`, `extensions`, `limits`, `faults` and
`journal` are state machines without I/O, held together by `world`; `identity`, `helix`,
`extension_calls` and `control` answer calls from them, and `server` alone knows of sockets.
"""

from __future__ import annotations

from controller.sandbox.twitch.ads import Commercial
from controller.sandbox.twitch.extensions import Extension
from controller.sandbox.twitch.faults import Fault
from controller.sandbox.twitch.grants import Tokens
from controller.sandbox.twitch.options import Options
from controller.sandbox.twitch.server import TwitchSimulator
from controller.sandbox.twitch.state import Broadcaster
from controller.sandbox.twitch.wire import Call, Refusal

__all__ = [
    "Broadcaster",
    "Call",
    "Commercial",
    "Extension",
    "Fault",
    "Options",
    "Refusal",
    "Tokens",
    "TwitchSimulator",
]
