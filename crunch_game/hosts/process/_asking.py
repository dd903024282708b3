"""What is written to the models' processes for calls: everything that is the same for all is encoded once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgspec

from crunch_game.encoding import encode, sendable
from crunch_game.hosts._turns import Missed
from crunch_game.hosts.base import Asked, Call, Telling
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._process import Process
from crunch_game.hosts.process._shared import MAX_SENT_BYTES, Shared
from crunch_game.hosts.process.child import CallBody, TellBody
from crunch_game.hosts.process.engine import Engine, Exchange, Gone, Link, Result, Results

TURN_SECONDS: Final = 0.02
"""How long a model makes the calls of a Telling before it says how far it has got."""
_NOTHING: Final = b"\xc0"
_serials = itertools.count(1)


class Asking:
    """One call of many processes, and the results of it.

    Raises:
        ContractError: The arguments cannot be sent.
    """

    def __init__(self, call: Call, asked: Asked, *, each: bool) -> None:
        self.call = call
        self.results = Results(call.method.name, call.timeout, each=each)
        self.exchange = self.results.exchange
        self.processes = {cast("Process", instance).link: cast("Process", instance) for instance in asked}
        with sendable(f"the arguments of {call.method.owner}.{call.method.name}"):
            self.body = encode(CallBody(call.method.name, (call.args, call.kwargs)))
            framing.check_length(len(self.body))
            self.extras = {
                link: encode(extra) for link, extra in zip(self.processes, asked.values(), strict=True) if extra
            }

    def frames(self) -> dict[Link, bytes]:
        """The frame for each process; a large body is put into memory that all of them read.

        Raises:
            ContractError: A frame is too long.
        """
        kind, body, call = framing.CALL, self.body, self.exchange.id
        with sendable(f"the arguments of {self.call.method.owner}.{self.call.method.name}"):
            if len(body) > MAX_SENT_BYTES:
                self.exchange.shared = Shared(body)
                kind, body = framing.SHARED, encode(len(body))
            frames = dict.fromkeys(self.processes, framing.frame(kind, call, body))
            for link, extra in self.extras.items():
                frames[link] = framing.frame(kind, call, body, extra)
        return frames


def frames_together(askings: Sequence[Asking]) -> dict[Link, bytes] | None:
    """One frame for each process with all these calls of the same processes; None if that would be a large one."""
    if sum(len(asking.body) for asking in askings) > MAX_SENT_BYTES:
        return None
    first = askings[0].exchange.id
    calls = [(a.exchange.id, a.call.timeout, msgspec.Raw(a.body)) for a in askings]
    body = encode(encode(calls))
    frames = dict.fromkeys(askings[0].processes, framing.frame(framing.CALLS, first, body))
    for link in {link for asking in askings for link in asking.extras}:
        extras = [msgspec.Raw(asking.extras.get(link, _NOTHING)) for asking in askings]
        frames[link] = framing.frame(framing.CALLS, first, body, encode(extras))
    return frames


def written_down(calls: Sequence[Call]) -> Telling:
    """The calls, encoded once for all processes.

    Raises:
        ContractError: The arguments of one cannot be sent.
    """
    first = calls[0]
    with sendable(f"the arguments of {first.method.owner}.{first.method.name}"):
        encoded = [msgspec.Raw(encode(CallBody(call.method.name, (call.args, call.kwargs)))) for call in calls]
        body = encode(encode(TellBody(next(_serials), TURN_SECONDS, first.timeout, encode(encoded))))
        framing.check_length(len(body))
    return Telling(calls, body)


async def asked_to_go_on(
    engine: Engine, telling: Telling, link: Link, notice: Callable[[list[Result]], None]
) -> tuple[framing.Frame | Missed[Exchange] | Gone, float]:
    """Write all that is to be told in one frame; what comes of it, and the seconds since the model got it.

    Raises:
        CrunchGameError: The engine has failed.
    """
    call = telling.calls[0]
    results = Results(call.method.name, TURN_SECONDS + call.timeout, each=False)
    exchange = results.exchange
    frame = framing.frame(framing.TELL, exchange.id, telling.written)
    engine.do(lambda: engine.ask(exchange, {link: frame}))
    try:
        [(_, what, seconds)] = [result async for batch in results for result in batch]
        engine.check()
    finally:
        results.give_up(notice)
        if not results.complete:
            engine.do(lambda: engine.abandon([exchange]))
    return what, seconds


def init_arguments(init: tuple[list[Any], dict[str, Any]], what: str) -> bytes:
    """Encode the arguments that models are made with.

    Raises:
        ContractError: They cannot be sent.
    """
    with sendable(what):
        encoded = encode(init)
        framing.check_length(len(encoded))
        return encoded
