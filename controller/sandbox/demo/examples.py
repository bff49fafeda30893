"""The project's examples, made ready to be used: Secrets with real values, messages of today."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["examples_folder", "fill_extension", "fill_secrets", "short_path", "stamp"]

_ALLOWED_HOST = "twitch-operator.dev/allowed-host"

_PACKAGE = Path(__file__).parents[2]


def examples_folder() -> Path:
    """Where the examples are: in the installed package, else in the checkout.

    Raises:
        FileNotFoundError: In neither.
    """
    for folder in (_PACKAGE / "examples", _PACKAGE.parent / "examples"):
        if (folder / "channels.yaml").is_file():
            return folder
    msg = f"no examples beside or in {_PACKAGE}: install twitch-operator anew"
    raise FileNotFoundError(msg)


def fill_secrets(manifests: str, values: Mapping[tuple[str, str], str]) -> str:
    """Give the Secrets in a stream of manifests their values.

    Args:
        manifests: YAML documents, each a Secret with `stringData`.
        values: By name of the Secret and key.

    Raises:
        KeyError: There is no value for a key.
    """
    secrets: list[dict[str, Any]] = list(yaml.safe_load_all(manifests))
    for secret in secrets:
        name = secret["metadata"]["name"]
        secret["stringData"] = {key: values[name, key] for key in secret["stringData"]}
    return yaml.safe_dump_all(secrets, sort_keys=False)


def fill_extension(
    manifests: str,
    values: Mapping[tuple[str, str], str],
    introspection_url: str,
    rotation: Mapping[str, str],
) -> str:
    """Make the example of an extension one that works here, and does not take months to see.

    Args:
        manifests: YAML documents: Secrets with `stringData`, and ExtensionApps.
        values: By name of the Secret and key.
        introspection_url: Of the provider there is.
        rotation: In place of the example's.

    Raises:
        KeyError: There is no value for a key.
    """
    resources: list[dict[str, Any]] = list(yaml.safe_load_all(manifests))
    for resource in resources:
        if resource["kind"] == "Secret":
            name = resource["metadata"]["name"]
            resource["stringData"] = {key: values[name, key] for key in resource["stringData"]}
            if annotations := resource["metadata"].get("annotations"):
                annotations[_ALLOWED_HOST] = urlsplit(introspection_url).hostname
        else:
            resource["spec"]["gateway"]["oauth"]["introspectionUrl"] = introspection_url
            resource["spec"]["secret"]["rotation"] = dict(rotation)
    return yaml.safe_dump_all(resources, sort_keys=False)


def stamp(message: str, now: float) -> str:
    """Give a playout message its time and unique id anew, as if it were published now.

    Args:
        message: The JSON text.
        now: Seconds since the epoch.
    """
    payload = json.loads(message)
    counter = payload["common"]["unique_id"].partition("_")[2]
    payload["common"]["timestamp"] = round(now, 3)
    payload["common"]["unique_id"] = f"{int(now * 1000)}_{counter}"
    return json.dumps(payload, indent=2) + "\n"


def short_path(path: Path) -> str:
    """A path as one would type it: from here where it is below, else whole."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
