"""A real Kubernetes control plane on this machine: no containers, no root, nothing left behind.

with controlplane.start() as plane:
    plane.run_kubectl("get", "namespaces")
"""

from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.plane import ControlPlane, start, use_existing
from controller.sandbox.controlplane.progress import Progress

__all__ = ["ControlPlane", "ControlPlaneError", "Progress", "start", "use_existing"]
