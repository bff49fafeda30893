"""Resources from files, as `kubectl apply -f` takes them: for commands that need no cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from controller.commands.files import json_values, read_text
from controller.commands.kubectl_yaml import as_kubernetes, load_documents
from controller.errors import OperatorError
from controller.resources.kind import GROUP, VERSION
from controller.rules.payloads import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.resources.kind import Kind

__all__ = ["choose", "read_manifests"]

_API = f"{GROUP}/{VERSION}"


def read_manifests(files: Iterable[str]) -> list[dict[str, Any]]:
    """Read the resources of this operator out of files; others in them are passed over.

    Raises:
        OperatorError: A file cannot be read, or kubectl would not take it.
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
    found = []
    for number, document in enumerate(_documents(file), start=1):
        if document is None:
            continue
        if not isinstance(document, dict):
            msg = f"{file}: document {number} is {shown(document)}, and a manifest is an object"
            raise OperatorError(msg)
        is_list = str(document.get("kind") or "").endswith("List")
        items = document.get("items") if is_list else [document]
        found += [each for each in items or () if isinstance(each, dict)]
    return found


def _documents(file: str) -> list[Any]:
    text = read_text(file)
    if text.lstrip().startswith("{"):
        # YAML takes no second document on a line.
        values = [value for _, value in json_values(text)]
        if not any(isinstance(value, Refusal) for value in values):
            return [_as_kubernetes(value) for value in values]
    try:
        return list(load_documents(text))
    except yaml.YAMLError as error:
        msg = f"{file} is not YAML that kubectl takes: {' '.join(str(error).split())}"
        raise OperatorError(msg) from None


def _as_kubernetes(value: Any) -> Any:  # noqa: ANN401 - JSON
    match value:
        case dict():
            return {key: _as_kubernetes(child) for key, child in value.items()}
        case list():
            return [_as_kubernetes(child) for child in value]
        case bool():
            return value
        case int() | float():
            return as_kubernetes(value)
    return value


def _name(manifest: dict[str, Any]) -> str:
    meta = manifest.get("metadata")
    return str(meta.get("name") or "") if isinstance(meta, dict) else ""
