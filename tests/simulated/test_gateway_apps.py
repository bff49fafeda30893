"""What the gateway learns of ExtensionApps and their Secrets, from an API server of few words."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web

from controller.clients.kube import Kube
from controller.gateway.answers import answer
from controller.gateway.catalog import Catalog
from controller.gateway.extension_watch import Apps
from controller.gateway.metrics import GatewayMetrics
from controller.gateway.requests import Requests
from controller.policies.extension_secrets import SharedSecret, encode, verifying_secrets
from controller.resources.common import rfc3339
from controller.resources.extensionapp import EXTENSION
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.simulated.harness import eventually
from tests.simulated.local_api import LocalApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from controller.gateway.catalog import Endpoint

ORIGIN = "https://deck.ext-twitch.tv"
PROVIDER = "https://id.example.com/introspect"
FAR = 4e9


def shared(text: str) -> SharedSecret:
    return SharedSecret(Sensitive(base64.b64encode(text.encode()).decode()), 1.0, FAR)


class ApiServer(LocalApi):
    """Has ExtensionApps and Secrets; counts what it is asked for."""

    def __init__(self) -> None:
        self.apps: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.away = False
        self.refused: set[str] = set()  # names of Secrets that may not be read
        self._version = 0
        app = web.Application()
        app.router.add_get("/apis/{tail:.*}/extensionapps", self._list)
        app.router.add_get("/api/v1/namespaces/{space}/secrets/{name}", self._secret)
        super().__init__(app)

    def put_app(self, name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Make or change an ExtensionApp; returns its body."""
        body = self.apps.setdefault(name, extension(name))
        annotations = changes.pop("annotations", None)
        if annotations is not None:
            body["metadata"]["annotations"] = annotations
        body["metadata"]["creationTimestamp"] = changes.pop(
            "created", body["metadata"]["creationTimestamp"]
        )
        body["status"] = changes.pop("status", body["status"])
        body["spec"] = body["spec"] | changes
        body["metadata"]["resourceVersion"] = self._next()
        return dict(body)

    def put_target(self, app: str, *secrets: SharedSecret, revoked_for: str = "") -> None:
        """Write the target Secret as the operator does."""
        data = {k: v.reveal() for k, v in encode(secrets, time.time()).items()}
        labels = {
            "app.kubernetes.io/managed-by": "twitch-operator",
            "twitch-operator.dev/extension": app,
        }
        body = self.apps.get(app) or extension(app)
        marks = {"twitch-operator.dev/client-id": body["spec"]["clientId"]}
        if revoked_for:
            marks["twitch-operator.dev/revoked-for"] = revoked_for
        self.put_secret(f"{app}-secrets", data, labels, marks)

    def put_secret(
        self,
        name: str,
        data: dict[str, str],
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> None:
        meta = {"name": name, "namespace": "studio", "uid": name, "resourceVersion": self._next()}
        self.secrets[name] = {
            "kind": "Secret",
            "metadata": {**meta, "labels": labels or {}, "annotations": annotations or {}},
            "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()},
        }

    def _next(self) -> str:
        self._version += 1
        return str(self._version)

    async def _list(self, _request: web.Request) -> web.Response:
        if self.away:
            return web.Response(status=503)
        listed = {"kind": "ExtensionAppList", "metadata": {}, "items": list(self.apps.values())}
        return web.json_response(listed)

    async def _secret(self, request: web.Request) -> web.Response:
        if self.away:
            return web.Response(status=503)
        name = request.match_info["name"]
        self.asked.append(name)
        if name in self.refused:
            return web.json_response({"message": "secrets is forbidden"}, status=403)
        if name not in self.secrets:
            refusal = {"kind": "Status", "message": "not found"}
            return web.json_response(refusal, status=404)
        return web.json_response(self.secrets[name])


def extension(name: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "studio",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": "2026-11-23T10:00:00Z",
        },
        "spec": {
            "clientId": f"client-{name}",
            "ownerId": "27419011",
            "version": "1.3.0",
            "secret": {
                "bootstrapSecretRef": {"name": "bootstrap", "key": "secret"},
                "targetSecretName": f"{name}-secrets",
            },
            "gateway": {"allowedOrigins": [ORIGIN]},
        },
        "status": {},
    }


