"""A secured node: only those whom it knows are let in, and each answer shows whose it is."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import grpc
import pytest
from authority import Authority, Wallet, elliptic_key, node_name, pem, rsa_key, spki
from callers import PATIENCE, Caller, Ear, answer, said
from websockets.asyncio.client import connect

from crunch_game import ResourceError, Submission, events
from crunch_game.crunchdao.client import CrunchRoster, SecureCredentials
from crunch_game.crunchdao.dev._deployment import Stage
from crunch_game.crunchdao.node import ModelNode, NodeIdentity, Workplace
from crunch_game.crunchdao.protocol import Refused, WalletAttestation, verify
from crunch_game.testing import SimulatedNetwork

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

CODE = "from arena import Base\n\nclass Mine(Base):\n    def predict(self, number):\n        return number\n"
CA, OTHER_CA = Authority(), Authority("other")
NODE, COORDINATOR = rsa_key("node"), rsa_key("coordinator")
CERTIFICATE = CA.issue(node_name("alice"), NODE)
WALLET = Wallet()


def word(headers: dict[str, str]) -> dict[str, str]:
    """A wallet's word as CrunchDAO's tool writes it to a file."""
    message, signature, wallet = headers.values()
    return {"message_b64": message, "signature_b64": signature, "wallet_pubkey_b58": wallet}


WORD = WalletAttestation(**word(WALLET.vouch(NODE)))


def files(folder: Path, certificate: bytes, key, written: dict | None = None) -> Path:
    """One side's credentials."""
    folder.mkdir(exist_ok=True)
    for name, data in {"ca.crt": CA.certificate, "tls.crt": certificate, "tls.key": pem(key)}.items():
        (folder / name).write_bytes(data)
    if written is not None:
        (folder / "cruncher_msg.json").write_text(json.dumps(written))
    return folder


def channel(certificate: bytes | None = None):
    """A coordinator's credentials for gRPC; those of a stranger without a certificate."""
    if certificate is None:
        return grpc.ssl_channel_credentials(CA.certificate)
    return grpc.ssl_channel_credentials(CA.certificate, pem(COORDINATOR), certificate)


KNOWN = CA.issue("coordinator", COORDINATOR)
NAMED = [("grpc.ssl_target_name_override", node_name("alice"))]


@pytest.fixture
def submission(tmp_path):
    file = tmp_path / "alice.py"
    file.write_text(CODE)
    return Submission("alice", file)


@pytest.fixture
def identity(tmp_path) -> NodeIdentity:
    return NodeIdentity.from_directory(files(tmp_path / "node", CERTIFICATE, NODE, word(WALLET.vouch(NODE))))


@pytest.fixture
async def node(identity, submission):
    async with Workplace("arena.Base") as workplace:
        node = ModelNode(submission, workplace, identity=identity)
        await node.open()
        yield node
        await node.close()


def believed(metadata) -> None:
    """The metadata of an answer, as a coordinator looks at it."""
    info = {"cruncher_wallet_pubkey": WALLET.address, "cruncher_hotkey": "hot"}
    verify(metadata, Submission("alice", "127.0.0.1:1", info=info), spki(NODE))


@pytest.mark.processes
async def test_who_is_known_is_served_and_shown_whose_node_it_is(node):
    async with Caller(node.port, channel(KNOWN), NAMED) as caller:
        assert said(await caller.setup())[0] == "SUCCESS"
        call = caller.call("predict", 3)
        assert answer(await call) == 3
        believed(await call.initial_metadata())
        assert await caller.health() == "SERVING"


STRANGERS = {
    "without a certificate": lambda: channel(None),
    "of another authority": lambda: channel(OTHER_CA.issue("coordinator", COORDINATOR)),
    "of yesterday": lambda: channel(CA.issue("coordinator", COORDINATOR, timedelta(days=-1))),
    "in plain text": None,
}


@pytest.mark.processes
async def test_strangers_are_not_let_in(node):
    async def knock(who: str) -> grpc.StatusCode:
        make = STRANGERS[who]
        async with Caller(node.port, *((make(), NAMED) if make else ())) as caller:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await caller.setup(timeout=3)
            return caught.value.code()

    codes = await asyncio.gather(*map(knock, STRANGERS))
    assert set(codes) <= {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}


@pytest.mark.processes
async def test_a_busy_node_shows_whose_it_is_too(node):
    async with Caller(node.port, channel(KNOWN), NAMED) as caller:
        metadata = None
        with anyio.fail_after(PATIENCE):
            while metadata is None:
                setup = caller.setup()
                while metadata is None and not setup.done():  # it is busy with that, and with nothing afterwards
                    try:
                        await caller.call("predict", 1)
                    except grpc.aio.AioRpcError as error:
                        metadata = error.initial_metadata()
                await setup
        believed(metadata)


@pytest.mark.processes
async def test_nobody_is_warned_of_a_secured_node(node, caplog):
    await node.close()
    await node.open("0.0.0.0")

    assert caplog.messages == []


@pytest.mark.processes
async def test_the_published_coordinator_plays_with_secured_nodes(peer, identity, submission, tmp_path):
    credentials = files(tmp_path / "coordinator", KNOWN, COORDINATOR)

    async with SimulatedNetwork("arena", "arena.Base", identities={"alice": identity}) as network:
        await network.join(submission)
        infos = network.models["alice"].announcement.infos
        assert (infos["cruncher_wallet_pubkey"], infos["cruncher_hotkey"]) == (WALLET.address, "hot")
        async with peer(network, credentials=str(credentials)) as one:
            await one.until(alice=submission.deployment_id)
            assert await one.call("predict", 7) == {"alice": ["SUCCESS", 7, None]}


