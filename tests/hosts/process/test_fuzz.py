"""Forged, damaged and random answers, through the real engine: never a crash, a hang, or an outcome that is another's.

The processes' side of the channels is played by the test; at the end by real models that write to their own.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import selectors
import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import anyio
import msgspec
import pytest
from stage import LONGEST, PATIENCE, answer, framed, pack, survive

from crunch_game import ModelRunner, Policy, ProcessHost, Status
from crunch_game import encoding as wire
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process import _host as process
from crunch_game.hosts.process.child import _forkserver as forkserver
from crunch_game.hosts.process.engine import Engine, Gone, channel_pair
from crunch_game.policy import State

# What is sent.


def ext(code: int, data: bytes) -> bytes:
    return b"\xc9" + struct.pack(">Ib", len(data), code) + data


def array(dtype: str, shape: list, data: bytes) -> bytes:
    return ext(1, pack([dtype, shape, data]))


def bodies(dice: random.Random) -> bytes:
    """Bodies of a value or a fault, most of them forged."""
    return dice.choice(
        [
            pack(1.5),
            pack(True),
            pack(2**64 - 1),
            pack(math.nan),
            pack({"a": [1, {"b": None}]}),
            pack("x" * dice.randrange(70_000)),
            pack(["ValueError", "ValueError: no", None]),
            pack(["timeout", "no answer within 1 s", None]),
            pack([1, 2, 3]),
            pack(["a", "b" * 300_000, "c" * 300_000]),
            pack(["k" * 300_000, "", ""]),
            pack(["a", "b", "c", "d"]),
            pack([["a"], "b", None]),
            b"\x93\xa1\xff\xa1b\xc0",  # no UTF-8
            b"\x93\xa1a\xa3\xed\xa0\x80\xc0",  # a lone surrogate
            b"\xa3\xed\xa0\x80",
            b"\x91" * dice.choice([2, 100, 500, 5_000]) + b"\xc0",
            b"\x81\xa1k" * 500 + b"\xc0",
            b"\x81\x90\x01",  # a list for a key
            b"\xdd\xff\xff\xff\xff",  # four thousand million items, and none of them
            b"\xdf\x7f\xff\xff\xff\xa1a",
            b"\xc6\xff\xff\xff\xff",
            b"\xc1",
            b"",
            ext(-1, b"\xff" * 12),  # a time
            ext(3, b"?"),
            array("<f8", [2], bytes(16)),
            array("<f8", [2**62, 4], bytes(8)),
            array("<f8", [-1], bytes(8)),
            array("<f8", [1] * 100, bytes(8)),
            array("<f8", [0, 2**62], b""),
            array("|O", [1], bytes(8)),
            array("<U999999", [0], b""),
            array("S0", [5], b""),
            array("<M8[furlong]", [1], bytes(8)),
            array("d" * 300_000, [1], bytes(8)),
            ext(1, b"\x93"),
            ext(2, b"\xff\xff\xff\xff\x10\x00\x00\x00" + dice.randbytes(40)),
            ext(2, b""),
            dice.randbytes(dice.randrange(60)),
        ]
    )


def stream(dice: random.Random, call: int) -> bytes:
    """What one process says instead of, or in the way of, its answer to this call."""
    kind = dice.choice(
        [
            framing.VALUE,
            framing.VALUE,
            framing.FAULT,
            framing.READY,
            framing.UNSENDABLE,
            framing.UNSUPPORTED,
            framing.GIVEN_BACK,
            framing.CALL,
            99,
        ]
    )
    whole = answer(kind, call, bodies(dice))
    damaged = bytearray(whole)
    for _ in range(dice.randrange(1, 4)):
        damaged[dice.randrange(min(len(damaged), 64))] ^= 1 << dice.randrange(8)
    return dice.choice(
        [
            whole,
            whole,
            bytes(damaged),
            bytes(damaged),
            whole[: dice.randrange(len(whole))],
            whole[dice.randrange(len(whole)) :],
            whole + whole,
            whole + dice.randbytes(dice.randrange(1, 9)),
            answer(kind, call + dice.choice([-2, -1, 1, 2, 2**40, -(2**40)]), pack(1.5)),
            answer(kind, call + 1, pack(1.5)) + whole,
            answer(2**63, call, pack(1.5)),
            framed(whole[4:], dice.choice([0, 1, len(whole) - 5, len(whole) - 3, 2**26, 2**26 + 1, 2**32 - 1])),
            framed(pack([kind, call])),
            framed(pack([str(kind), str(call), 1, 2])),
            framed(pack([kind, call, 1.5, None, "and", "more"])),
            framed(pack({"kind": kind, "call": call, "body": 1.5})),
            framed(b""),
            b"",
            dice.randbytes(dice.randrange(1, 300)),
        ]
    )


def is_answer(sent: bytes, call: int) -> bool:
    """Whether the bytes begin with an answer to the call, as another reader of the protocol sees it."""
    if len(sent) < 4:
        return False
    (length,) = struct.unpack_from("<I", sent)
    payload = sent[4 : 4 + length]
    if len(payload) < length or length > framing.MAX_FRAME:
        return False
    try:
        parts = msgspec.msgpack.decode(payload, type=list[msgspec.Raw])
        kind, number = (msgspec.msgpack.decode(part, type=int) for part in parts[:2])
    except (ValueError, RecursionError):
        return False
    return len(parts) >= 3 and isinstance(kind, int) and kind != framing.GIVEN_BACK and number == call


# The engine alone, ten thousand times.


FORGERS, ROUNDS = 250, 40


def pieces(dice: random.Random, sent: bytes) -> list[bytes]:
    if dice.random() < 0.1 and len(sent) < 60:
        return [sent[i : i + 1] for i in range(len(sent))]
    cuts = sorted(dice.randrange(len(sent) + 1) for _ in range(dice.choice([0, 0, 1, 3])))
    return [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True) if start < end]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_what_a_process_sends_is_its_own_answer_to_its_own_call_or_nothing(stage, seed):
    """250 forgers and 5 honest processes in one round; another reader of the protocol says who gave an answer."""
    dice = random.Random(seed)
    forgers, honest = ([stage.process() for _ in range(count)] for count in (FORGERS, 5))
    early = forgers[:3]
    for _, channel in early:
        channel.send(stream(dice, 1) or b"\0")
    exchange = stage.ask([link for link, _ in forgers + honest], PATIENCE)
    for _, channel in forgers[3:]:
        channel.recv(1 << 16)  # what comes before that is an answer to no call
    sent = {link: stream(dice, exchange.id) for link, _ in forgers[3:]}
    left = {link: (channel, pieces(dice, sent[link])) for link, channel in forgers[3:]}
    while left:
        for link, (channel, rest) in list(left.items()):
            with suppress(OSError):  # it has been hung up on
                if rest:
                    channel.sendall(rest.pop(0))
                    continue
            channel.close()
            del left[link]
    for link, channel in honest:
        assert channel.recv(100) == answer(framing.CALL, exchange.id, b"\xc0")
        channel.send(answer(framing.VALUE, exchange.id, pack(link.token)))

    early[0][1].close(), early[1][1].close(), early[2][1].close()
    results = stage.results(exchange)

    assert set(results) == {link for link, _ in forgers + honest}, "one for everyone"
    assert {wire.decode(results[link].body) == link.token for link, _ in honest} == {True}
    assert {type(results[link]) for link, _ in early} == {Gone}, "answers from before they were asked"
    for link, told in sent.items():
        what = results[link]
        assert isinstance(what, framing.Frame) == is_answer(told, exchange.id), (told[:100], what)
        if isinstance(what, framing.Frame):
            assert what.call == exchange.id
            survive(what)
    for _, channel in honest:
        channel.close()


def flood(channel: socket.socket, begin: bytes, chunk: bytes) -> None:
    channel.sendall(begin)
    for _ in range(4 * framing.MAX_FRAME // len(chunk)):
        channel.sendall(chunk)


def test_a_flood_is_buffered_for_no_longer_than_a_frame_may_be(stage):
    """One process announces the longest frame and sends for ever; another sends small ones for ever."""
    links = [stage.process() for _ in range(2)]
    exchange = stage.ask([link for link, _ in links], PATIENCE)
    tracemalloc.start()
    try:
        for (_, channel), begin, chunk in zip(
            links,
            (struct.pack("<I", framing.MAX_FRAME), b""),
            (bytes(1 << 16), answer(framing.VALUE, exchange.id, b"\xc0") * 1_000),
            strict=True,
        ):
            with pytest.raises(ConnectionError):
                flood(channel, begin, chunk)
            channel.close()
        results = stage.results(exchange)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [type(results[link]) for link, _ in links] == [Gone, framing.Frame]
    assert peak < 4 * framing.MAX_FRAME
    stage.until(lambda: set(stage.gone_with) == {link for link, _ in links})


# The whole runner, whose processes are played by the test.


class Processes:
    """A fork server that forks nothing: it plays each process itself, and answers a frame with `act(number, frame)`."""

    lost = False

    def __init__(self, act: Callable[[int, framing.Frame], bytes]) -> None:
        self._act = act
        self._count = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._numbers: dict[int, tuple[int, socket.socket]] = {}

    async def up(self, engine: Engine, *_) -> Processes:
        ours, self._server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._engine = engine
        self._selector.register(self._server, selectors.EVENT_READ, self._order)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        engine.do(lambda: engine.processes.serve(ours, lambda report: None))
        return self

    async def down(self) -> bool:
        self._engine.do(self._engine.processes.hang_up)
        await anyio.to_thread.run_sync(self._thread.join)
        for _, channel in self._numbers.values():
            channel.close()
        self._server.close()
        self._selector.close()
        return True

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data() is False:
                    return

    def _order(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._server, 1 << 17, 3)
        if not message:
            return False
        order = msgspec.msgpack.decode(message)
        token = order["token"]
        if order["type"] == "Kill" and token in self._numbers:
            _, channel = self._numbers.pop(token)
            self._selector.unregister(channel)
            channel.close()
            self._server.send(pack(forkserver.Exited(token, -9)))
        elif order["type"] == "Spawn":
            channel = socket.socket(fileno=descriptors[0])
            for descriptor in descriptors[1:]:
                os.close(descriptor)
            number, reader = next(self._count), framing.FrameReader()
            self._numbers[token] = number, channel
            self._selector.register(channel, selectors.EVENT_READ, partial(self._play, number, channel, reader))
            self._server.send(pack(forkserver.Started(token, os.getpid())))
        return True

    def _play(self, number: int, channel: socket.socket, reader: framing.FrameReader) -> None:
        with suppress(OSError):
            for frame in reader.feed(channel.recv(1 << 16)):
                told = self._act(number, frame)
                channel.settimeout(PATIENCE)
                channel.sendall(told.removesuffix(HANGS_UP))
                if told.endswith(HANGS_UP):
                    channel.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def played(monkeypatch):
    def play(act: Callable[[int, framing.Frame], bytes]) -> None:
        monkeypatch.setattr(process, "ForkServer", Processes(act))

    return play


READY, HANGS_UP = pack([]), b"hangs up"


def bounded(fault) -> bool:
    return max(len(text or "") for text in (fault.kind, fault.message, fault.traceback, fault.stderr)) <= LONGEST


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (framing.READY, pack(5), "it answered with a message that cannot be read"),
        (framing.READY, b"\x91\xa1\xff", "it answered with a message that cannot be read"),
        (framing.READY, b"\xc1", "its process was ended while it was loading: a frame could not be read: *"),
        (framing.READY, ext(2, b""), "it answered with a message that cannot be read"),
        (framing.VALUE, pack(1.5), "it answered with a message that cannot be read"),
        (framing.CALL, READY, "it answered with a message that cannot be read"),
        (framing.FAULT, b"\x93\xa1\xff\xa1b\xc0", "it answered with a message that cannot be read"),
        (framing.FAULT, pack(["died", "I died", None]), "I died"),
        (framing.FAULT, pack(["a", "b" * 5 * 10**5, "c" * 5 * 10**5]), "bbb*"),
    ],
)
async def test_whatever_a_model_says_while_it_is_loading_it_fails_alone(tmp_path, played, kind, body, message):
    def act(number: int, frame: framing.Frame) -> bytes:
        if frame.kind != framing.SETUP:
            return answer(framing.VALUE, frame.call, pack(1.5))
        return answer(kind, frame.call, body) if number % 2 else answer(framing.READY, frame.call, READY)

    played(act)
    for name in "ab":
        (tmp_path / f"{name}.py").write_text("")
    async with ModelRunner(Game, [tmp_path / "a.py", tmp_path / "b.py"], ready_timeout=PATIENCE) as runner:
        [failed] = [model for model in runner.models.values() if model.state is State.FAILED]
        outcomes = await runner.predict()
    told = outcomes[failed.id].error.message.removeprefix("it could not be loaded: ")
    assert told == message or (message[-1] == "*" and told.startswith(message[:-1])), told[:200]
    assert bounded(outcomes[failed.id].error)
    assert len(outcomes.succeeded) == 1


class Game:
    def predict(self) -> float: ...


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("seed", range(4))
async def test_rounds_go_on_among_forgers(tmp_path, played, seed):
    """Every round has one outcome for everyone, and those of the honest are their own."""
    dice = random.Random(seed)

    def act(number: int, frame: framing.Frame) -> bytes:
        if frame.kind == framing.SETUP:
            return answer(framing.READY, frame.call, READY)
        if number < 5:
            return answer(framing.VALUE, frame.call, pack(1000.25 + number))
        told = stream(dice, frame.call)
        whole = is_answer(told, frame.call) and len(told) == 4 + struct.unpack_from("<I", told)[0]
        return told if whole else told + HANGS_UP  # what is left over would stand in the way of its next answer

    played(act)
    models = [tmp_path / f"m{number}.py" for number in range(60)]
    for model in models:
        model.write_text("")
    policy = Policy(timeout=PATIENCE, max_consecutive_failures=0, field_fault_min=0)
    async with ModelRunner(Game, models, policy=policy, ready_timeout=PATIENCE) as runner:
        honest: dict = {}
        for _ in range(12):
            outcomes = await runner.predict()
            assert len(outcomes) == len(models)
            told = {id_: each.value for id_, each in outcomes.succeeded.items() if 1000 < each.value < 1010}
            assert sorted(told.values()) == [1000.25, 1001.25, 1002.25, 1003.25, 1004.25]
            assert told == (honest := honest or told)
            for outcome in outcomes.values():
                assert type(outcome.value) is (float if outcome.status is Status.OK else type(None))
                assert outcome.error is None or bounded(outcome.error), outcome.error.message[:200]


@pytest.mark.anyio
async def test_a_round_of_unfinished_answers_ends_by_its_budget(tmp_path, played):
    def act(number: int, frame: framing.Frame) -> bytes:
        if frame.kind == framing.SETUP:
            return answer(framing.READY, frame.call, READY)
        whole = answer(framing.VALUE, frame.call, pack(1.5))
        return [whole[:number], framed(whole[4:], 2 << 20), b""][number % 3]

    played(act)
    models = [tmp_path / f"m{number}.py" for number in range(12)]
    for model in models:
        model.write_text("")
    async with ModelRunner(Game, models, policy=Policy(timeout=0.3), ready_timeout=PATIENCE) as runner:
        with anyio.fail_after(PATIENCE):
            outcomes = await runner.predict()
    assert {outcome.error.message for outcome in outcomes.values()} == {"no answer within 0.3 s"}


# Real models that found their channel.

FORGER = """
import os, socket, struct, sys, threading, time
import msgspec
from forgedgame import Game