def status(
    secrets_current: str, reason: str, handled: str = "", *, accepted: bool | None = None
) -> dict[str, Any]:
    """What the operator tells; `accepted`: Twitch took a secret: where one is current, it did."""
    condition = {"type": "SecretsCurrent", "status": secrets_current, "reason": reason}
    condition |= {"message": "", "lastTransitionTime": rfc3339(1.0)}
    told: dict[str, Any] = {"conditions": [condition]}
    if secrets_current == "True" if accepted is None else accepted:
        began, ends = rfc3339(1.0), rfc3339(4e9)
        times = {"activeTime": began, "expirationTime": ends}
        told["secrets"] = [{"fingerprint": "0123456789abcdef", "state": "Active", **times}]
    if handled:
        told["lastHandledRevokeAt"] = handled
    return told


class Learning:
    """The gateway's knowledge, kept as in a process of its own."""

    def __init__(self, api: ApiServer, catalog: Catalog, apps: Apps) -> None:
        self.api = api
        self.catalog = catalog
        self.apps = apps

    def tell(self, name: str, **changes: Any) -> None:  # noqa: ANN401 - JSON
        """Change an ExtensionApp, and deliver the watch's event."""
        self.apps.notify(EXTENSION, "MODIFIED", self.api.put_app(name, **changes))

    def found(self, client_id: str) -> Endpoint:
        served = self.catalog.find(client_id)
        assert served is not None
        return served

    def problem(self, client_id: str) -> str | None:
        """Why the provider of an extension cannot be asked."""
        provider = self.found(client_id).oauth
        assert provider is not None
        return provider.problem

    def verifies(self, client_id: str) -> list[Sensitive]:
        served = self.catalog.find(client_id)
        return [s.content for s in verifying_secrets(served.secrets, time.time())] if served else []


@asynccontextmanager
async def learning(
    api: ApiServer, *, ready: bool = True, forget: Callable[[str], None] | None = None
) -> AsyncIterator[Learning]:
    settings = Settings.model_validate(
        {"secret_check_interval": 0.2, "missing_secret_check_interval": 0.2, "resync_interval": 0.5}
    )
    async with api, Kube(api.load) as kube:
        catalog = Catalog()
        apps = Apps(settings, kube, catalog, forget or GatewayMetrics().forget)
        work = asyncio.get_running_loop().create_task(apps.run())
        try:
            if ready:
                await eventually(lambda: catalog.ready)
            yield Learning(api, catalog, apps)
            assert not work.done(), work.exception()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def test_extensions_deleted_during_a_request_leave_no_series() -> None:
    api, gate, inside = ApiServer(), asyncio.Event(), 0
    names = [f"deck-{number}" for number in range(50)]
    for name in names:
        api.put_app(name)
        api.put_target(name, shared(name))

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        inside += 1
        await gate.wait()
        await answer(200, {})(scope, receive, send)

    metrics = GatewayMetrics()
    async with learning(api, forget=metrics.forget) as known:
        app = Requests(slow, known.catalog, metrics)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://gateway", verify=False
        ) as client:
            calls = [
                asyncio.create_task(
                    client.post("/send/", headers={"X-Twitch-Client-Id": f"client-{name}"})
                )
                for name in names
            ]
            await eventually(lambda: inside == len(names))
            for name in names:
                known.apps.notify(EXTENSION, "DELETED", api.apps.pop(name))
            gate.set()
            assert {each.status_code for each in await asyncio.gather(*calls)} == {200}
    counted = [
        (sample.labels["extension"], sample.value)
        for metric in metrics.requests.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    ]
    assert counted == [("unknown", len(names))]


@pytest.mark.parametrize(
    ("declared", "sent"),
    [
        ("https://Panel.example:443", "https://panel.example"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://[::1]:4430", "https://[::1]:4430"),
    ],
)
async def test_an_origin_counts_as_browsers_send_it(declared: str, sent: str) -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"allowedOrigins": [declared]})
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        assert known.catalog.allows_origin(sent)


