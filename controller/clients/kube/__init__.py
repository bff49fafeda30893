"""The API server: the only code that knows the Kubernetes client."""

from controller.clients.kube.answers import KubeConflict, KubeError, KubeNotFound, KubeUnavailable
from controller.clients.kube.api import Kube
from controller.clients.kube.secret import Secret

__all__ = ["Kube", "KubeConflict", "KubeError", "KubeNotFound", "KubeUnavailable", "Secret"]
