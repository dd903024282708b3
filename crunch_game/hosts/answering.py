"""The loop of a model's process: a call comes, the model is called, its answer goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from crunch_game.hosts import framing, wire
from crunch_game.hosts.calling import Callee
from crunch_game.hosts.inbox import ANCILLARY, HEAD, Inbox, descriptor_in, length
from crunch_game.hosts.shared import mapped

__all__ = ["CallBody", "Told", "answer_calls"]

Told = tuple[str, str, str | None]
"""Why there is no answer: the fault's kind, message and traceback."""


class CallBody(msgspec.Struct, array_like=True):
    """One call, as every model gets it: the method, its positional arguments, and those with a name."""

    method: str
    args: tuple[list[Any], dict[str, Any]]


class _Call(msgspec.Struct, array_like=True):
    """A whole frame, read in one go. Its body is a number where it lies elsewhere: of how many bytes."""

    kind: int
    call: int
    body: CallBody | int
    extra: dict[str, Any] | None = None


_read_call: Callable[[memoryview], _Call] = wire.reader(_Call)
_read_body: Callable[[memoryview], CallBody] = wire.reader(CallBody)


def answer_calls(inbox: Inbox, callee: Callee, most: int, refusal: Callable[[BaseException], tuple[int, Told]]) -> None:
    """Answer one call after the other, with at most so many bytes, until the channel closes.

    All of it stands here, under local names. When a hundred processes take turns on a processor, none finds its memory
    in a cache, and what a call costs is the memory that it touches: each function more, and each name that is looked up
    elsewhere, is more of it.
    """
    receive, send, view, views = inbox.channel.recvmsg_into, inbox.channel.sendall, inbox.view, [inbox.view]
    read, write, value_kind, reply, fitted = _read_call, framing.frame_into, framing.VALUE, bytearray(), callee.fitted
    call: Any
    while True:
        got, ancillary, _, _ = receive(views, ANCILLARY)
        payload = view[HEAD:got] if got >= HEAD and length(view)[0] + HEAD == got else inbox.rest(got)
        if payload is None:
            return
        call = read(payload)
        body = call.body
        try:
            if type(body) is int:
                body = _read_body(mapped(descriptor_in(ancillary), body))
            args, kwargs = body.args
            if call.extra:
                kwargs.update(call.extra)
            function, fit, silent = fitted.get(body.method) or callee.fit(body.method)
            if kwargs or len(args) > fit.positions:
                args, kwargs = fit(args, kwargs)
            answer: Any = function(*args, **kwargs)
            write(reply, value_kind, call.call, None if silent else answer, most)
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like are outcomes too
            kind, told = refusal(error)
            write(reply, kind, call.call, told)
        send(reply)
        payload = call = body = args = kwargs = answer = None  # what is large must not be kept until the next call