async def test_an_extension_is_served_with_what_its_secret_holds() -> None:
    api, secret = ApiServer(), shared("one")
    api.put_app("deck", requiredConfiguration={"value": "COMPLETE"})
    api.put_target("deck", secret)
    async with learning(api) as known:
        served = known.found("client-deck")
        assert (served.label, served.owner_id, served.version) == (
            "studio/deck",
            "27419011",
            "1.3.0",
        )
        assert served.required_configuration == "COMPLETE"
        assert [s.content for s in served.secrets] == [secret.content]
        assert served.oauth is None
        assert known.catalog.allows_origin(ORIGIN)
        assert not known.catalog.allows_origin("https://elsewhere.example")
        assert known.catalog.find("client-other") is None
        assert secret.content.reveal() not in repr(served)
        # The bootstrap secret is none of its business.
        assert set(api.asked) == {"deck-secrets"}


async def test_it_is_ready_when_all_is_known_and_not_before() -> None:
    api = ApiServer()
    api.put_app("deck")
    api.put_target("deck", shared("one"))
    api.away = True
    async with learning(api, ready=False) as known:
        await asyncio.sleep(0.3)
        assert not known.catalog.ready
        api.away = False
        await eventually(lambda: known.catalog.ready)
        assert known.verifies("client-deck")


async def test_an_extension_without_secrets_keeps_no_other_from_being_served() -> None:
    api = ApiServer()
    api.put_app("deck")
    api.put_app("bare")
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        assert known.verifies("client-deck")
        assert known.found("client-bare").secrets == ()


@pytest.mark.parametrize("gateway", [None, {"enabled": False}])
async def test_what_is_not_to_be_served_is_not_found_and_its_secret_is_not_read(
    gateway: dict[str, Any] | None,
) -> None:
    api = ApiServer()
    api.put_app("deck", gateway=gateway)
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        assert known.catalog.find("client-deck") is None
        assert not api.asked


@pytest.mark.parametrize(("field", "mark"), [("labels", "extension"), ("annotations", "client-id")])
async def test_a_secret_that_is_not_the_operators_for_it_is_not_used(field: str, mark: str) -> None:
    api, secret = ApiServer(), shared("one")
    api.put_app("deck")
    api.put_target("deck", secret)
    api.secrets["deck-secrets"]["metadata"][field][f"twitch-operator.dev/{mark}"] = "other"
    async with learning(api) as known:
        assert known.found("client-deck").secrets == ()


async def test_a_rotation_is_seen_at_once_when_the_status_tells() -> None:
    api, old, new = ApiServer(), shared("old"), shared("new")
    api.put_app("deck")
    api.put_target("deck", old)
    async with learning(api) as known:
        api.put_target("deck", new, old)
        known.tell("deck", status=status("True", "Succeeded"))
        await eventually(lambda: new.content in known.verifies("client-deck"), 1)


async def test_a_rotation_is_seen_without_a_status_too() -> None:
    api, old, new = ApiServer(), shared("old"), shared("new")
    api.put_app("deck")
    api.put_target("deck", old)
    async with learning(api) as known:
        api.put_target("deck", new)
        await eventually(lambda: known.verifies("client-deck") == [new.content])


async def test_many_statuses_are_few_reads() -> None:
    api = ApiServer()
    api.put_app("deck")
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        before = len(api.asked)
        for n in range(200):
            known.tell("deck", status=status("True", "Succeeded", handled=str(n)))
            await asyncio.sleep(0.002)
        assert len(api.asked) - before < 20


async def test_what_is_known_is_served_while_the_api_server_is_away() -> None:
    api, secret = ApiServer(), shared("one")
    api.put_app("deck")
    api.put_target("deck", secret)
    async with learning(api) as known:
        api.away = True
        known.tell("deck", status=status("True", "Succeeded"))
        await asyncio.sleep(1.5)
        assert known.verifies("client-deck") == [secret.content]
        api.put_target("deck", shared("two"))
        api.away = False
        await eventually(lambda: known.verifies("client-deck") == [shared("two").content])


