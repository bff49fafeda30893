"""The Secret of a channel's stream key: a real API server, and a simulated Twitch."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.aio.client.configuration import Configuration

from controller.channels.grant import token_secret as tokens
from controller.channels.stream_keys import StreamKeyManager
from controller.clients.helix import Credential, Helix, Unauthorized
from controller.clients.kube import Kube, KubeUnavailable
from controller.clients.kube.config import load_configuration
from controller.errors import TransientError
from controller.resources.twitchchannel import CHANNEL
from controller.runtime.resource import Key
from controller.runtime.secret_cache import SecretStore
from controller.sandbox.twitch import Fault
from controller.sensitive import Sensitive
from tests.simulated.harness import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    import httpx

    from controller.clients.kube import Secret
    from controller.sandbox.controlplane import ControlPlane
    from controller.sandbox.twitch import TwitchSimulator
    from controller.settings import Settings

pytestmark = pytest.mark.cluster

CRDS = Path(__file__).parents[2] / "crds"
STREAM_KEY = "/helix/streams/key"
SECRET = "encoder"
MANIFEST = {
    "apiVersion": "twitch-operator.dev/v1alpha1",
    "kind": "TwitchChannel",
    "metadata": {"name": "mst3k"},
    "spec": {
        "app": {"secretRef": {"name": "twitch-app"}},
        "authorization": {"deviceCode": {}},
        "streamKeySecretName": SECRET,
    },
}


@dataclass
class Desk:
    """A keeper with all that it works with; it is called as the operator would."""

    keeper: StreamKeyManager
    twitch: TwitchSimulator
    kube: Kube
    secrets: SecretStore
    key: Key
    uid: str
    credential: Credential
    told: list[Hashable] = field(default_factory=list)

    async def round(
        self,
        name: str | None = SECRET,
        *,
        credential: Credential | None = None,
        granted: bool = True,
        allowed: bool = True,
    ) -> float | None:
        signed = (credential or self.credential) if granted else None
        return await self.keeper.reconcile(name, signed, self.broadcaster_id, allowed)

    @property
    def broadcaster_id(self) -> str:
        return self.twitch.channels.named("mst3k").id

    @property
    def wanted(self) -> bytes:
        return self.twitch.channels.named("mst3k").stream_key.encode()

    async def stored(self, name: str = SECRET) -> Secret:
        return await self.kube.get_secret(self.key.namespace, name)

    def reads(self) -> int:
        return len(self.twitch.calls("GET", STREAM_KEY))

    def consent(self) -> Credential:
        token = self.twitch.consent("mst3k", "client", ["channel:read:stream_key"]).access_token
        return Credential("client", Sensitive(token))

    def is_well(self) -> bool:
        return self.keeper.synced and self.keeper.problem is None

    def problem(self) -> tuple[str, bool]:
        assert self.keeper.problem is not None
        return self.keeper.problem.reason, self.keeper.problem.human


@pytest.fixture
async def kube(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    async with Kube(load_configuration) as kube:
        yield kube


@pytest.fixture(scope="module")
def crds(control_plane: ControlPlane) -> None:
    apply = ("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    control_plane.run_kubectl(*apply, check=True)
    control_plane.until_established("crd/twitchchannels.twitch-operator.dev")


@pytest.fixture
def channel(control_plane: ControlPlane, namespace: str, crds: None) -> dict[str, Any]:  # noqa: ARG001
    """A channel, to own what is made for it."""
    create = ("create", "-n", namespace, "-o", "json", "-f", "-")
    made = control_plane.run_kubectl(*create, input=json.dumps(MANIFEST), check=True)
    return dict(json.loads(made.stdout))


@dataclass
class Desks:
    """Makes desks: one for each start of the operator."""

    channel: dict[str, Any]
    twitch: TwitchSimulator
    helix: Helix
    kube: Kube
    settings: Settings

    @asynccontextmanager
    async def open(
        self, interval: float = 3600.0, writes: Kube | None = None
    ) -> AsyncIterator[Desk]:
        meta = self.channel["metadata"]
        key = Key(CHANNEL, meta["namespace"], meta["name"])
        told: list[Hashable] = []
        often = {"secret_check_interval": 0.1, "missing_secret_check_interval": 0.1}
        secrets = SecretStore(self.kube, self.settings.model_copy(update=often), told.append)
        keeper = StreamKeyManager(
            key, meta["uid"], helix=self.helix, secrets=secrets, kube=writes or self.kube,
            interval=interval,
        )  # fmt: skip
        token = self.twitch.consent("mst3k", "client", ["channel:read:stream_key"]).access_token
        credential = Credential("client", Sensitive(token))
        looking = asyncio.create_task(secrets.run())
        try:
            yield Desk(keeper, self.twitch, self.kube, secrets, key, meta["uid"], credential, told)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


@pytest.fixture
def desks(
    channel: dict[str, Any],
    twitch: TwitchSimulator,
    http: httpx.AsyncClient,
    settings: Settings,
    kube: Kube,
) -> Desks:
    return Desks(channel, twitch, Helix(http, settings), kube, settings)


@pytest.fixture
async def desk(desks: Desks) -> AsyncIterator[Desk]:
    async with desks.open() as desk:
        yield desk


async def test_the_secret_holds_the_key_and_says_whose_it_is(desk: Desk) -> None:
    again = await desk.round()
    stored = await desk.stored()
    assert stored.data == {"stream-key": desk.wanted}
    assert stored.labels == {
        "app.kubernetes.io/managed-by": "twitch-operator",
        "twitch-operator.dev/channel": "mst3k",
        "twitch-operator.dev/content": "stream-key",
    }
    assert stored.owner_uids == (desk.uid,)
    assert desk.is_well()
    assert again is not None


async def test_an_unchanged_key_is_read_but_not_written(desks: Desks) -> None:
    async with desks.open(interval=0.05) as desk:
        await desk.round()
        before = await desk.stored()
        while desk.reads() < 4:
            await desk.round()
        assert (await desk.stored()).resource_version == before.resource_version


async def test_rounds_within_the_interval_ask_nobody(desk: Desk) -> None:
    first = await desk.round()
    for _ in range(3):
        assert await desk.round() == first
    assert desk.reads() == 1


async def test_a_reset_key_is_written_when_it_is_next_read(desks: Desks) -> None:
    async with desks.open(interval=0.05) as desk:
        await desk.round()
        old = desk.wanted
        desk.twitch.reset_stream_key("mst3k")
        assert desk.wanted != old
        while desk.reads() < 2:
            await desk.round()
        assert (await desk.stored()).data == {"stream-key": desk.wanted}


async def test_a_restart_adopts_the_secret_and_leaves_it_as_it_is(desks: Desks) -> None:
    async with desks.open() as before:
        await before.round()
        made = await before.stored()
    async with desks.open() as desk:
        await desk.round()
        assert desk.keeper.synced
        assert (await desk.stored()).resource_version == made.resource_version


async def test_a_deleted_secret_is_made_again_without_asking_twitch(
    desk: Desk, control_plane: ControlPlane
) -> None:
    await desk.round()
    delete = ("delete", "secret", SECRET, "-n", desk.key.namespace)
    await asyncio.to_thread(control_plane.run_kubectl, *delete, check=True)
    await eventually(lambda: desk.told)
    assert desk.told == [desk.key]
    desk.twitch.order_fault(Fault(path=STREAM_KEY, status=503, times=None))
    await desk.round(granted=False)
    assert (await desk.stored()).data == {"stream-key": desk.wanted}
    assert (desk.keeper.synced, desk.reads()) == (True, 1)


async def test_a_secret_that_somebody_changed_is_put_right(desk: Desk) -> None:
    await desk.round()
    await desk.kube.set_secret_key(desk.key.namespace, SECRET, "stream-key", Sensitive("live_x"))
    await eventually(lambda: desk.told)
    await desk.round()
    assert (await desk.stored()).data == {"stream-key": desk.wanted}


@pytest.mark.parametrize("whose", ["nobody's", "another channel's", "the channel's tokens"])
async def test_a_secret_that_is_not_ours_is_never_touched(desk: Desk, whose: str) -> None:
    other = Key(CHANNEL, desk.key.namespace, "other")
    labels = {
        "nobody's": {},
        "another channel's": tokens.labels(other) | {tokens.CONTENT: "stream-key"},
        "the channel's tokens": tokens.labels(desk.key),
    }[whose]
    theirs = {"refresh-token": Sensitive("precious")}
    made = await desk.kube.create_secret(desk.key.namespace, SECRET, theirs, labels)
    assert await desk.round() is None
    assert desk.problem() == ("Conflict", True)
    assert not desk.keeper.synced
    assert (await desk.stored()).resource_version == made.resource_version
    assert desk.reads() == 0


async def test_a_secret_that_somebody_makes_meanwhile_is_not_touched(desk: Desk) -> None:
    await desk.round(granted=False)  # it was looked for, and was not there
    theirs = {"user": Sensitive("data")}
    made = await desk.kube.create_secret(desk.key.namespace, SECRET, theirs, {})
    assert await desk.round() is None
    assert desk.problem() == ("Conflict", True)
    assert (await desk.stored()).resource_version == made.resource_version


async def test_a_secret_that_was_written_meanwhile_is_read_anew(desks: Desks) -> None:
    async with desks.open() as desk, desks.open() as other:
        await desk.round()
        desk.twitch.reset_stream_key("mst3k")
        await other.round()  # it writes; the first desk has read what was before
        desk.keeper._read_at = 0.0
        await desk.round()
        assert desk.keeper.synced
        assert (await desk.stored()).data == {"stream-key": desk.wanted}


async def test_a_secret_of_ours_without_its_owner_gets_one(desk: Desk) -> None:
    labels = tokens.labels(desk.key) | {tokens.CONTENT: "stream-key"}
    data = {"stream-key": Sensitive(desk.wanted.decode())}
    await desk.kube.create_secret(desk.key.namespace, SECRET, data, labels)
    await desk.round()
    assert (await desk.stored()).owner_uids == (desk.uid,)


async def test_another_name_makes_another_secret_and_leaves_the_former(desk: Desk) -> None:
    await desk.round()
    await desk.round("encoder-2")
    assert (await desk.stored("encoder-2")).data == (await desk.stored()).data
    assert await desk.round(None) is None
    assert (desk.keeper.problem, desk.keeper.synced) == (None, False)
    assert (await desk.stored("encoder-2")).data == {"stream-key": desk.wanted}


async def test_nothing_is_asked_for_without_a_grant_or_its_scope(desk: Desk) -> None:
    assert await desk.round(granted=False) is None
    assert desk.problem() == ("AuthorizationPending", False)
    assert await desk.round(allowed=False) is None
    assert desk.problem() == ("ScopeMissing", True)
    assert desk.keeper.problem is not None
    named = f"kubectl twitch authorize -n {desk.key.namespace} mst3k"
    assert desk.keeper.problem.message.endswith(named)
    assert desk.reads() == 0
    await desk.round()
    assert desk.is_well()


async def test_a_lost_scope_leaves_the_key_where_it_is(desk: Desk) -> None:
    await desk.round()
    await desk.round(allowed=False)
    assert desk.problem() == ("ScopeMissing", True)
    assert desk.keeper.synced
    await desk.round(granted=False)
    assert desk.is_well()


async def test_a_refused_token_passes_through_until_a_refresh_does_not_cure_it(desk: Desk) -> None:
    desk.twitch.expire_access_tokens("mst3k")
    for _ in range(2):
        with pytest.raises(Unauthorized):
            await desk.round()
    assert desk.problem() == ("TransientError", False)
    await desk.round(credential=desk.consent())
    assert desk.keeper.synced

    desk.keeper._read_at = 0.0
    desk.twitch.order_fault(Fault(path=STREAM_KEY, status=401, times=3))
    with pytest.raises(Unauthorized):
        await desk.round(credential=desk.consent())
    for _ in range(2):
        with pytest.raises(TransientError) as again:
            await desk.round(credential=desk.consent())
        assert not isinstance(again.value, Unauthorized)
    assert desk.is_well()


async def test_a_fault_of_twitch_is_told_until_the_key_is_there(desk: Desk) -> None:
    desk.twitch.order_fault(Fault(path=STREAM_KEY, status=503))
    with pytest.raises(TransientError):
        await desk.round()
    assert desk.problem() == ("TransientError", False)
    assert not desk.keeper.synced
    await desk.round()
    assert desk.is_well()


async def test_an_api_server_that_takes_no_write_costs_no_second_read(desks: Desks) -> None:
    async def nowhere() -> Configuration:
        return Configuration(host="http://127.0.0.1:9")

    async with Kube(nowhere) as away, desks.open(writes=away) as desk:
        for _ in range(2):
            with pytest.raises(KubeUnavailable):
                await desk.round()
        assert desk.problem() == ("TransientError", False)
        assert (desk.keeper.synced, desk.reads()) == (False, 1)


async def test_the_key_of_a_former_broadcaster_is_not_kept(desk: Desk) -> None:
    await desk.round()
    desk.twitch.add_broadcaster("other")
    token = desk.twitch.consent("other", "client", ["channel:read:stream_key"]).access_token
    other = desk.twitch.channels.named("other")
    await desk.keeper.reconcile(SECRET, Credential("client", Sensitive(token)), other.id, True)
    assert (await desk.stored()).data == {"stream-key": other.stream_key.encode()}


async def test_no_log_line_shows_the_key_at_any_level(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        await desk.round()
        desk.twitch.reset_stream_key("mst3k")
        desk.keeper._read_at = 0.0
        await desk.round()
    finally:
        for name in ("httpx", "httpcore", "asyncio", "aiohttp"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    key = desk.wanted.decode()
    assert "the stream key is in Secret encoder" in caplog.text
    assert key not in caplog.text
    assert base64.b64encode(desk.wanted).decode() not in caplog.text
    assert key not in repr(vars(desk.keeper))


async def test_the_secret_goes_with_the_channel(desk: Desk, control_plane: ControlPlane) -> None:
    await desk.round()
    namespace = desk.key.namespace
    delete = ("delete", "tch", "mst3k", "-n", namespace)
    await asyncio.to_thread(control_plane.run_kubectl, *delete, check=True)
    # The collector looks for new kinds every half a minute.
    wait = ("wait", "--for=delete", f"secret/{SECRET}", "-n", namespace, "--timeout=60s")
    gone = await asyncio.to_thread(control_plane.run_kubectl, *wait)
    assert gone.returncode == 0, gone.stderr
