"""Resources from files, as `kubectl apply -f` takes them: for commands that need no cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from controller.commands.files import read_text
from controller.errors import OperatorError
from controller.resources.kind import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.resources.kind import Kind

__all__ = ["choose", "read_manifests"]

_INTEGER = "tag:yaml.org,2002:int"
_DECIMAL_OR_HEX = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o?[0-7_]+)$")
# Dates stay text as well.
_LEFT_OUT = ("tag:yaml.org,2002:timestamp",)
_API = f"{GROUP}/{VERSION}"


class _Loader(yaml.SafeLoader):
    """Reads as the API's clients do: `22:00` is a text, and not 1,320."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern if tag != _INTEGER else _DECIMAL_OR_HEX)
        for tag, pattern in resolvers
        if tag not in _LEFT_OUT
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_manifests(files: Iterable[str]) -> list[dict[str, Any]]:
    """Read the resources of this operator out of files; others in them are passed over.

    Raises:
        OperatorError: A file cannot be read, or is no YAML.
    """
    return [each for file in files for each in _resources(file) if each.get("apiVersion") == _API]


def choose(manifests: Iterable[dict[str, Any]], kind: Kind, name: str | None) -> dict[str, Any]:
    """Return the one resource of a kind.

    Args:
        manifests: From files.
        kind: Its kind.
        name: Its name; None: there is but one.

    Raises:
        OperatorError: There is none, or there are several.
    """
    found = [each for each in manifests if each.get("kind") == kind.name]
    names = ", ".join(_name(each) for each in found)
    if name is not None:
        found = [each for each in found if _name(each) == name]
    if not found:
        there = f"; there is {names}" if names else ""
        msg = f"the files (-f) hold no {kind.name}{f' {name}' if name else ''}{there}"
        raise OperatorError(msg)
    if len(found) > 1:
        msg = f"the files (-f) hold several {kind.name}s: name one of {names}"
        raise OperatorError(msg)
    return found[0]


def _resources(file: str) -> list[dict[str, Any]]:
    try:
        documents = list(yaml.load_all(read_text(file), Loader=_Loader))
    except yaml.YAMLError as error:
        msg = f"{file} is no YAML: {' '.join(str(error).split())}"
        raise OperatorError(msg) from None
    found = []
    for document in documents:
        if not isinstance(document, dict):
            continue
        items = document.get("items") if document.get("kind") == "List" else [document]
        found += [each for each in items or () if isinstance(each, dict)]
    return found


def _name(manifest: dict[str, Any]) -> str:
    meta = manifest.get("metadata")
    return str(meta.get("name") or "") if isinstance(meta, dict) else ""