@pytest.mark.processes
async def test_our_runner_plays_with_secured_nodes(running, identity, submission):
    async with SimulatedNetwork("arena", "arena.Base", identities={"alice": identity}) as network:
        await network.join(submission)
        credentials = SecureCredentials(CA.certificate, KNOWN, pem(COORDINATOR))
        async with running(CrunchRoster("arena", port=network.port, credentials=credentials), "arena.Base") as runner:
            assert (await runner.predict(7))["alice"].value == 7


@pytest.fixture
def announced():
    """Connect to a network: the frames that it sends."""

    @asynccontextmanager
    async def following(network):
        async with connect(f"ws://127.0.0.1:{network.port}/arena") as connection:

            async def told() -> list[tuple[str, str]]:
                with anyio.fail_after(PATIENCE):
                    frame = json.loads(await connection.recv())
                return [(each["model_id"], each["state"]) for each in frame["data"]]

            yield told

    return following


@pytest.mark.processes
async def test_a_word_that_has_expired_stops_its_model_and_no_other(announced, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    for name in ("alice", "bob"):
        (models / f"{name}.py").write_text(CODE)
    expired = NodeIdentity(
        CERTIFICATE, pem(NODE), CA.certificate, WalletAttestation(**word(WALLET.vouch(NODE, expires_at=1)))
    )
    ear = Ear()
    network = SimulatedNetwork(
        "arena", "arena.Base", models, identities={"alice": expired}, logs=tmp_path / "logs", on_event=ear
    )

    async with network, announced(network) as told:
        assert await told() == [("bob", "RUNNING")]
        why = "coordinators would refuse the node of alice: the wallet's attestation has expired: expires_at is 1"
        assert (await ear.next(events.ModelStopped)).reason == why
        assert (network.models["alice"].stage, network.models["alice"].last_note) == (Stage.STOPPED, why)
        assert why in (tmp_path / "logs" / "alice.log").read_text()

        (models / "alice.py").write_text(CODE + "    more = 1\n")
        assert (await ear.next(events.ModelStopped)).reason == why
        (models / "carol.py").write_text(CODE)
        assert await told() == [("carol", "RUNNING")]


@pytest.mark.processes
async def test_a_word_that_expires_stops_a_model_that_recovers(announced, identity, submission, monkeypatch):
    async with SimulatedNetwork("arena", "arena.Base", identities={"alice": identity}) as network:
        await network.join(submission)
        async with announced(network) as told:
            assert await told() == [("alice", "RUNNING")]
            later = time.time() + 7200
            monkeypatch.setattr(time, "time", lambda: later)
            await network.recover("alice")

            assert [await told() for _ in range(3)] == [
                [("alice", state)] for state in ("RECOVERING", *["STOPPED"] * 2)
            ]
            assert network.models["alice"].stage is Stage.STOPPED
            assert "the wallet's attestation has expired" in network.models["alice"].last_note


# What is wrong is said before anybody is served.


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (WALLET.vouch(COORDINATOR), "the wallet vouches for another TLS key"),
        (WALLET.vouch(NODE, "bob"), "the wallet vouches for the model 'bob', not for 'alice'"),
        (WALLET.vouch(NODE, expires_at=1), "the wallet's attestation has expired: expires_at is 1"),
        (WALLET.vouch(NODE) | {"x-server-wallet-pubkey": Wallet().address}, "the signature that its node shows is not"),
        (WALLET.sign(b"?"), "what the wallet has signed cannot be read: it is not JSON"),
        (WALLET.vouch(NODE) | {"x-server-auth-message": "?"}, "x-server-auth-message is not base64"),
    ],
)
async def test_a_word_that_nobody_would_believe_is_refused_at_once(submission, tmp_path, written, message):
    identity = NodeIdentity.from_directory(files(tmp_path, CERTIFICATE, NODE, word(written)))

    with pytest.raises(ResourceError) as caught:
        ModelNode(submission, None, identity=identity)

    assert str(caught.value).startswith("coordinators would refuse the node of alice: ")
    assert message in str(caught.value)


def test_credentials_that_do_not_belong_together_are_refused_at_once(tmp_path):
    elliptic = elliptic_key()
    for certificate, key, message in (
        (CERTIFICATE, COORDINATOR, "the node's certificate and its private key do not belong together"),
        (b"nothing", NODE, "the node's credentials cannot be read: "),
        (
            CA.issue("alice", elliptic),
            elliptic,
            "the node's certificate has no RSA key, and coordinators accept no other",
        ),
    ):
        with pytest.raises(ResourceError) as caught:
            NodeIdentity(certificate, pem(key), CA.certificate)
        assert str(caught.value).startswith(message)

    folder = files(tmp_path, CERTIFICATE, NODE, {"message_b64": "e30="})
    with pytest.raises(ResourceError, match=r"the wallet's attestation in .*cruncher_msg.json cannot be read: "):
        NodeIdentity.from_directory(folder)
    (folder / "tls.key").unlink()
    with pytest.raises(ResourceError, match=r"the node's credentials cannot be read: .*tls.key"):
        NodeIdentity.from_directory(folder)


def test_a_node_without_a_wallets_word_is_nobody_that_coordinators_believe():
    identity = NodeIdentity(CERTIFICATE, pem(NODE), CA.certificate)

    identity.check("alice")
    assert identity.infos() == {}
    with pytest.raises(Refused):
        verify((), Submission("alice", "", info={"cruncher_wallet_pubkey": WALLET.address}), spki(NODE))


def test_keys_are_not_shown(identity):
    assert "PRIVATE" not in repr(identity)
