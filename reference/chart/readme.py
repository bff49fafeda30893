"""README.md of the chart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reference.chart.settings import setting_schemas
from reference.tables import code, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference.chart.values import Value

__all__ = ["readme"]

_INTRODUCTION = """<!-- Generated from values.yaml by: make chart -->
# The Helm chart

For cluster administrators. The chart installs the operator, the CRDs and, with
`gateway.enabled`, the backend of extensions.

No image is published yet: `make image` builds one in a checkout (docs/install.md tells how to
push it). Set `image.registry` and `image.repository`.

```console
$ kubectl create namespace twitch
$ kubectl label namespace twitch pod-security.kubernetes.io/enforce=restricted
$ helm install twitch-operator charts/twitch-operator -n twitch \\
    --set image.registry=registry.example.com --set image.repository=tv/twitch-operator
$ helm test twitch-operator -n twitch
```

- **Typos**: the schema rejects unknown values by name. `helm show values` prints all values with
  comments.
- **Namespaces**: `watchNamespaces` limits operator and gateway to these namespaces, with a Role
  in each. The chart then creates no ClusterRole, so the roles `view`, `edit` and `admin` do not
  include the three kinds.
- **CRDs** are templates, so `helm upgrade` upgrades them. With `crds.keep`, `helm uninstall`
  leaves them and all resources. A second release in the same cluster needs `crds.enabled=false`.
- **Security**: containers run as a non-root user with a read-only root file system, and meet the
  Pod Security Standard `restricted`.
- **NetworkPolicy**: if a setting or a resource names another port, such as that of your OAuth
  provider, add it to `networkPolicy.egressPorts`.

[Installation](../../docs/install.md) lists the permissions and their purposes.
"""


def readme(values: list[Value]) -> str:
    """Return the page.

    Args:
        values: Of the chart.
    """
    head = ["value", "default", "description"]
    settings = (
        [code(f"settings.{name}"), _default(schema["default"]), schema["description"]]
        for name, schema in setting_schemas().items()
    )
    return "\n".join(
        [
            _INTRODUCTION,
            "## Values\n",
            table(head, _rows(values)),
            "\n## Settings\n",
            "The chart sets `settings.logFormat` to `json`. Defaults of the others:\n",
            table(head, settings) + "\n",
        ]
    )


def _rows(values: list[Value]) -> Iterator[list[str]]:
    for value in values:
        if value.path == "settings":
            continue
        if value.children:
            yield from _rows(value.children)
        else:
            yield [code(value.path), _default(value.default), value.description]


def _default(value: object) -> str:
    return code(value if isinstance(value, str) else json.dumps(value))
