"""`twitch-operator sandbox`: control plane and simulators alone, to try one's own rules with."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from subprocess import SubprocessError
from typing import TYPE_CHECKING

from controller.actions import registry as _actions  # noqa: F401 - kinds register their fields
from controller.resources.kind import GROUP
from controller.resources.schema import KINDS, crd_manifests
from controller.sandbox import controlplane
from controller.sandbox.controlplane import ControlPlaneError
from controller.sandbox.stage import Stage, exports, signals_interrupt, write_exports

if TYPE_CHECKING:
    from controller.sandbox.controlplane import ControlPlane

__all__ = ["install_crds", "run_sandbox"]


def run_sandbox(
    *, kubeconfig: Path | None, context: str | None, folder: Path | None, env_file: Path | None
) -> int:
    """Run until Ctrl-C or SIGTERM.

    Args:
        kubeconfig: Of a cluster to use in place of a control plane of its own; None: the usual one
            if `context` is given, else none.
        context: Of that kubeconfig; None: its current one.
        folder: Where a control plane of its own keeps everything, for good; None: nowhere.
        env_file: Gets the variables to export once all is ready, and goes in the end.

    Returns:
        The exit code: 0 when it was ended, 1 when it could not start.
    """
    with signals_interrupt():
        try:
            with ExitStack() as stack:
                plane = stack.enter_context(_plane(kubeconfig, context, folder))
                stage = stack.enter_context(Stage(plane))
                install_crds(plane)
                if env_file is not None:
                    stack.callback(env_file.unlink, missing_ok=True)
                    write_exports(env_file, stage.environment, plane.kubectl)
                sys.stdout.write(_welcome(stage))
                sys.stdout.flush()
                while True:
                    signal.pause()
        except KeyboardInterrupt:
            return 0
        except (ControlPlaneError, OSError, SubprocessError) as error:
            sys.stderr.write(f"twitch-operator sandbox: {error}\n")
            return 1


def install_crds(plane: ControlPlane) -> str:
    """Install the CRDs, as `twitch-operator crds | kubectl apply --server-side -f -` does.

    Returns:
        What kubectl said.

    Raises:
        ControlPlaneError: The API server refuses them.
    """
    stream = "---\n".join(crd_manifests().values())
    applied = plane.run_kubectl("apply", "--server-side", "-f", "-", input=stream, check=True)
    names = [f"crd/{kind.plural}.{GROUP}" for kind in KINDS]
    plane.until_established(*names)
    return applied.stdout


def _plane(kubeconfig: Path | None, context: str | None, folder: Path | None) -> ControlPlane:
    if kubeconfig is None and context is None:
        return controlplane.start(folder=folder)
    if folder is not None:
        msg = (
            "--folder is for a control plane of the sandbox's own; leave it out, or else "
            "--kubeconfig and --context"
        )
        raise ControlPlaneError(msg)
    usual = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    return controlplane.use_existing(kubeconfig or usual, context)


def _welcome(stage: Stage) -> str:
    twitch, oauth = f"{stage.twitch}/_sandbox", f"{stage.oauth}/_sandbox"
    hls = f"{stage.hls}/_sandbox"
    return f"""\
{stage.plane.describe()}
Simulated Twitch: {twitch} lists what it can be told
Simulated PubNub: {stage.pubnub}/_sandbox does too
Simulated OAuth2: {oauth} does too
Simulated HLS:    {hls} does too
The CRDs are installed. In another terminal:

{exports(stage.environment, stage.plane.kubectl)}
# An application, a broadcaster, and the consent: its refresh token is for a Secret.
curl {twitch}/apps -d '{{"client_id": "me", "client_secret": "mine"}}'
curl {twitch}/broadcasters -d '{{"login": "mst3k"}}'
curl {twitch}/broadcasters/mst3k/consent -d '{{"client_id": "me"}}'

# The operator, and a message for it, with the subscribe key {stage.subscribe_key}.
twitch-operator run
curl {stage.publish_url("TOPIC")} -d @message.json

# A live playlist for a rule with spec.feed.hls, and an ad break in it.
curl {hls}/streams -d '{{"name": "mst3k"}}'
curl {hls}/streams/mst3k/breaks -d '{{"duration": 60}}'

# What Twitch was asked to run.
curl {twitch}/commercials

# An extension, and its first secret. Its backend, and a token that this lets in.
curl {twitch}/extensions -d '{{"client_id": "deck", "owner_id": "27419011"}}'
twitch-operator gateway
curl {oauth}/clients -d '{{"client_id": "me", "client_secret": "mine"}}'
curl {oauth}/tokens -d '{{"channels": ["CHANNEL_ID"]}}'

# What Twitch got from it.
curl {twitch}/extensions/deck

Ctrl-C ends it.
"""
