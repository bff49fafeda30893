"""The floor of the start: a kopf operator that patches one field of each object's status.

`python -m bench.kopf_floor <namespace>`, with KUBECONFIG. Nothing that kopf can do is cheaper: one
handler of the cheapest kind, and one PATCH an object by kopf itself.
"""

from __future__ import annotations

import sys
from typing import Any

import kopf

from bench.objects import GROUP, PLURALS, VERSION

__all__: list[str] = []

_AT_ONCE = 50  # without a limit kopf is hardly faster, and takes four times the memory


def _tell(body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:  # noqa: ANN401 - kopf's own
    generation = body.metadata["generation"]
    if body.status.get("observedGeneration") != generation:
        patch.status["observedGeneration"] = generation


def main(namespace: str) -> None:
    """Run until SIGTERM."""
    registry = kopf.OperatorRegistry()
    for plural in PLURALS:
        kopf.on.event(GROUP, VERSION, plural, registry=registry)(_tell)
    kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.worker_limit = _AT_ONCE
    settings.queueing.idle_timeout = 0.05  # a worker that waits for more holds its place
    kopf.run(registry=registry, settings=settings, standalone=True, namespaces=[namespace])


if __name__ == "__main__":
    main(sys.argv[1])
