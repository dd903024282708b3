"""Many calls whose answers say nothing, for one answer: how far the model has got with them."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic  # by its name: models may put something else into the module
from typing import Any

import msgspec

from crunch_game.encoding import reader
from crunch_game.hosts._calling import Callee
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process.child._answering import CallBody, Refuse


class TellBody(msgspec.Struct, array_like=True):
    """The calls, as every model gets them.

    Attributes:
        serial: The same only if the calls are: then the model goes on where it stopped.
        turn: Seconds after which it stops between two calls, and answers.
        budget: Seconds that each call has.
        calls: The calls, encoded: they are not read again when the model goes on.
    """

    serial: int
    turn: float
    budget: float
    calls: bytes


_read_body: Callable[[bytes], TellBody] = reader(TellBody)
_read_calls: Callable[[bytes], list[CallBody]] = reader(list[CallBody])


class Listener:
    """Calls the model, and remembers how far it got.

    Args:
        callee: The model.
        max_answer_bytes: What one answer may take.
        refusal: The kind and body of a frame for what it raised, or for an answer that cannot be sent.
    """

    def __init__(self, callee: Callee, max_answer_bytes: int, refusal: Refuse) -> None:
        self._callee = callee
        self._max_answer_bytes = max_answer_bytes
        self._refusal = refusal
        self._serial = 0
        self._left: list[CallBody] = []
        self._done = 0
        self._reply = bytearray()

    def go_on(self, number: int, body: bytes) -> bytearray:
        """Make the calls that are left, until their turn is over, or one is late, fails or returns something.

        The answer is how many are over, the seconds that the last one took, and if there is more to say of that one the
        kind and body of the frame that would say it.
        """
        told = _read_body(body)
        if told.serial != self._serial:
            self._serial, self._done, self._left = told.serial, 0, _read_calls(told.calls)[::-1]
        call, left, turn, budget = self._callee.call, self._left, told.turn, told.budget
        began = before = now = monotonic()
        kind: int | None = None
        what: Any = None
        while left:
            before = now
            each = left.pop()
            try:
                what = call(each.method, *each.args)
                kind = None if what is None else framing.VALUE
            except BaseException as error:  # noqa: BLE001 - SystemExit and the like are outcomes too
                kind, what = self._refusal(error)
            self._done += 1
            now = monotonic()
            if kind is not None or now - before > budget or now - began > turn:
                break
        write, so_far = framing.frame_into, (self._done, now - before)
        try:
            write(self._reply, framing.VALUE, number, (*so_far, kind, what), self._max_answer_bytes)
        except Exception as error:  # noqa: BLE001 - an answer may be of any kind
            write(self._reply, framing.VALUE, number, (*so_far, *self._refusal(error)))
        return self._reply
