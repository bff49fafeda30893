"""All files of the chart that are made from others."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import PurePosixPath
from typing import Any

import yaml

from reference.chart.dashboard import dashboard
from reference.chart.readme import readme
from reference.chart.settings import in_values, setting_schemas
from reference.chart.values import Value, read_values
from reference.links import ROOT

__all__ = ["made_files"]

_CHART = PurePosixPath("charts/twitch-operator")
_EXAMPLES = "  artifacthub.io/crdsExamples: |\n"
_NAME = re.compile(r"^(metadata:\n  name: \S+\n)", re.MULTILINE)
_METADATA = r"""\1  labels:
    {{- include "twitch-operator.labels" (list $ "crds") | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def made_files() -> dict[str, str]:
    """Return the text of each file, by its path in the repository."""
    values = in_values((ROOT / _CHART / "values.yaml").read_text("utf-8"))
    described = read_values(values)
    made = {
        "Chart.yaml": _metadata((ROOT / _CHART / "Chart.yaml").read_text("utf-8")),
        "values.yaml": values,
        "values.schema.json": _schema(described),
        "README.md": readme(described),
        "files/dashboard.json": dashboard(),
    }
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        made[f"templates/crds/{path.name}"] = _crd(path.read_text("utf-8"))
    return {str(_CHART / name): text for name, text in made.items()}


def _metadata(text: str) -> str:
    """Return Chart.yaml with an example of each kind, which Artifact Hub shows."""
    found = {
        each["kind"]: each
        for name in ("channels", "rules", "extension")
        for each in reversed(_load(f"examples/{name}.yaml"))
    }
    kinds = ("TwitchChannel", "TriggerRule", "ExtensionApp")
    examples = yaml.safe_dump([found[kind] for kind in kinds], sort_keys=False, width=100)
    return text.split(_EXAMPLES, maxsplit=1)[0] + _EXAMPLES + textwrap.indent(examples, " " * 4)


def _load(file: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all((ROOT / file).read_text("utf-8")) if each]


def _schema(values: list[Value]) -> str:
    whole = Value("", {}, "", {}, values).schema()
    settings = whole["properties"]["settings"]
    settings["properties"] = setting_schemas()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}
    return json.dumps(schema, indent=2) + "\n"


def _crd(text: str) -> str:
    """Return the template of a CRD."""
    made, count = _NAME.subn(_METADATA, text.replace("{{", '{{ "{{" }}'))
    if count != 1:
        msg = "a CRD's metadata has more than its name: teach reference/chart/files.py about it"
        raise ValueError(msg)
    return "{{- if .Values.crds.enabled }}\n" + made + "{{- end }}\n"