def asked():
    "The number of the call that is being answered: whoever called us knows it."
    frame = sys._getframe()
    while frame.f_code.co_name != "answer_calls":
        frame = frame.f_back
    return frame.f_locals["call"].call


def frame(kind, call, value):
    body = msgspec.msgpack.encode([kind, call, value, None])
    return struct.pack("<I", len(body)) + body


class Model(Game):
    def predict(self):
        {does}
        return 1.5
"""

REAL = {
    # what it does: its status, and what its outcome says
    "os.write(256, frame(4, asked(), 2.5)); time.sleep(600)": (Status.OK, 2.5),  # its own answer, to its own call
    "os.write(256, frame(4, asked(), 2.5))": (Status.OK, 2.5),  # and one too many
    "os.write(256, frame(4, asked(), 'text'))": (Status.INVALID, "the answer does not fit predict's contract: *"),
    "os.write(256, frame(5, asked(), ['timeout', 'no answer within 9 s', None])); time.sleep(600)": (
        Status.RAISED,
        "no answer within 9 s",
    ),
    "os.write(256, frame(4, asked() + 1, 2.5))": (
        Status.DIED,
        "its process was ended during predict: it answered a call that it was not asked",
    ),
    "os.write(256, os.urandom(3) + b'\\xff' + os.urandom(100))": (
        Status.DIED,
        "its process was ended during predict: a frame of *",
    ),
    "os.write(256, struct.pack('<I', 5) + b'\\xc1' * 5)": (
        Status.DIED,
        "its process was ended during predict: a frame could not be read: *",
    ),
    "[os.write(256, bytes(1 << 16)) for _ in range(1 << 12)]": (Status.DIED, "its process was ended during predict: *"),
    "socket.socket(fileno=256).shutdown(socket.SHUT_WR); time.sleep(600)": (Status.DIED, "its process *"),
    "os.close(256); time.sleep(600)": (Status.DIED, "its process *"),
}


@pytest.mark.processes
@pytest.mark.anyio
async def test_a_model_that_writes_to_its_channel_answers_for_itself_or_ends(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "forgedgame.py").write_text("class Game:\n    def predict(self) -> float: ...\n")
    does = {f"m{number}": what for number, what in enumerate(REAL)} | {"honest": "pass", "modest": "pass"}
    for name, what in does.items():
        (tmp_path / f"{name}.py").write_text(FORGER.replace("{does}", what))
    models = [tmp_path / f"{name}.py" for name in does]
    async with ModelRunner(
        "forgedgame.Game", models, policy=Policy(timeout=PATIENCE), ready_timeout=PATIENCE
    ) as runner:
        first = await runner.predict()
        second = await runner.call("predict", models=["honest", "modest"])
    for (status, told), outcome in zip(REAL.values(), first.values(), strict=False):
        said = outcome.value if status is Status.OK else outcome.error.message
        assert outcome.status is status, (does[outcome.model_id], outcome)
        assert said == told or (isinstance(told, str) and told[-1] == "*" and said.startswith(told[:-1])), said
        assert outcome.error is None or (bounded(outcome.error) and outcome.error.kind != "timeout")
    for played in (first, second):
        assert {name: played[name].value for name in ("honest", "modest")} == {"honest": 1.5, "modest": 1.5}


SENDS = """
import os, socket, struct
from forgedgame import Game


