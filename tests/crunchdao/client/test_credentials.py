"""Nodes behind TLS, certificates made here: who is who he says is asked, and everyone else refused with a reason."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import timedelta

import grpc
import pytest
from authority import Authority, Wallet, elliptic_key, node_name, pem, rsa_key, serving, spki
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_public_key,
)
from nodes import free_port, node
from orchestra import orchestrator

from crunch_game import Policy, ResourceError, Submission
from crunch_game.crunchdao.client import CrunchRoster, GatewayCredentials, NodeHost, SecureCredentials
from crunch_game.crunchdao.client._credentials import Insecure, Secured, speaks_tls
from crunch_game.events import ModelLoadFailed, ModelReady
from crunch_game.outcomes import Status
from crunch_game.policy import State

pytestmark = pytest.mark.anyio


class Tracker:
    def predict(self, asset="dove", step=1):
        return 1.0


CA = Authority()
KEY = rsa_key("node")
COORDINATOR = rsa_key("coordinator")
OURS = CA.issue("coordinator", COORDINATOR)
WALLET = Wallet()
HEADERS = WALLET.vouch(KEY)
INFO = {"cruncher_wallet_pubkey": WALLET.address, "cruncher_hotkey": "hot"}


def ours(certificate: bytes = OURS, key=COORDINATOR, ca: bytes = CA.certificate) -> SecureCredentials:
    return SecureCredentials(ca, certificate, pem(key))


def theirs(certificate: bytes | None = None, key=KEY, clients: bytes = CA.certificate) -> grpc.ServerCredentials:
    return serving(certificate or CA.issue(node_name("alice"), key), key, clients)


def secure_node(headers: dict = HEADERS, credentials: grpc.ServerCredentials | None = None, port: int = 0):
    return node(Tracker, port, credentials=credentials or theirs(), headers=tuple(headers.items()))


def alice(port: int, info=INFO) -> list[Submission]:
    return [Submission("alice", f"127.0.0.1:{port}", info=info)]


# Mutual TLS, and a wallet's word.


async def test_a_node_that_shows_everything_is_asked(running):
    async with secure_node() as there, running(alice(there.port), host=NodeHost(ours())) as runner:
        assert (await runner.predict())["alice"].value == 1.0


async def test_a_node_without_a_hotkey_shows_none(running):
    info = {**INFO, "cruncher_hotkey": None}
    headers = WALLET.vouch(KEY, hotkey=None)
    async with secure_node(headers) as there, running(alice(there.port, info), host=NodeHost(ours())) as runner:
        assert (await runner.predict())["alice"].value == 1.0


async def test_the_orchestrators_word_says_which_wallet(running):
    async with orchestrator() as there, secure_node() as one:
        await there.run("alice", one.port, **INFO)
        roster = CrunchRoster("bird-game", host="127.0.0.1", port=there.port, credentials=ours())
        async with running(roster) as runner:
            assert (await runner.predict())["alice"].value == 1.0


OTHER = Wallet()
STOLEN = {**OTHER.vouch(KEY), "x-server-wallet-pubkey": WALLET.address}
TAMPERED = {**HEADERS, "x-server-auth-message": WALLET.vouch(KEY, expires_at=9e9)["x-server-auth-message"]}
WRONG_HEADERS = {
    "nothing is shown": ({}, "its node does not show who it is: x-server-auth-message is missing in its answer"),
    "no signature": (
        {**HEADERS, "x-server-auth-signature": ""},
        "its node does not show who it is: x-server-auth-signature is missing in its answer",
    ),
    "another wallet": (OTHER.vouch(KEY), f"its node shows the wallet {OTHER.address}; the participant's is"),
    "another wallet's signature": (STOLEN, "the signature that its node shows is not that of the participant's wallet"),
    "a message that was changed": (TAMPERED, "the signature that its node shows is not that of the participant's"),
    "another node's word, replayed": (
        WALLET.vouch(rsa_key("another node")),
        "the wallet vouches for another TLS key than that of the connection to its node",
    ),
    "no key": (WALLET.vouch(KEY, cert_pub=...), "the wallet vouches for another TLS key than"),
    "another model": (WALLET.vouch(KEY, model_id="bob"), "the wallet vouches for the model 'bob', not for 'alice'"),
    "another hotkey": (WALLET.vouch(KEY, hotkey="cold"), "the wallet vouches for the hotkey 'cold', not for 'hot'"),
    "expired": (
        WALLET.vouch(KEY, expires_at=int(time.time()) - 1),
        "the wallet's attestation has expired: expires_at is",
    ),
    "no expiry": (WALLET.vouch(KEY, expires_at=...), "the wallet's attestation has no time at which it expires"),
    "an expiry that is none": (WALLET.vouch(KEY, expires_at=float("nan")), "the wallet's attestation has expired"),
    "an expiry that is text": (WALLET.vouch(KEY, expires_at="never"), "the wallet's attestation has no time at which"),
    "no base64": ({**HEADERS, "x-server-auth-message": "%%%"}, "x-server-auth-message is not base64"),
    "no JSON": (WALLET.sign(b"{"), "what the wallet has signed cannot be read: it is not JSON"),
    "no object": (WALLET.sign(b"[]"), "what the wallet has signed cannot be read: it is no JSON object"),
}


async def refusal(running, log, there, credentials, info=INFO) -> str:
    """Why a node was refused; nobody has a strike, and nothing that it said was taken."""
    policy = Policy(timeout=5, setup_timeout=5)
    async with running(alice(there.port, info), host=NodeHost(credentials), policy=policy) as runner:
        failed = await log.until(ModelLoadFailed, "alice")
        assert failed.fault.kind == "refused"
        outcome = (await runner.predict())["alice"]
        assert outcome.status is Status.SKIPPED
        assert failed.fault.message in outcome.error.message
        assert runner.models["alice"].health.strikes == {}
    assert there.calls == []
    return failed.fault.message


@pytest.mark.parametrize("wrong", WRONG_HEADERS)
async def test_a_node_that_shows_something_wrong_is_refused(running, log, wrong):
    headers, told = WRONG_HEADERS[wrong]
    async with secure_node(headers) as there:
        assert told in await refusal(running, log, there, ours())


async def test_a_model_without_a_wallet_is_refused(running, log):
    async with secure_node() as there:
        told = await refusal(running, log, there, ours(), info={})
        assert told == "the orchestrator announced no wallet for it, so that nobody can vouch for its node"


EXPIRED = timedelta(days=-1)


@pytest.mark.parametrize(
    ("credentials", "told"),
    [
        pytest.param(
            lambda: theirs(Authority("stranger").issue(node_name("alice"), KEY)),
            "its node's certificate is refused: unable to get local issuer certificate",
            id="another authority's certificate",
        ),
        pytest.param(
            lambda: theirs(CA.issue(node_name("bob"), KEY)),
            "its node's certificate is refused: Hostname mismatch",
            id="another model's certificate",
        ),
        pytest.param(
            lambda: theirs(CA.issue(node_name("alice"), KEY, EXPIRED)),
            "its node's certificate is refused: certificate has expired",
            id="an expired certificate",
        ),
        pytest.param(
            lambda: theirs(key=elliptic_key()),
            "its node's certificate has no RSA key",
            id="a key of another kind",
        ),
    ],
)
async def test_a_node_with_a_wrong_certificate_is_refused(running, log, credentials, told):
    async with secure_node(credentials=credentials()) as there:
        assert (await refusal(running, log, there, ours())).startswith(told)


async def test_a_node_that_speaks_plain_text_is_refused(running, log):
    policy = Policy(timeout=5, setup_timeout=1)
    async with node(Tracker) as there, running(alice(there.port), host=NodeHost(ours()), policy=policy):
        failed = await log.until(ModelLoadFailed, "alice")
        assert failed.fault.kind in ("refused", "unreachable")
        assert there.setups == []


@pytest.mark.parametrize(
    ("model_id", "host"), [("alice", "node..bad.example"), ("alice", "a" * 64), ("m" * 60, "127.0.0.1")]
)
async def test_a_name_that_no_host_can_have_refuses_one_model_and_not_the_game(running, log, model_id, host):
    async with secure_node() as there:
        models = [Submission(model_id, f"{host}:{there.port}", info=INFO)]
        async with running(models, host=NodeHost(ours())) as runner:
            failed = await log.until(ModelLoadFailed, model_id)
            name = node_name(model_id)
            assert failed.fault.kind == "refused"
            assert failed.fault.message.startswith(
                f"its node cannot be asked for its certificate: {host!r} or {name!r} is no host name ("
            )
            assert (await runner.predict())[model_id].status is Status.SKIPPED


async def test_a_name_that_no_host_can_have_is_no_secure_node_either():
    assert not await speaks_tls("node..bad.example", 443)


async def test_whatever_goes_wrong_with_one_model_is_its_own(running, log, caplog):
    class Odd(Insecure):
        async def secure(self, host, port, submission):
            if submission.id == "bob":
                raise RuntimeError("no entropy left")
            return await super().secure(host, port, submission)

    async with node(Tracker) as there:
        models = [*alice(there.port), Submission("bob", f"127.0.0.1:{free_port()}")]
        async with running(models, host=NodeHost(Odd())) as runner:
            failed = await log.until(ModelLoadFailed, "bob")
            assert str(failed.fault) == "its node could not be asked: RuntimeError: no entropy left"
            assert (await runner.predict())["alice"].value == 1.0
    [record] = caplog.records
    assert record.getMessage() == "asking the node of bob for its model failed"
    assert record.exc_info


async def test_a_coordinator_that_the_node_refuses_says_so(running, log):
    stranger = Authority("stranger")
    policy = Policy(timeout=5, setup_timeout=2)
    credentials = ours(stranger.issue("coordinator", COORDINATOR))
    async with secure_node() as there, running(alice(there.port), host=NodeHost(credentials), policy=policy):
        failed = await log.until(ModelLoadFailed, "alice")
        assert "refuse" in failed.fault.message
        assert there.setups == []


async def test_a_secure_node_without_credentials_says_so(running, log):
    policy = Policy(timeout=5, setup_timeout=20)
    async with secure_node() as there, running(alice(there.port), host=NodeHost(), policy=policy):
        failed = await log.until(ModelLoadFailed, "alice")
        assert failed.fault.message == "its node speaks TLS; give the roster credentials"


async def test_a_word_that_expires_during_the_game_is_refused_and_is_no_strike(running, log, seen):
    headers = WALLET.vouch(KEY, expires_at=time.time() + 2)
    async with secure_node(headers) as there, running(alice(there.port), host=NodeHost(ours())) as runner:
        while (outcome := (await runner.predict())["alice"]).status is Status.OK:  # noqa: ASYNC110 - time is awaited
            await asyncio.sleep(0.05)
        assert outcome.status is Status.UNREACHABLE
        assert "the wallet's attestation has expired" in outcome.error.message
        await seen(lambda: runner.models["alice"].state is State.UNREACHABLE)

        there.headers = tuple(HEADERS.items())  # a fresh word, without a restart
        await seen(lambda: runner.models["alice"].state is State.READY)
        assert (await runner.predict())["alice"].status is Status.OK
        assert runner.models["alice"].health.strikes == {}


async def test_what_a_stranger_says_behind_the_right_certificate_is_no_strike(running, seen):
    """An error is held against a model only if it is known whose node says so."""
    async with secure_node() as there, running(alice(there.port), host=NodeHost(ours())) as runner:

        async def bend(request, context):
            raise KeyError("wrong")

        there.bend, there.headers = bend, ()
        assert (await runner.predict())["alice"].status is Status.UNREACHABLE
        assert runner.models["alice"].health.strikes == {}


async def test_a_node_that_comes_back_with_another_key_must_show_the_wallets_word_for_it(running, log, seen):
    async with secure_node() as there, running(alice(there.port), host=NodeHost(ours())) as runner:
        renewed = rsa_key("another node")
        await there.kill()
        there.credentials = theirs(key=renewed)
        await there.start()  # with the old word
        await seen(lambda: runner.models["alice"].state is State.UNREACHABLE)
        await seen(lambda: "another TLS key" in ((runner.models["alice"].health.reason) or "") or there.metadata)
        assert (await runner.predict())["alice"].status is Status.UNREACHABLE

        there.headers = tuple(WALLET.vouch(renewed).items())
        await log.until(ModelReady, "alice", 2)
        assert (await runner.predict())["alice"].status is Status.OK
        assert runner.models["alice"].health.strikes == {}


class Counted:
    """Our credentials, and how often a connection was secured with them."""

    pinned = True

    def __init__(self):
        self.count = 0

    async def secure(self, host, port, submission):
        self.count += 1
        return await ours().secure(host, port, submission)


async def test_one_call_that_gets_lost_costs_the_next_ones_nothing(running, caplog):
    credentials = Counted()
    async with secure_node() as there, running(alice(there.port), host=NodeHost(credentials)) as runner:

        async def hiccup(request, context):
            there.bend = None
            await context.abort(grpc.StatusCode.UNAVAILABLE, "try again")

        there.bend = hiccup
        outcome = (await runner.predict())["alice"]
        assert (outcome.status, str(outcome.error)) == (Status.UNREACHABLE, "try again")
        for _ in range(100):
            assert (await runner.predict())["alice"].status is Status.OK
            await asyncio.sleep(0.005)
        assert runner.models["alice"].state is State.READY
    assert credentials.count == 1
    assert caplog.records == []


async def test_whatever_asking_comes_to_is_no_strike_and_told_at_once(running, caplog):
    class Odd(Insecure):
        broken = False

        async def secure(self, host, port, submission):
            return Secured(verify=self.verify)

        def verify(self, metadata):
            if self.broken:
                raise RuntimeError("no entropy left")

    odd = Odd()
    async with node(Tracker) as there, running(alice(there.port), host=NodeHost(odd)) as runner:
        odd.broken = True
        outcome = (await runner.predict())["alice"]
        odd.broken = False
        assert outcome.status is Status.UNREACHABLE
        assert str(outcome.error) == "its node could not be asked: RuntimeError: no entropy left"
        assert outcome.elapsed < outcome.budget
        assert (await runner.predict())["alice"].status is Status.OK
    [record] = caplog.records
    assert record.getMessage() == "asking the node of alice failed"


# Gateways.


GATEWAY = CA.issue("127.0.0.1", rsa_key("gateway"))


def gateway():
    return node(Tracker, credentials=serving(GATEWAY, rsa_key("gateway"), None))


def submitted(port: int) -> list[Submission]:
    return [Submission("alice", f"127.0.0.1:{port}")]


async def test_a_gateway_is_shown_a_token_with_every_request(running):
    host = NodeHost(GatewayCredentials(pem(COORDINATOR), CA.certificate))
    async with gateway() as there, running(submitted(there.port), host=host) as runner:
        assert (await runner.predict())["alice"].value == 1.0

    assert len(there.metadata) >= 2
    for shown in there.metadata:
        message = base64.b64decode(shown["x-gateway-auth-message"])
        public = load_der_public_key(base64.b64decode(shown["x-gateway-auth-pubkey"]))
        public.verify(base64.b64decode(shown["x-gateway-auth-signature"]), message, padding.PKCS1v15(), hashes.SHA256())
        assert base64.b64decode(shown["x-gateway-auth-pubkey"]) == spki(COORDINATOR)
        claim = json.loads(message)
        assert message == json.dumps(claim, separators=(",", ":")).encode()
        assert claim["model_id"] == "alice"
        assert abs(claim["timestamp"] - time.time()) < 60


async def test_a_token_is_signed_anew_each_second_and_not_for_each_request(monkeypatch):
    credentials = GatewayCredentials(pem(COORDINATOR))
    secured = await credentials.secure("localhost", 1, submitted(1)[0])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    first = secured.metadata()
    assert secured.metadata() is first
    monkeypatch.setattr(time, "time", lambda: now + 1)
    assert secured.metadata() != first


async def test_a_gateway_that_refuses_the_token_is_told_with_its_reason(running, log):
    async with gateway() as there:
        there.refuse = "certificate hash is not registered"
        credentials = GatewayCredentials(pem(rsa_key("stranger")), CA.certificate)
        async with running(submitted(there.port), host=NodeHost(credentials)):
            failed = await log.until(ModelLoadFailed, "alice")
            assert failed.fault.kind == "refused"
            assert failed.fault.message == "its node refuses the coordinator: certificate hash is not registered"


async def test_a_gateway_that_refuses_the_token_later_is_no_strike(running, seen):
    host = NodeHost(GatewayCredentials(pem(COORDINATOR), CA.certificate))
    async with gateway() as there, running(submitted(there.port), host=host) as runner:
        there.refuse = "the timestamp is too old"
        for _ in range(4):
            outcome = (await runner.predict())["alice"]
            assert outcome.status is Status.UNREACHABLE
            assert "the timestamp is too old" in outcome.error.message
        there.refuse = None
        await seen(lambda: runner.models["alice"].state is State.READY)
        assert (await runner.predict())["alice"].status is Status.OK
        assert runner.models["alice"].health.strikes == {}


async def test_a_gateway_with_a_certificate_that_nobody_vouches_for_is_not_shown_a_token(running, log):
    policy = Policy(timeout=5, setup_timeout=1)
    async with gateway() as there:
        credentials = GatewayCredentials(pem(COORDINATOR), Authority("stranger").certificate)
        async with running(submitted(there.port), host=NodeHost(credentials), policy=policy):
            failed = await log.until(ModelLoadFailed, "alice")
            assert "CERTIFICATE_VERIFY_FAILED" in failed.fault.message
    assert there.metadata == []


# Files.


def test_credentials_come_from_a_directory(tmp_path):
    for name, content in {"ca.crt": CA.certificate, "tls.crt": OURS, "tls.key": pem(COORDINATOR)}.items():
        (tmp_path / name).write_bytes(content)

    assert SecureCredentials.from_directory(tmp_path) == ours()
    assert GatewayCredentials.from_directory(tmp_path) == GatewayCredentials(pem(COORDINATOR))


def test_credentials_that_cannot_be_used_say_why(tmp_path):
    with pytest.raises(ResourceError, match=r"the credentials cannot be read: .*ca\.crt"):
        SecureCredentials.from_directory(tmp_path)
    with pytest.raises(ResourceError, match="the credentials cannot be used: "):
        SecureCredentials(CA.certificate, OURS, pem(rsa_key("stranger")))
    with pytest.raises(ResourceError, match="the credentials cannot be used: "):
        SecureCredentials(b"no", OURS, pem(COORDINATOR))
    locked = COORDINATOR.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(
        ResourceError, match="the credentials cannot be used: Password was not given but private key is"
    ):
        SecureCredentials(CA.certificate, OURS, locked)
    with pytest.raises(ResourceError, match="the gateway's key cannot be used: "):
        GatewayCredentials(b"no")
    with pytest.raises(ResourceError, match="it must be an RSA key"):
        GatewayCredentials(pem(elliptic_key()))


def test_a_key_is_not_shown():
    assert repr(ours()) == "SecureCredentials()"
    assert repr(GatewayCredentials(pem(COORDINATOR))) == "GatewayCredentials()"
