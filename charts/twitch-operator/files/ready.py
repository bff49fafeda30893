"""`helm test`: the API server serves the three kinds, and the operator is Ready."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from urllib.request import Request, urlopen

KINDS = {"TwitchChannel", "TriggerRule", "ExtensionApp"}


def main(server: str, account: str, ready: str) -> int:
    """Check; returns the exit code.

    Args:
        server: URL of the API server.
        account: Folder of the ServiceAccount's token and of the server's authority.
        ready: URL of the operator's readiness probe.
    """
    token = Path(account, "token").read_text("utf-8")
    trust = ssl.create_default_context(cafile=str(Path(account, "ca.crt")))
    url = f"{server}/apis/twitch-operator.dev/v1alpha1"
    request = Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request, timeout=10, context=trust) as answer:
            served = {each["kind"] for each in json.load(answer)["resources"]}
        if missing := sorted(KINDS - served):
            print(f"the API server does not serve {', '.join(missing)}: are the CRDs installed?")
            return 1
        with urlopen(ready, timeout=10):
            pass
    except OSError as error:
        print(f"{error} ({request.full_url}, {ready}): is the operator's Pod Ready?")
        return 1
    print("the API server serves the three kinds, and the operator is Ready")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
