"""Whether the gateway may ask the OAuth provider that a resource names: a pure function.

Whoever may write a resource must not be able to send Secrets elsewhere, nor to make the gateway
call into the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from controller.policies.problems import Blocked, missing_secret
from controller.resources.kind import ALLOWED_HOST

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.resources.extensionapp import OAuth

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "allows", "host_of", "host_refusal", "provider_problem"]

CLIENT_ID, CLIENT_SECRET = "client-id", "client-secret"
_FIELD = "spec.gateway.oauth"


def provider_problem(
    oauth: OAuth,
    data: Mapping[str, bytes] | None,
    annotations: Mapping[str, str],
    allowed_hosts: Collection[str],
    namespace: str,
) -> Blocked | None:
    """Why the provider cannot be asked; None: it can.

    Args:
        oauth: As declared.
        data: Of the Secret that it names; None: there is no such Secret.
        annotations: Of that Secret.
        allowed_hosts: The setting ALLOWED_FETCH_HOSTS.
        namespace: Of the ExtensionApp.
    """
    url = oauth.introspection_url or oauth.issuer or ""
    field = "introspectionUrl" if oauth.introspection_url is not None else "issuer"
    if not url.startswith("https://") and not allows(allowed_hosts, url):
        message = (
            f"{_FIELD}.{field} must begin with https://; http is for the hosts of the operator's"
            " setting ALLOWED_FETCH_HOSTS alone"
        )
        return Blocked("InvalidSpec", message, human=True)
    if oauth.secret_ref is None:
        return None
    problem = _secret_problem(oauth.secret_ref.name, namespace, data)
    if problem is not None:
        return problem
    name, host = oauth.secret_ref.name, host_of(url)
    refusal = host_refusal(name, annotations, host, f" -n {namespace}")
    if refusal is None:
        return None
    return Blocked("HostNotAllowed", f"{_FIELD}.secretRef: {refusal}", human=True)


def _secret_problem(name: str, namespace: str, data: Mapping[str, bytes] | None) -> Blocked | None:
    field = f"{_FIELD}.secretRef"
    if data is None:
        return missing_secret(field, name, namespace, f"{CLIENT_ID} and {CLIENT_SECRET}")
    lacking = [key for key in (CLIENT_ID, CLIENT_SECRET) if not data.get(key, b"").strip()]
    if lacking:
        keys, them = ("key", "it") if len(lacking) == 1 else ("keys", "them")
        message = f"{field}: Secret {name} lacks the {keys} {' and '.join(lacking)}: add {them}"
        return Blocked("InvalidSecret", message, human=True)
    return None


def host_refusal(
    name: str, annotations: Mapping[str, str], host: str, flags: str = ""
) -> str | None:
    """Why a Secret is not sent to the host of a URL in a resource; None: it is.

    Args:
        name: Of the Secret.
        annotations: Its own: it must name the host.
        host: Of the URL, in small letters.
        flags: For the kubectl command in the message.
    """
    if annotations.get(ALLOWED_HOST, "").strip().lower() == host:
        return None
    return (
        f"Secret {name} is not sent to {host} unless it says so itself: kubectl annotate secret"
        f" {name}{flags} --overwrite {ALLOWED_HOST}={host}"
    )


def allows(allowed_hosts: Collection[str], url: str) -> bool:
    """Whether the setting ALLOWED_FETCH_HOSTS names the host of a URL, or its host and port."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return False
    host = host_of(url)
    shown = f"[{host}]" if ":" in host else host  # an IPv6 address, as a URL has it
    return bool(host) and any(
        entry.lower() in (host, shown, f"{shown}:{port}") for entry in allowed_hosts
    )


def host_of(url: str) -> str:
    """The host of a URL, in small letters; empty: it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