async def test_an_event_makes_nothing_of_other_extensions_anew() -> None:
    api = ApiServer()
    for name in ("deck", "quiz"):
        api.put_app(name)
    async with learning(api) as known:
        before = known.found("client-quiz")
        known.tell("deck", version="1.4.0")
        assert known.found("client-deck").version == "1.4.0"
        assert known.found("client-quiz") is before


async def test_a_deleted_extension_is_not_served_any_more() -> None:
    api = ApiServer()
    body = api.put_app("deck")
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        known.apps.notify(EXTENSION, "DELETED", body)
        assert known.catalog.find("client-deck") is None
        known.apps.notify(EXTENSION, None, body)  # of a list that began before
        assert known.catalog.find("client-deck") is None


async def test_a_deletion_that_nobody_told_of_is_found_by_a_list() -> None:
    api = ApiServer()
    api.put_app("deck")
    api.put_app("other")
    async with learning(api) as known:
        del api.apps["deck"]
        await eventually(lambda: known.catalog.find("client-deck") is None)
        assert known.catalog.find("client-other") is not None


async def test_an_older_state_of_the_resource_changes_nothing() -> None:
    api = ApiServer()
    before = api.put_app("deck")
    async with learning(api) as known:
        known.tell("deck", version="2.0.0")
        known.apps.notify(EXTENSION, None, before)
        assert known.found("client-deck").version == "2.0.0"


# The kill switch


async def test_a_request_to_revoke_takes_all_in_hand_out_of_service_at_once() -> None:
    api, old = ApiServer(), shared("old")
    api.put_app("deck")
    api.put_target("deck", old, shared("older"))
    async with learning(api) as known:
        api.away = True
        known.tell("deck", annotations={"twitch-operator.dev/revokeRequestedAt": "now"})
        assert known.verifies("client-deck") == []
        # It signs on: Twitch takes it until the new one is active.
        assert len(known.found("client-deck").secrets) == 2


async def test_after_a_revocation_the_new_secret_verifies_and_the_old_ones_never_again() -> None:
    api, old, new = ApiServer(), shared("old"), shared("new")
    api.put_app("deck")
    api.put_target("deck", old)
    async with learning(api) as known:
        asked = {"twitch-operator.dev/revokeRequestedAt": "now"}
        known.tell("deck", annotations=asked)
        # An operator that forgets the mark changes nothing.
        api.put_target("deck", new, old, revoked_for="now")
        known.tell("deck", status=status("True", "SecretsRevoked", handled="now"))
        await eventually(lambda: known.verifies("client-deck") == [new.content])
        known.tell("deck", annotations={})
        await asyncio.sleep(0.6)
        assert known.verifies("client-deck") == [new.content]


async def test_a_gateway_that_starts_during_a_revocation_trusts_no_secret_of_before() -> None:
    api, old, new = ApiServer(), shared("old"), shared("new")
    api.put_app("deck", annotations={"twitch-operator.dev/revokeRequestedAt": "now"})
    api.put_target("deck", old)
    async with learning(api) as known:
        assert known.verifies("client-deck") == []
        api.put_target("deck", new, revoked_for="now")  # the status is still to come
        await eventually(lambda: known.verifies("client-deck") == [new.content])


async def test_a_request_that_lies_behind_costs_nothing() -> None:
    api, secret = ApiServer(), shared("one")
    api.put_app(
        "deck",
        annotations={"twitch-operator.dev/revokeRequestedAt": "then"},
        status=status("True", "Succeeded", handled="then"),
    )
    api.put_target("deck", secret)  # made anew since, without the mark
    async with learning(api) as known:
        assert known.verifies("client-deck") == [secret.content]


