"""The floor: forked processes and plain socketpairs that exchange and do the same, and nothing else.

Each child is the same tracker: it reads a question, keeps a tick, answers a prediction from what it kept. There are no
budgets, no checks, no outcomes and no isolation: what is above this floor is what these cost.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from benchmarks.field import ASKED, PRICES, floats, frame
from benchmarks.meter import Meter, pss

__all__ = ["Children", "density", "payload", "rounds", "slot", "total"]

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode
_CHUNK = 1 << 16
_PREFIX = 4
_SEVERAL = b"\xc1"
"""Begins a frame with several questions: a byte that begins no question."""

Tracker = Callable[[bytes], bytes]
"""What a child does with the bytes of a question; the bytes of its answer."""


class Children:
    """Forked processes with a socket to each."""

    def __init__(self, count: int, tracker: Tracker) -> None:
        self._ends: list[socket.socket] = []
        self.pids: list[int] = []
        self._selector = selectors.DefaultSelector()
        for _ in range(count):
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                _serve(theirs, tracker)
            theirs.close()
            self._selector.register(ours, selectors.EVENT_READ)
            self._ends.append(ours)
            self.pids.append(pid)

    def ask(self, question: bytes) -> list[Any]:
        """Write one frame to every child, and take everyone's answer."""
        framed = len(question).to_bytes(_PREFIX, "big") + question
        for end in self._ends:
            end.sendall(framed)
        answers: list[Any] = []
        while len(answers) < len(self._ends):
            answers += [_decode(_read(key.fileobj)) for key, _ in self._selector.select()]  # type: ignore[arg-type]
        return answers

    def ask_together(self, questions: list[bytes]) -> int:
        """Write one frame with all questions to every child, and take everyone's answers; how many there were."""
        several = _SEVERAL + _encode(questions)
        framed = len(several).to_bytes(_PREFIX, "big") + several
        unread = {end: bytearray() for end in self._ends}
        for end in self._ends:
            end.sendall(framed)
        count = 0
        while count < len(self._ends) * len(questions):
            for key, _ in self._selector.select():
                buffer = unread[key.fileobj]  # type: ignore[index]
                buffer += key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
                while len(buffer) >= (size := _PREFIX + int.from_bytes(buffer[:_PREFIX], "big")) > _PREFIX:
                    _decode(bytes(buffer[_PREFIX:size]))
                    del buffer[:size]
                    count += 1
        return count

    def end(self) -> None:
        """Kill and reap them."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for end in self._ends:
            end.close()
        self._selector.close()


def _serve(channel: socket.socket, tracker: Tracker) -> None:
    """A child's life: until its parent is gone. It keeps no descriptor of its siblings."""
    try:
        mine = os.dup2(channel.fileno(), 3)
        os.closerange(mine + 1, 1 << 20)
        own = socket.socket(fileno=mine)
        while question := _read(own):
            for each in _decode(question[1:]) if question[:1] == _SEVERAL else [question]:
                answer = tracker(each)
                own.sendall(len(answer).to_bytes(_PREFIX, "big") + answer)
    finally:
        os._exit(0)


def _read(channel: socket.socket) -> bytes:
    """One frame, without its prefix; empty at the end of the file."""
    got = channel.recv(_CHUNK)
    size = _PREFIX + int.from_bytes(got[:_PREFIX], "big")
    if len(got) < size:
        parts, have = [got], len(got)
        while have < size and (more := channel.recv(min(size - have, 1 << 20))):
            parts.append(more)
            have += len(more)
        got = b"".join(parts)
    return got[_PREFIX:]


def density() -> Tracker:
    """The tracker of the small rounds: it keeps four floats, and answers a density made of them."""
    kept: dict[str, float] = {}

    def serve(question: bytes) -> bytes:
        method, *args = _decode(question)
        if method == "tick":
            kept.update(args[0])
            return _encode(None)
        return _encode([{"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": kept[args[0]] / 1e6}}])

    return serve


def total(kind: Literal["floats", "frame"]) -> Tracker:
    """The tracker of the large ticks: an empty question asks for the sum of the last one."""
    import numpy

    kept: list[Any] = []

    def serve(question: bytes) -> bytes:
        if question == b"total":
            return _encode(float(numpy.asarray(kept[-1]).sum()))
        kept[:] = [_decode(question) if kind == "floats" else _from_arrow(question)]
        return _encode(None)

    return serve


@contextmanager
def children(count: int, tracker: Tracker) -> Iterator[Children]:
    """Children that are ended on leaving."""
    forked = Children(count, tracker)
    try:
        yield forked
    finally:
        forked.end()


def rounds(models: int, rounds: int) -> dict[str, float]:
    """Fork so many children, and play so many rounds of one tick and one prediction."""
    import numpy  # noqa: F401 - what the models import, the floor has too

    began = time.perf_counter()
    with children(models, density()) as forked:
        _round(forked, models)
        start = time.perf_counter() - began
        memory = pss(forked.pids) / models
        meter = Meter()
        for _ in range(rounds):
            with meter.round():
                _round(forked, models)
    return {
        "models": models,
        "start_s": start,
        "memory_mib": memory,
        **meter.latency(),
        **meter.cpu_per_call(2 * models),
    }


def slot(models: int, asks: int, rounds: int) -> dict[str, float]:
    """Ask so many children several questions: in one frame, and one after the other."""
    question = _encode(["predict", *ASKED])
    with children(models, density()) as forked:
        forked.ask(_encode(["tick", PRICES]))
        batched, apart = Meter(), Meter()
        for _ in range(rounds):
            with batched.round():
                assert forked.ask_together([question] * asks) == asks * models
            with apart.round():
                for _ in range(asks):
                    forked.ask(question)
    return {"slot_ms": batched.latency()["round_ms"], "apart_ms": apart.latency()["round_ms"]}


def _round(forked: Children, models: int) -> None:
    forked.ask(_encode(["tick", PRICES]))
    answers = forked.ask(_encode(["predict", *ASKED]))
    assert len(answers) == models, answers


def payload(kind: Literal["floats", "frame"], models: int, size: int, rounds: int) -> dict[str, float]:
    """Tick with many floats, or with a table of five columns: encoded once, written to everyone."""
    data = floats(size) if kind == "floats" else frame(size)
    encode = _encode if kind == "floats" else _to_arrow
    with children(models, total(kind)) as forked:
        forked.ask(encode(data))
        meter = Meter()
        for _ in range(rounds):
            with meter.round():
                forked.ask(encode(data))
        sums = forked.ask(b"total")
    assert len(set(sums)) == 1, sums
    return {**meter.latency(), **meter.cpu_per_call(models), "total": sums[0]}


def _to_arrow(table: Any) -> bytes:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    arrow = pyarrow.Table.from_pandas(table)
    with pyarrow.ipc.new_stream(sink, arrow.schema) as stream:
        stream.write_table(arrow)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _from_arrow(question: bytes) -> Any:
    import pyarrow

    return pyarrow.ipc.open_stream(question).read_pandas()
