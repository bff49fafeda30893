"""Compare crds/ with those of the last release: `python -m reference.compatibility`.

Between two releases the CRDs and the operator are of different versions for a while: `helm upgrade`
brings the CRDs first, and somebody may forget them or return to the former operator. So nothing may
narrow for stored objects, nor for the statuses that either operator writes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Schema = Mapping[str, Any]

__all__ = ["changes"]

ROOT = Path(__file__).parents[1]
ACCEPTED: frozenset[str] = frozenset()
"""Findings that somebody has examined: every stored object still fits, and both operators work."""

_LOWER_IS_NARROWER = ("maxLength", "maxItems", "maxProperties", "maximum")
_HIGHER_IS_NARROWER = ("minLength", "minItems", "minProperties", "minimum")
_SAME = (
    "type", "format", "pattern", "multipleOf", "exclusiveMinimum", "exclusiveMaximum",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-preserve-unknown-fields",
)  # fmt: skip
_NAMES = ("group", "scope", "names")
_ONE_OF = re.compile(r"has\(dyn\(self\)\.(\w+)\)")


def changes(old: Schema, new: Schema) -> list[str]:
    """Return what of a CRD is incompatible with its former version.

    Args:
        old: The CustomResourceDefinition of the last release.
        new: The same as it is to become.

    Returns:
        A sentence for each change, beginning with kind and path of the field.
    """
    kind = old["spec"]["names"]["kind"]
    found = [
        f"{kind}: {name} changed"
        for name in _NAMES
        if not _keeps(old["spec"][name], new["spec"][name])
    ]
    versions = {each["name"]: each for each in new["spec"]["versions"]}
    for version in old["spec"]["versions"]:
        name, after = version["name"], versions.get(version["name"], {})
        if version["served"] and not after.get("served"):
            found.append(f"{kind}: version {name} is not served any more")
            continue
        if version["storage"] and not after["storage"]:
            found.append(f"{kind}: version {name} is not stored any more")
        before, now = (each["schema"]["openAPIV3Schema"] for each in (version, after))
        found += _narrowed(before, now, kind)
        was, status = (each["properties"].get("status", {}) for each in (before, now))
        found += _widened(was, status, f"{kind}.status")
    return found


def _keeps(old: Any, new: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether names are the same, or more."""
    if isinstance(old, dict):
        return all(_keeps(value, new.get(key)) for key, value in old.items())
    return set(old) <= set(new or ()) if isinstance(old, list) else bool(old == new)


def _narrowed(old: Schema, new: Schema, path: str) -> Iterator[str]:
    """What stored objects, or a status of the former operator, may not satisfy."""
    for key in _SAME:
        if key in new and old.get(key) != new[key]:
            yield f"{path}: {key} became {new[key]}"
        elif key in old and key not in new and (key == "type" or key.startswith("x-")):
            yield f"{path}: {key} {old[key]} was removed"
    for key in _bounds(old, new):
        yield f"{path}: {key} {old.get(key, '(none)')} became {new[key]}"
    yield from _rules(old, new, path)
    for name in new.get("required", ()):
        if name not in old.get("required", ()):
            yield f"{path}.{name}: became required"
    if "default" in old and not _same_default(old, new):
        yield f"{path}: the default {old['default']!r} became {new.get('default')!r}"
    elif "default" in new and "default" not in old:
        yield f"{path}: got the default {new['default']!r}, which stored objects get too"
    yield from _parts(old, new, path)


def _parts(old: Schema, new: Schema, path: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, part in before.items():
        if name not in after:
            yield f"{path}.{name}: was removed, and would be dropped from stored objects"
        else:
            yield from _narrowed(part, after[name], f"{path}.{name}")
    for name in after.keys() - before.keys():
        if "default" in after[name]:
            yield (
                f"{path}.{name}: is new and has a default: the former operator would find the field"
                " in every object, and refuse it; let the operator know the default instead"
            )
    for key in ("items", "additionalProperties"):
        if isinstance(old.get(key), dict):
            if isinstance(new.get(key), dict):
                yield from _narrowed(old[key], new[key], f"{path}[]")
            else:
                yield f"{path}: {key} was removed"


def _bounds(old: Schema, new: Schema) -> Iterator[str]:
    """Limits of a value that are narrower now."""
    for key in (*_LOWER_IS_NARROWER, *_HIGHER_IS_NARROWER):
        if key in new:
            before, now = old.get(key), new[key]
            if before is None or (now < before if key in _LOWER_IS_NARROWER else now > before):
                yield key
    if "enum" in new and not set(old.get("enum") or [None]) <= set(new["enum"]):
        yield "enum"


def _rules(old: Schema, new: Schema, path: str) -> Iterator[str]:
    """CEL rules that are new; one more choice of an exactly-one-of narrows nothing."""
    before = [each["rule"] for each in old.get("x-kubernetes-validations", ())]
    fields = old.get("properties", {})
    for rule in (each["rule"] for each in new.get("x-kubernetes-validations", ())):
        names = set(_ONE_OF.findall(rule))
        choices = (set(_ONE_OF.findall(each)) for each in before)
        wider = any(
            each and each <= names and not (names - each) & fields.keys() for each in choices
        )
        if rule not in before and not (names and wider):
            yield f"{path}: has a new rule: {rule}"


def _same_default(old: Schema, new: Schema) -> bool:
    before, now = old["default"], new.get("default")
    if isinstance(before, dict) and isinstance(now, dict):  # a new part is told by itself
        return before.items() <= now.items()
    return bool(before == now)


def _widened(old: Schema, new: Schema, path: str) -> Iterator[str]:
    """What the CRDs of the last release would refuse in a status that the new operator writes."""
    for key in _bounds(new, old):
        yield (
            f"{path}: {key} {old[key]} became {new.get(key, '(none)')}: the CRDs of the last"
            " release would refuse a whole status with such a value; add a field instead"
        )
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before.keys() & after.keys():
        yield from _widened(before[name], after[name], f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _widened(old[key], new[key], f"{path}[]")


def _released(tag: str, name: str) -> Any:  # noqa: ANN401 - YAML
    """A CRD as a release had it."""
    return yaml.safe_load(_git("show", f"{tag}:crds/{name}"))


def _git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True)  # noqa: S607


def main() -> int:
    """Compare with the last tag of a release; 1: something is incompatible."""
    if _git("rev-parse", "--is-shallow-repository").strip() == "true":
        print("this clone is shallow, and may lack the last release: git fetch --unshallow --tags")
        return 1
    tags = _git("tag", "--merged", "HEAD", "--sort=-version:refname", "--list", "v*").split()
    if not tags:
        print("crds/ cannot be compared: there is no release yet (no tag v…)")
        return 0
    released = _git("ls-tree", "--name-only", f"{tags[0]}:crds").split()
    found = []
    for name in released:
        file = ROOT / "crds" / name
        if not file.exists():
            found.append(f"crds/{name} was removed, and its objects with it")
            continue
        found += changes(_released(tags[0], name), yaml.safe_load(file.read_text("utf-8")))
    left = [each for each in found if each not in ACCEPTED]
    print("\n".join(left) or f"crds/ is compatible with {tags[0]}")
    if left:
        print("If every stored object still fits, and both operators work: ACCEPTED in", __file__)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