async def test_a_second_request_revokes_what_replaced_the_first() -> None:
    api, first, second = ApiServer(), shared("first"), shared("second")
    api.put_app("deck", annotations={"twitch-operator.dev/revokeRequestedAt": "1"})
    api.put_target("deck", first, revoked_for="1")
    async with learning(api) as known:
        assert known.verifies("client-deck") == [first.content]
        known.tell("deck", annotations={"twitch-operator.dev/revokeRequestedAt": "2"})
        assert known.verifies("client-deck") == []
        api.put_target("deck", second, revoked_for="2")
        known.tell("deck", status=status("True", "Succeeded", handled="2"))
        await eventually(lambda: known.verifies("client-deck") == [second.content])


# Several that claim the same client id


async def test_of_two_with_the_same_client_id_the_accepted_one_is_served_then_the_older() -> None:
    api = ApiServer()
    older, newer = "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"
    api.put_app("mine", clientId="same", created=newer)
    api.put_app("theirs", clientId="same", created=older)
    async with learning(api) as known:
        assert known.found("same").label == "studio/theirs"
        known.tell("mine", status=status("True", "Succeeded"))
        assert known.found("same").label == "studio/mine"
        known.tell("theirs", status=status("True", "Succeeded"))
        assert known.found("same").label == "studio/theirs"
        known.tell("theirs", status=status("False", "Conflict"))
        assert known.found("same").label == "studio/mine"


async def test_who_has_no_secret_takes_no_client_id_from_one_who_has() -> None:
    api, secret = ApiServer(), shared("one")
    older, newer = "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"
    api.put_app("theirs", clientId="same", created=older)
    api.put_app("mine", clientId="same", created=newer)
    api.put_target("mine", secret)
    async with learning(api) as known:
        assert known.found("same").label == "studio/mine"
        assert known.verifies("same") == [secret.content]


async def test_who_was_accepted_once_keeps_the_client_id_in_trouble() -> None:
    api = ApiServer()
    older, newer = "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"
    api.put_app("theirs", clientId="same", created=older)
    api.put_target("theirs", shared("forged"))
    trouble = status("False", "TransientError", accepted=True)
    api.put_app("mine", clientId="same", created=newer, status=trouble)
    async with learning(api) as known:
        assert known.found("same").label == "studio/mine"


async def test_one_that_is_in_conflict_is_not_served_though_there_is_no_other() -> None:
    api = ApiServer()
    api.put_app("deck", status=status("False", "Conflict"))
    async with learning(api) as known:
        assert known.catalog.find("client-deck") is None


async def test_the_owner_of_a_client_id_that_is_not_served_leaves_it_to_nobody() -> None:
    api = ApiServer()
    api.put_app("mine", clientId="same", gateway=None, status=status("True", "Succeeded"))
    api.put_app("theirs", clientId="same")
    async with learning(api) as known:
        assert known.catalog.find("same") is None


# OAuth providers

OAUTH = {"introspectionUrl": PROVIDER, "secretRef": {"name": "login"}}
LOGIN = {"client-id": "gateway", "client-secret": "s3cret-of-the-gateway"}
ALLOWED = {"twitch-operator.dev/allowed-host": "id.example.com"}


async def test_a_provider_is_known_with_its_login() -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": {**OAUTH, "channelsClaim": "channels"}})
    api.put_secret("login", LOGIN, annotations=ALLOWED)
    async with learning(api) as known:
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert provider.problem is None
        assert provider.introspection_url == PROVIDER
        assert (provider.client_id, provider.channels_claim) == ("gateway", "channels")
        assert provider.client_secret == Sensitive("s3cret-of-the-gateway")
        assert known.catalog.lone_provider() == provider


@pytest.mark.parametrize(
    ("annotations", "told"),
    [({}, "kubectl annotate secret login"), ({next(iter(ALLOWED)): "elsewhere"}, "is not sent to")],
)
async def test_a_login_is_not_sent_where_its_secret_does_not_allow_it(
    annotations: dict[str, str], told: str
) -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": OAUTH})
    api.put_secret("login", LOGIN, annotations=annotations)
    async with learning(api) as known:
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert told in str(provider.problem)
        assert provider.client_secret is None


