from __future__ import annotations

from pathlib import Path

from controller.resources.schema import crd_manifests

CRDS = Path(__file__).parents[2] / "crds"


def test_crds_are_what_the_models_say() -> None:
    committed = {file.name: file.read_text() for file in CRDS.iterdir()}

    assert committed == crd_manifests(), "run: twitch-operator crds --output-dir crds"