class Model(Game):
    def predict(self):
        "A connection that takes a minute to close, for the coordinator to close."
        server = socket.create_server(("127.0.0.1", 0))
        lingers = socket.create_connection(server.getsockname())
        lingers.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
        lingers.setblocking(False)
        try:
            while True:
                lingers.send(bytes(1 << 16))
        except BlockingIOError:
            lingers.setblocking(True)
        socket.send_fds(socket.socket(fileno=os.dup(256)), [b"!"], [lingers.fileno()])
        return 1.5
"""


@pytest.mark.processes
@pytest.mark.anyio
async def test_a_model_can_send_the_coordinator_no_descriptor_whose_end_it_would_wait_for(tmp_path, monkeypatch):
    ours, theirs = channel_pair()
    with ours, theirs:
        try:
            ours.getsockopt(socket.SOL_SOCKET, 83)
        except OSError:
            pytest.skip("the kernel has no SO_PASSRIGHTS (Linux 6.16 and later have it)")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "forgedgame.py").write_text("class Game:\n    def predict(self) -> float: ...\n")
    (tmp_path / "sends.py").write_text(SENDS)
    host, policy = ProcessHost(sandbox=None), Policy(timeout=PATIENCE)
    async with ModelRunner("forgedgame.Game", [tmp_path / "sends.py"], host=host, policy=policy) as runner:
        [outcome] = (await runner.predict()).values()
    assert outcome.error.kind == "PermissionError", outcome