async def test_a_secret_that_the_operator_made_is_sent_to_no_provider() -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": OAUTH})
    made = {"app.kubernetes.io/managed-by": "twitch-operator"}
    api.put_secret("login", LOGIN, made, ALLOWED)
    async with learning(api) as known:
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert provider.client_secret is None
        assert "Secret login was made by the operator" in (provider.problem or "")


async def test_a_login_that_arrives_later_heals_it() -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": OAUTH})
    async with learning(api) as known:
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert "login" in str(provider.problem)
        api.put_secret("login", LOGIN, annotations=ALLOWED)
        await eventually(
            lambda: (now := known.found("client-deck").oauth) is not None and now.problem is None
        )


ELSEWHERE = "https://id.example.com/other"


@pytest.mark.parametrize("trouble", ["away", "forbidden"])
@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        (OAUTH, {**OAUTH, "introspectionUrl": ELSEWHERE}, ELSEWHERE),
        (OAUTH, {**OAUTH, "secretRef": {"name": "other"}}, PROVIDER),
    ],
)
async def test_a_changed_provider_counts_at_once_and_waits_for_its_login(
    trouble: str, before: dict[str, Any], after: dict[str, Any], asked: str
) -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": before})
    for name in ("login", "other"):
        api.put_secret(name, LOGIN, annotations=ALLOWED)
    async with learning(api) as known:
        was = known.found("client-deck").oauth
        assert was is not None
        api.away = trouble == "away"
        api.refused = {"login", "other"}
        known.tell("deck", gateway={"oauth": after})
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert provider.introspection_url == asked
        assert provider.client_secret is None
        assert "was not read yet" in str(provider.problem)
        await eventually(lambda: "cannot be read" in str(known.problem("client-deck")))
        known.tell("deck", gateway={"oauth": before})  # back again: its login is still at hand
        assert known.found("client-deck").oauth == was
        api.away, api.refused = False, set()
        known.tell("deck", gateway={"oauth": after})
        await eventually(lambda: known.problem("client-deck") is None)


async def test_another_issuer_audience_or_claim_counts_at_once_without_any_secret() -> None:
    api = ApiServer()
    first = {"issuer": "https://one.example.com", "audience": "gateway"}
    api.put_app("deck", gateway={"oauth": first})
    async with learning(api) as known:
        api.away = True
        for change in (
            {"audience": "other"},
            {"issuer": "https://two.example.com"},
            {"channelsClaim": "channels"},
        ):
            known.tell("deck", gateway={"oauth": first | change})
            provider = known.found("client-deck").oauth
            assert provider is not None
            assert provider.problem is None
            told = {
                "issuer": provider.issuer,
                "audience": provider.audience,
                "channelsClaim": provider.channels_claim,
            }
            assert told == {"channelsClaim": "twitch_channels"} | first | change


async def test_a_login_that_cannot_be_read_any_more_serves_on() -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": OAUTH})
    api.put_secret("login", LOGIN, annotations=ALLOWED)
    async with learning(api) as known:
        was = known.found("client-deck").oauth
        api.refused = {"login"}
        before = len(api.asked)
        known.tell("deck", status=status("True", "Succeeded"))
        await eventually(lambda: "login" in api.asked[before:])
        await asyncio.sleep(0.1)
        assert known.found("client-deck").oauth == was


async def test_a_provider_is_alone_only_where_every_extension_has_it_served_or_not() -> None:
    api = ApiServer()
    api.put_secret("login", LOGIN, annotations=ALLOWED)
    api.put_app("deck", gateway={"oauth": OAUTH})
    api.put_app("dice", gateway={"oauth": OAUTH})
    async with learning(api) as known:
        assert known.catalog.lone_provider() == known.found("client-deck").oauth
        for other in (
            {"oauth": {"issuer": "https://other.example.com"}},
            {},
            {"oauth": OAUTH, "enabled": False},
            None,
            {"oauth": "broken"},
        ):
            known.tell("dice", gateway=other)
            await eventually(lambda: known.catalog.lone_provider() is None)
            known.tell("dice", gateway={"oauth": OAUTH})
            await eventually(known.catalog.lone_provider)
