"""Many calls whose answers say nothing, for one answer: how far the model has got with them."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic  # by its name: models may put something else into the module

import msgspec

from crunch_game.encoding import reader
from crunch_game.hosts._calling import Callee
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process.child._answering import CallBody, Refusal, Refuse


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
        refusal: The kind and body of a frame for what it raised.
    """

    def __init__(self, callee: Callee, refusal: Refuse) -> None:
        self._callee = callee
        self._refusal = refusal
        self._serial = 0
        self._left: list[CallBody] = []
        self._done = 0
        self._reply = bytearray()

    def go_on(self, number: int, body: bytes) -> bytearray:
        """Make the calls that are left, until their turn is over, or one fails or takes longer than its budget.

        The answer is how many are over, the seconds that the last one took, and if it failed the kind and body of the
        frame that would say why.
        """
        told = _read_body(body)
        if told.serial != self._serial:
            self._serial, self._done, self._left = told.serial, 0, _read_calls(told.calls)[::-1]
        call, left, turn, budget = self._callee.call, self._left, told.turn, told.budget
        began = before = now = monotonic()
        kind: int | None = None
        refused: Refusal | None = None
        while left:
            before = now
            each = left.pop()
            try:
                call(each.method, *each.args)
            except BaseException as error:  # noqa: BLE001 - SystemExit and the like are outcomes too
                kind, refused = self._refusal(error)
            self._done += 1
            now = monotonic()
            if kind is not None or now - before > budget or now - began > turn:
                break
        framing.frame_into(self._reply, framing.VALUE, number, (self._done, now - before, kind, refused))
        return self._reply
