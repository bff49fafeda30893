"""What the tests apply and publish: as short as it may be, with the examples' own messages."""

from __future__ import annotations

import base64
import json
import time
import uuid
from pathlib import Path
from typing import Any

__all__ = ["channel", "message", "raw_secret", "rule", "secret"]

_API = "twitch-operator.dev/v1alpha1"
_MESSAGES = Path(__file__).parents[2] / "examples" / "messages"


def secret(name: str, **texts: str) -> dict[str, Any]:
    """A Secret; `client_id` in Python is the key client-id."""
    return raw_secret(name, **{key: text.encode() for key, text in texts.items()})


def raw_secret(name: str, **data: bytes) -> dict[str, Any]:
    """A Secret of any bytes."""
    encoded = {k.replace("_", "-"): base64.b64encode(v).decode() for k, v in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def channel(name: str, **spec: object) -> dict[str, Any]:
    """A TwitchChannel; `spec` adds to its spec."""
    grant = {"name": f"{name}-grant", "key": "refresh-token"}
    whole = {
        "app": {"secretRef": {"name": "twitch-app"}},
        "authorization": {"refreshToken": {"secretKeyRef": grant}},
    }
    meta = {"name": name}
    return {"apiVersion": _API, "kind": "TwitchChannel", "metadata": meta, "spec": whole | spec}


def rule(name: str, **spec: object) -> dict[str, Any]:
    """A TriggerRule for splices on the topic and the channel of the same name."""
    whole = {
        "channelRef": {"name": name},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": [name]}},
        "match": [{"field": "msg_type", "equals": "scte35"}],
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
    }
    meta = {"name": name}
    return {"apiVersion": _API, "kind": "TriggerRule", "metadata": meta, "spec": whole | spec}


def message(kind: str = "scte35", cue_id: str = "", **data: object) -> dict[str, Any]:
    """One of the examples' messages, stamped anew; `data` replaces fields of its data."""
    told: dict[str, Any] = json.loads((_MESSAGES / f"{kind}.json").read_text())
    told["common"]["unique_id"] = cue_id or f"{time.time_ns() // 1_000_000}_{uuid.uuid4().hex[:6]}"
    told["common"]["timestamp"] = time.time()
    told["data"] |= data
    return told
