"""The engine without processes: its thread is real, the fork server and the models' ends of the channels are played."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from crunch_game import encoding as wire
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._process import fault_in, warnings_in
from crunch_game.hosts.process.child import _forkserver as forkserver
from crunch_game.hosts.process.engine import Engine, Exchange, Gone, Link, Result

PATIENCE = 30.0
LONGEST = 40_000
"""Characters that each text of a fault may have."""

pack = msgspec.msgpack.encode


def framed(payload: bytes, announced: int | None = None) -> bytes:
    return struct.pack("<I", len(payload) if announced is None else announced) + payload


def answer(kind: int, call: int, body: bytes) -> bytes:
    return framed(b"\x94" + pack(kind) + pack(call) + body + b"\xc0")


def survive(frame: framing.Frame) -> None:
    """What the runner does with a frame must end in a value, or in words of a length that can be shown."""
    if frame.kind == framing.VALUE:
        with suppress(wire.Undecodable):
            wire.decode(frame.body)
    else:
        kind, message, traceback = fault_in(frame)
        assert max(map(len, (kind, message, traceback or ""))) <= LONGEST
        assert kind.isidentifier()
        assert frame.kind != framing.FAULT or kind not in {"timeout", "died", "stopped"}
        warnings = warnings_in(frame)
        assert warnings is None or sum(map(len, warnings)) <= 20 * LONGEST


class Stage:
    """The engine's thread, and the fork server as played by the test: who is to be killed, is gone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.batches: dict[int, list[list[Result]]] = {}
        self.complete: set[int] = set()
        self.gone_with: dict[Link, tuple[Gone, bool]] = {}
        self.late_ones: list[Link] = []
        self.slow_ones: list[tuple[list[Link], Exchange]] = []
        self.blocked: list[float] = []
        self.orders: list[Any] = []
        self._channels: list[socket.socket] = []
        self.heard = threading.Condition()
        self.engine = Engine(self._call_soon, self.blocked.append, clock=clock)
        self.server, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server_thread = threading.Thread(target=self._play_the_fork_server, daemon=True)
        self._server_thread.start()
        self.engine.do(lambda: self.engine.processes.serve(theirs, lambda report: None))

    def _call_soon(self, function: Callable[[], None]) -> None:
        with self.heard:
            function()
            self.heard.notify_all()

    def _play_the_fork_server(self) -> None:
        read = msgspec.msgpack.Decoder(forkserver.Spawn | forkserver.Kill | forkserver.DumpFrames).decode
        with suppress(OSError):
            while message := self.server.recv(1 << 17):
                order = read(message)
                self.orders.append(order)
                if isinstance(order, forkserver.Kill):
                    self.server.send(pack(forkserver.Exited(order.token, -9)))

    def process(self) -> tuple[Link, socket.socket]:
        """A process's link, and its end of the channel."""
        link = Link(self)
        ours, theirs = socket.socketpair()
        theirs.settimeout(PATIENCE)
        self._channels.append(theirs)
        self.engine.do(lambda: self.engine.spawn(link, ours, []))
        return link, theirs

    # The watcher.

    def slow(self, links: list[Link], exchange: Exchange, seconds: float) -> None:
        with self.heard:
            self.slow_ones.append((list(links), exchange))
            self.heard.notify_all()

    def late(self, link: Link) -> None:
        self.late_ones.append(link)

    def gone(self, link: Link, gone: Gone, *, told: bool) -> None:
        self.gone_with[link] = gone, told

    # Rounds.

    def ask(self, links: list[Link], timeout: float, *, method: str = "predict", each: bool = False) -> Exchange:
        exchange = self._exchange(method, timeout, each=each)
        frames = dict.fromkeys(links, answer(framing.CALL, exchange.id, b"\xc0"))
        self.engine.do(lambda: self.engine.ask(exchange, frames))
        return exchange

    def ask_together(self, links: list[Link], calls: list[tuple[str, float]]) -> list[Exchange]:
        """Exchanges by method and timeout, in one frame for each link that is free."""
        exchanges = [self._exchange(method, timeout) for method, timeout in calls]
        frames = [dict.fromkeys(links, answer(framing.CALL, exchange.id, b"\xc0")) for exchange in exchanges]
        whole = dict.fromkeys(links, answer(framing.CALLS, exchanges[0].id, b"\xc0"))
        self.engine.do(lambda: self.engine.ask_together(exchanges, frames, whole))
        return exchanges

    def _exchange(self, method: str, timeout: float, *, each: bool = False) -> Exchange:
        def deliver(batch: list[Result], last: bool) -> None:
            self.batches[exchange.id].append(batch)
            if last:
                self.complete.add(exchange.id)

        exchange = Exchange(method, timeout, deliver, each=each)
        self.batches[exchange.id] = []
        return exchange

    def results(self, exchange: Exchange) -> dict[Link, object]:
        """What came of it for each, once the last is in."""
        self.until(lambda: exchange.id in self.complete)
        return {link: what for batch in self.batches[exchange.id] for link, what, _ in batch}

    def until(self, look: Callable[[], bool]) -> None:
        """Wait until it is true, by the engine's news or by what the engine does without a word."""
        begun = time.monotonic()
        with self.heard:
            while not self.heard.wait_for(look, 0.01):
                assert time.monotonic() - begun < PATIENCE, "it never came"

    def close(self) -> None:
        self.engine.stop()
        self.server.close()
        self._server_thread.join()
        for channel in self._channels:
            channel.close()
        self.engine.check()
