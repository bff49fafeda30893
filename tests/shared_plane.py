"""One control plane for all of pytest-xdist's workers: their controller starts it when one asks."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from pathlib import Path

from controller.sandbox import controlplane
from controller.sandbox.controlplane import ControlPlane
from controller.sandbox.controlplane.processes import Processes

__all__ = ["SharedPlane", "join"]

_LOOK = 0.1
_PATIENCE = 900.0  # seconds; where nothing is cached, a program may have to be built
_FIELDS = ("kubeconfig", "kubectl", "folder", "server", "origin", "has_controller_manager")


class SharedPlane:
    """The controller's side; a folder tells the workers what there is."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="twitch-operator-tests-"))
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        shutil.rmtree(self.folder)

    def _serve(self) -> None:
        while not (self.folder / "wanted").exists():
            if self._closed.wait(_LOOK):
                return
        try:
            with controlplane.start(need_controller_manager=True) as plane:
                self._tell({name: getattr(plane, name) for name in _FIELDS})
                self._closed.wait()
        except controlplane.ControlPlaneError as error:
            self._tell({"error": error})

    def _tell(self, told: dict[str, object]) -> None:
        (self.folder / "new").write_text(json.dumps(told, default=str), "utf-8")
        (self.folder / "new").rename(self.folder / "plane")


def join(folder: Path) -> ControlPlane:
    """A worker's view of the control plane, which it neither owns nor ends."""
    (folder / "wanted").touch()
    deadline = time.monotonic() + _PATIENCE
    while not (folder / "plane").exists():
        assert time.monotonic() < deadline, "the control plane was not started"
        time.sleep(_LOOK)
    told = json.loads((folder / "plane").read_text("utf-8"))
    if "error" in told:
        raise controlplane.ControlPlaneError(told["error"])
    for name in ("kubeconfig", "kubectl", "folder"):
        told[name] = Path(told[name])
    return ControlPlane(**told, _processes=Processes())
