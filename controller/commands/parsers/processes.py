"""The arguments of what runs on, of what tries it out, and of what prepares an installation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from controller.commands.parsers.common import new_command

if TYPE_CHECKING:
    from controller.commands.parsers.common import Commands

__all__ = ["add_completion", "add_crds", "add_demo", "add_gateway", "add_run", "add_sandbox"]

_CONTEXT = "context of the kubeconfig (default: the current one)"


def add_run(commands: Commands) -> None:
    """Add `run`."""
    run = commands.add_parser("run", help="run the operator against a cluster")
    run.add_argument("--context", help=_CONTEXT)
    run.set_defaults(function="run.run_operator")


def add_gateway(commands: Commands) -> None:
    """Add `gateway`."""
    text = "serve the backend of the extensions that are declared: /send/ and /setup/"
    gateway = commands.add_parser("gateway", help=text, description=f"{text[0].upper()}{text[1:]}.")
    gateway.add_argument("--context", help=_CONTEXT)
    gateway.set_defaults(function="gateway.run_gateway")


def add_crds(commands: Commands) -> None:
    """Add `crds`."""
    crds = commands.add_parser("crds", help="print the CRDs, or write them to a folder")
    crds.add_argument(
        "--output-dir",
        dest="folder",
        metavar="OUTPUT_DIR",
        type=Path,
        help="write one file for each kind into DIR",
    )
    crds.set_defaults(function="crds.write_crds")


def add_demo(commands: Commands) -> None:
    """Add `demo`."""
    text = "watch it work, on this machine: a real API server, simulated Twitch and PubNub"
    demo = commands.add_parser("demo", help=text, description=f"{text[0].upper()}{text[1:]}.")
    demo.add_argument("--once", action="store_true", help="check the outcome and end: 0 or 1")
    demo.set_defaults(function="demo.run_demo")


def add_sandbox(commands: Commands) -> None:
    """Add `sandbox`."""
    text = "an API server, simulated Twitch and PubNub on this machine, to try your own rules with"
    sandbox = commands.add_parser("sandbox", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sandbox.add_argument(
        "--kubeconfig", type=Path, help="use this cluster in place of an API server of its own"
    )
    sandbox.add_argument("--context", help="of that kubeconfig (default: its current one)")
    sandbox.add_argument(
        "--folder", type=Path, help="keep the API server's data in FOLDER, for the next start"
    )
    sandbox.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="write the variables to export into FILE, as soon as all is ready",
    )
    sandbox.set_defaults(function="sandbox.run_sandbox")


def add_completion(commands: Commands) -> None:
    """Add `completion`."""
    completion = new_command(
        commands,
        "completion",
        "completion.print_completion",
        "the code by which a shell completes commands and options",
        (
            "Prints the code by which a shell completes twitch-operator and kubectl-twitch. kubectl"
            " completes kubectl twitch by its own code: see kubectl completion --help."
        ),
        "bash > ~/.local/share/bash-completion/completions/twitch-operator",
        "zsh > ~/.zsh/completions/_twitch-operator",
        "fish > ~/.config/fish/completions/twitch-operator.fish",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose code")
