"""What to try once the demo has been seen: commands for another terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.sandbox.demo.extension import CLIENT_ID, EXTENSION

if TYPE_CHECKING:
    from pathlib import Path

    from controller.sandbox.stage import Stage

__all__ = ["hints"]


def hints(stage: Stage, log: Path, topic: str, redirect_uri: str) -> str:
    """The commands, for a POSIX shell.

    Args:
        stage: Where it happens; its folder has the file `env`, by which a shell finds the cluster
            and the commands.
        log: The operator's.
        topic: Of the playout messages.
        redirect_uri: As the application registered it.
    """
    twitch, pubnub = f"{stage.twitch}/_sandbox", f"{stage.pubnub}/_sandbox"
    return f"""
All of it stays up until Ctrl-C. To try, in another terminal:

. {stage.plane.folder / "env"}

# Look around.
kubectl get tch -o wide
kubectl describe trule mst3k-eu-ad-assets
tail -f {log}

# Publish a message of your own. SameBreak: the break of before is still on air.
# After it, CoolingDown: Twitch takes one every 8 minutes.
curl {stage.publish_url(topic)} -d '
{{"msg_type": "video", "action": "started", "common": {{"unique_id": "mine-1"}},
 "data": {{"asset_id": "Ad_Mine", "rescue_reason": "na", "duration_sec": 60}}}}'

# Break a grant: the broadcaster disconnects the application.
curl {twitch}/broadcasters/mst3k/disconnect \\
    -d '{{"client_id": "demo"}}'
kubectl wait --for=condition=Stalled tch/mst3k && kubectl describe tch mst3k

# Heal it: a new consent. At the browser sits mst3k, who agrees to whoever asks.
kubectl twitch authorize mst3k \\
    --redirect-uri {redirect_uri}

# The extension: its next rotation, what it sent, and the kill switch: helper
# tokens get 403 until a new secret is active, and messages still arrive.
kubectl get extapp -o wide
curl {twitch}/extensions/{CLIENT_ID}
kubectl twitch revoke-secrets {EXTENSION}

# Order faults: PubNub refuses the keys three times, from the next poll on.
curl {pubnub}/faults \\
    -d '{{"path": "/v2/subscribe/*", "status": 403, "times": 3}}'
curl -X POST {pubnub}/drop-polls

# What else they can be told.
curl {twitch}
curl {pubnub}
curl {stage.oauth}/_sandbox
"""
