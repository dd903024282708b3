"""A model's process at work: a call comes through its channel, the model is called, its answer goes."""

from __future__ import annotations

import errno
import socket
from array import array
from collections.abc import Callable
from itertools import repeat
from time import monotonic  # by its name: models may put something else into the module
from typing import Any, Final

import msgspec

from crunch_game.encoding import dropped, reader
from crunch_game.hosts._calling import Callee
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._shared import mapped

_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(array("i").itemsize)
"""Room for one descriptor beside what is received."""
_CHUNK_BYTES: Final = 1 << 16
_HEAD_BYTES: Final = framing.LENGTH.size
_length: Final = framing.LENGTH.unpack_from

Refusal = tuple[str, str, str | None]
"""Why there is no answer: the fault's kind, message and traceback."""
Refuse = Callable[[BaseException], tuple[int, Refusal]]
Tell = Callable[[int, bytes], bytearray]
"""Given the id of a frame that asks for many calls, and its body."""


class CallBody(msgspec.Struct, array_like=True):
    """One call, as every model gets it: the method, its positional arguments, and those with a name."""

    method: str
    args: tuple[list[Any], dict[str, Any]]


class _CallFrame(msgspec.Struct, array_like=True):
    """A whole frame, read in one go.

    Its body is a number where it lies elsewhere, of how many bytes; and bytes where it is several calls, with as many
    extras.
    """

    kind: int
    call: int
    body: CallBody | int | bytes
    extra: dict[str, Any] | list[dict[str, Any] | None] | None = None


_read_call: Callable[[memoryview], _CallFrame] = reader(_CallFrame)
_read_calls: Callable[[bytes], list[tuple[int, float, CallBody]]] = reader(list[tuple[int, float, CallBody]])
"""Of each of several calls its id, its budget in seconds, and what it is."""
_read_body: Callable[[memoryview], CallBody] = reader(CallBody)


class Inbox:
    """Receives frames on a channel, one after the other, and the descriptors that come along.

    Attributes:
        channel: Where they come from.
        view: Where they are put, one over the other.
    """

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.view = memoryview(bytearray(_CHUNK_BYTES))

    def receive(self) -> tuple[memoryview | None, int | None]:
        """The next frame, without its length, to be read before the one after it is asked for; None at the end.

        And the descriptor that came with it, or None, which is its reader's to close. (What is called again and again
        has these lines of its own, in `answer_calls`.)
        """
        got, ancillary, _, _ = self.channel.recvmsg_into([self.view], _ANCILLARY_BYTES)
        whole = got >= _HEAD_BYTES and _length(self.view)[0] + _HEAD_BYTES == got
        return self.view[_HEAD_BYTES:got] if whole else self.rest(got), _descriptor_in(ancillary) if ancillary else None

    def rest(self, got: int) -> memoryview | None:
        """The whole frame, of which so many bytes are there, or more than it; None if it will never be whole."""
        data = bytearray(self.view[:got])
        while len(data) < _HEAD_BYTES or len(data) < _HEAD_BYTES + _length(data)[0]:
            got = self.channel.recv_into(self.view) if got else 0
            if not got:
                return None
            data += self.view[:got]
        return memoryview(data)[_HEAD_BYTES:]


def _descriptor_in(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The descriptor in what `recvmsg_into` gave besides the bytes.

    Raises:
        OSError: It came, and this process had no number left for it.
    """
    if not ancillary:
        raise OSError(errno.EMFILE, "the arguments came as a file, and there are too many open files already")
    return array("i", ancillary[0][2])[0]


def answer_calls(inbox: Inbox, callee: Callee, max_answer_bytes: int, refusal: Refuse, tell: Tell) -> None:
    """Answer one call after the other until the channel closes.

    All of it stands here, under local names. Where a hundred processes take turns on a processor, a call costs what
    memory it touches, and each function more, and each name that is looked up elsewhere, is more of it.

    Args:
        inbox, callee: Where calls come from, and answers go to; and the model.
        max_answer_bytes: What one answer may take.
        refusal: The frame's kind and body for what the model raised, or for an answer that cannot be sent.
        tell: Makes many calls; returns the frame of their one answer.
    """
    receive, send, view, views = inbox.channel.recvmsg_into, inbox.channel.sendall, inbox.view, [inbox.view]
    read, write, value_kind, reply, fitted = _read_call, framing.frame_into, framing.VALUE, bytearray(), callee.fitted
    ancillary_bytes, head, length, clock, began, budget = _ANCILLARY_BYTES, _HEAD_BYTES, _length, monotonic, 0.0, 0.0
    ahead: list[_Ahead] = []
    call: Any
    body: Any
    while True:
        if ahead:
            number, budget, body, extra = ahead.pop()
        else:
            got, ancillary, _, _ = receive(views, ancillary_bytes)
            payload = view[head:got] if got >= head and length(view)[0] + head == got else inbox.rest(got)
            if payload is None:
                return
            call = read(payload)
            number, body, extra = call.call, call.body, call.extra
            if type(body) is bytes and call.kind == framing.TELL:
                send(tell(number, body))
                payload = call = body = None
                continue
            if type(body) is bytes:
                ahead = _in_reverse(body, extra)
                number, budget, body, extra = ahead.pop()
        if ahead:
            began = clock()
        try:
            if type(body) is int:
                body = _read_body(mapped(_descriptor_in(ancillary), body))
            args, kwargs = body.args
            if extra:
                kwargs.update(extra)
            function, fit, silent = fitted.get(body.method) or callee.fit(body.method)
            if kwargs or len(args) > fit.positions:
                args, kwargs = fit(args, kwargs)
            answer: Any = function(*args, **kwargs)
            unwanted = silent and answer is not None
            write(reply, value_kind, number, dropped(answer) if unwanted else answer, max_answer_bytes)
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like are outcomes too
            kind, told = refusal(error)
            write(reply, kind, number, told)
        send(reply)
        # What is large must not be kept until the next call.
        payload = call = body = extra = args = kwargs = answer = None
        if ahead and clock() - began > budget:
            # Nobody may wait for the rest any more. What somebody waits for comes again.
            write(reply, framing.GIVEN_BACK, ahead[-1][0], None)
            send(reply)
            ahead.clear()


_Ahead = tuple[int, float, CallBody, "dict[str, Any] | None"]
"""A call that came together with others: its id, its budget in seconds, what it is, and further keyword arguments."""


def _in_reverse(calls: bytes, extras: list[dict[str, Any] | None] | None) -> list[_Ahead]:
    """Calls that came together, the last one first."""
    together = zip(_read_calls(calls), extras or repeat(None), strict=False)
    return [(number, budget, body, extra) for (number, budget, body), extra in together][::-1]
