"""Which ExtensionApps the gateway serves, event by event and as seen anew."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.gateway.candidates import Candidate
from controller.gateway.catalog import Catalog, Endpoint
from controller.gateway.precedence import Precedence
from controller.resources.extensionapp import EXTENSION
from controller.runtime.resource import Resource

NAMES, CLIENT_IDS = ("deck", "quiz", "poll", "map"), ("one", "two", "three")
ORIGINS = ("https://a.example.com", "https://b.example.com")
ISSUERS = (None, "https://id.example.com", "https://other.example.com")


def resource(
    name: str,
    client_id: str,
    *,
    issuer: str | None = None,
    origins: tuple[str, ...] = (),
    enabled: bool = True,
    reason: str = "Succeeded",
    accepted: bool = False,
) -> Resource:
    oauth = {"oauth": {"issuer": issuer}} if issuer is not None else {}
    condition = {"type": "SecretsCurrent", "status": "False", "reason": reason, "message": ""}
    status: dict[str, Any] = {
        "conditions": [condition | {"lastTransitionTime": "2026-11-23T10:00:00Z"}]
    }
    if accepted:
        times = dict.fromkeys(("activeTime", "expirationTime"), "2026-11-23T10:00:00Z")
        status["secrets"] = [{"fingerprint": "0123456789abcdef", "state": "Active", **times}]
    body = {
        "metadata": {
            "name": name,
            "namespace": "studio",
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-11-23T10:00:00Z",
        },
        "spec": {
            "clientId": client_id,
            "ownerId": "27419011",
            "version": "1.3.0",
            "secret": {
                "bootstrapSecretRef": {"name": "bootstrap", "key": "secret"},
                "targetSecretName": f"{name}-secrets",
            },
            "gateway": {"enabled": enabled, "allowedOrigins": list(origins)} | oauth,
        },
        "status": status,
    }
    return Resource.from_body(EXTENSION, body)


CHANGES = st.builds(
    resource,
    st.sampled_from(NAMES),
    st.sampled_from((*CLIENT_IDS, "not a client id")),
    issuer=st.sampled_from(ISSUERS),
    origins=st.sets(st.sampled_from(ORIGINS)).map(tuple),
    enabled=st.booleans(),
    reason=st.sampled_from(("Succeeded", "Conflict")),
    accepted=st.booleans(),
)


def seen_anew(apps: list[Candidate]) -> dict[str, Endpoint]:
    """What is served, by a look at all candidates."""
    usable = [app for app in apps if app.spec is not None and not app.in_conflict]
    usable.sort(key=lambda app: app.claim, reverse=True)
    first = {app.spec.client_id: app.served() for app in usable if app.spec is not None}
    return {client_id: served for client_id, served in first.items() if served is not None}


@given(st.lists(CHANGES | st.sampled_from(NAMES), max_size=30))
def test_events_one_by_one_come_to_what_a_look_at_all_does(events: list[Resource | str]) -> None:
    apps: dict[str, Candidate] = {}
    precedence, catalog = Precedence(), Catalog()
    for event in events:
        if isinstance(event, str):
            app = apps.pop(event, None)
            changed = precedence.drop(app) if app is not None else set()
        else:
            app = apps.setdefault(event.key.name, Candidate(event, ()))
            app.update(event)
            changed = precedence.note(app)
        for client_id in changed:
            catalog.put(client_id, precedence.served(client_id))
        wanted = seen_anew(list(apps.values()))
        whole = Catalog(wanted.values())
        assert catalog.count == whole.count
        assert {c: s for c in CLIENT_IDS if (s := catalog.find(c)) is not None} == wanted
        assert catalog.lone_provider() == whole.lone_provider()
        assert [catalog.allows_origin(o) for o in ORIGINS] == [
            whole.allows_origin(o) for o in ORIGINS
        ]


def test_a_change_concerns_its_own_client_ids_alone() -> None:
    precedence = Precedence()
    deck, quiz = (Candidate(resource(n, f"client-{n}"), ()) for n in ("deck", "quiz"))
    assert precedence.note(deck) == {"client-deck"}
    assert precedence.note(quiz) == {"client-quiz"}
    deck.update(resource("deck", "other"))
    assert precedence.note(deck) == {"client-deck", "other"}


def test_who_comes_behind_the_first_changes_nothing() -> None:
    precedence = Precedence()
    first = Candidate(resource("deck", "same", accepted=True), ())
    precedence.note(first)
    others = [Candidate(resource(f"other-{n}", "same"), ()) for n in range(100)]
    assert not any(precedence.note(other) for other in others)
    assert not any(precedence.drop(other) for other in others[1:])
    first.update(resource("deck", "same", accepted=True, origins=ORIGINS))
    assert precedence.note(first) == {"same"}
    assert precedence.drop(first) == {"same"}
    served = precedence.served("same")
    assert served is not None
    assert served.label == "studio/other-0"
