"""Where the API server is, found as kubectl does: kubeconfig, context, the Pod's own account."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.request import getproxies

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, kube_config, load_incluster_config
from kubernetes.aio.config.kube_config import (
    ENV_KUBECONFIG_PATH_SEPARATOR,
    KUBE_CONFIG_DEFAULT_LOCATION,
    list_kube_config_contexts,
    load_kube_config,
)

from controller.clients.kube.memory_files import path_of_content
from controller.errors import OperatorError

__all__ = ["Configuration", "find_namespace", "load_configuration"]

# Its own writes keys to files that stay behind; it has no option to do without.
kube_config._create_temp_file_with_content = path_of_content  # noqa: SLF001

# What a file that is no kubeconfig leads to in the client.
_BROKEN = (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError, KeyError)
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


async def load_configuration(context: str | None = None) -> Configuration:
    """Find the API server as kubectl does.

    Args:
        context: Name of a context of the kubeconfig; None: the current one.

    Raises:
        OperatorError: No usable kubeconfig; the message says where one was looked for.
    """
    configuration = Configuration()
    # To look for a proxy in the environment before each call costs more than the call's own work.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    file = _kubeconfig()
    try:
        if file is not None:
            await load_kube_config(
                config_file=file,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        else:
            load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError, *_BROKEN) as error:
        raise _no_cluster(error, context) from error
    return configuration


def find_namespace(context: str | None = None) -> str:
    """The namespace that kubectl would take: the context's, the Pod's own, else `default`.

    Args:
        context: Name of a context of the kubeconfig; None: the current one.

    Raises:
        OperatorError: No usable kubeconfig, or no such context.
    """
    file = _kubeconfig()
    if file is None:
        return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
    try:
        contexts, current = list_kube_config_contexts(file)
    except (ConfigException, OSError, *_BROKEN) as error:
        raise _no_cluster(error, context) from error
    chosen = next(
        (each for each in contexts if each["name"] == context), None if context else current
    )
    if chosen is None:
        raise _no_cluster(ConfigException("no such context"), context)
    return str(chosen["context"].get("namespace") or "default")


def _kubeconfig() -> str | None:
    """The kubeconfig, or several as the environment has them; None: the Pod's service account.

    Raises:
        OperatorError: The environment names none that exists.
    """
    given = os.environ.get("KUBECONFIG")
    default = Path(KUBE_CONFIG_DEFAULT_LOCATION).expanduser()
    if given and not any(map(_exists, given.split(ENV_KUBECONFIG_PATH_SEPARATOR))):
        # The client would log a warning, and then miss a key of the file.
        several = ENV_KUBECONFIG_PATH_SEPARATOR in given
        what = "none of these files exists" if several else "there is no such file"
        msg = f"KUBECONFIG={given}: {what}; let it name a kubeconfig, or unset it"
        raise OperatorError(msg)
    if given or _IN_CLUSTER in os.environ or not default.exists():
        return given or None
    return str(default)


def _exists(file: str) -> bool:
    # As the client does it: Path.expanduser() fails at an unknown user.
    return bool(file) and Path(os.path.expanduser(file)).exists()  # noqa: PTH111


def _no_cluster(error: Exception, context: str | None) -> OperatorError:
    file = _kubeconfig()
    given = os.environ.get("KUBECONFIG") or KUBE_CONFIG_DEFAULT_LOCATION
    if file is not None and isinstance(error, _BROKEN):
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        return OperatorError(f"{given} cannot be read as a kubeconfig: it is not valid YAML{where}")
    known = _contexts(file) if file is not None and context is not None else None
    if known is not None and context not in known:
        names = ", ".join(sorted(known)) or "(none)"
        return OperatorError(f"--context {context}: {given} has no such context; it has {names}")
    cause = str(error).rstrip(".")
    return OperatorError(
        f"no Kubernetes cluster found: {cause}. Set KUBECONFIG to a kubeconfig file"
        f" (looked at {given} and at the Pod's service account)"
    )


def _contexts(file: str) -> list[str] | None:
    """Names of the contexts of a kubeconfig; None: it cannot be read."""
    try:
        contexts, _ = list_kube_config_contexts(file)
    except (ConfigException, OSError, *_BROKEN):
        return None
    return [str(each["name"]) for each in contexts]
