"""One model's calls, one at a time: which is asked next and by when, which answer is late, what the model is busy with.

It does no I/O and reads no clock: whoever asks a model (the engine a process, the NodeHost a node) says what happens,
and when. So the rules are the same in a process and on a node, and so are the sentences about a missed budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

_RELEASE_SECONDS: Final = 0.1
"""How long a model may go on refusing calls after it was done with one, before that is somebody else's doing."""


class _Budgeted(Protocol):
    @property
    def method(self) -> str: ...

    @property
    def timeout(self) -> float:
        """The call's budget, in seconds."""


CallT = TypeVar("CallT", bound=_Budgeted)


@dataclass(frozen=True, slots=True)
class Missed(Generic[CallT]):
    """What the model did instead of answering a call within its budget.

    Attributes:
        asked: Whether it was asked, and is still at this call.
        busy_with: The method that it is at, be it an earlier call's; None where somebody else's call keeps it busy.
        busy_seconds: For how long.
        at: The call that it is at, unless that is somebody else's, or over by now.
    """

    asked: bool
    busy_with: str | None
    busy_seconds: float
    at: CallT | None

    @property
    def by_somebody_else(self) -> bool:
        """Whether somebody else's call kept the model busy: then the model is not to blame."""
        return self.busy_with is None

    def kind_and_reason(self, budget: float) -> tuple[str, str]:
        """The kind of fault that this is, and the sentence that says so.

        Args:
            budget: Seconds that the call had.
        """
        if self.asked:
            return "timeout", f"no answer within {budget:g} s"
        unasked = f"not asked within {budget:g} s"
        if self.busy_with is None:
            return "busy", f"{unasked}: its node is busy with somebody else's call"
        return "busy", f"{unasked}: it has been busy with {self.busy_with} for {self.busy_seconds:.3g} s"


class Turns(Generic[CallT]):
    """The calls of one model. At most one that somebody waits for is asked; the others wait in the order they came.

    A call that is missed, or given up, while the model is at it is overdue: its answer can no longer be taken for
    anything but a late one, and until then the model is busy.

    One budget runs at a time: that of the current call or, while only overdue calls hold the model, that of the first
    in the queue. A call that waits behind others that are within their own budgets has not begun. So k calls in a row
    are over at the latest after the sum of their k budgets.

    Args:
        max_overdue: Overdue calls that may run beside the next. 0 for a process, which answers in order. A node's
            answer may be lost on its way, and then nothing would ever tell that the node is free: it is asked anyway.

    Attributes:
        current: The call that the model is at and whose answer is waited for.
        queue: The calls that wait for their turn.
        since: When the budget began that runs now.
    """

    # A thousand models take turns: lists, since an empty deque takes half a KiB, which a processor would have to fetch.
    __slots__ = (
        "_asked",
        "_last",
        "_max_overdue",
        "_overdue",
        "_refused",
        "_refused_for",
        "_together",
        "current",
        "queue",
        "since",
    )

    def __init__(self, max_overdue: int = 0) -> None:
        self.current: CallT | None = None
        self.queue: list[CallT] = []
        self.since = 0.0
        self._asked = 0.0
        """When the current call was asked."""
        self._overdue: dict[CallT, float] = {}
        """The calls that it is at and whose answer nobody waits for, the oldest first, and when each was asked."""
        self._max_overdue = max_overdue
        self._last = ("", 0.0, float("-inf"))
        """The last call that the model was done with: its method, when it was asked, and when it was over."""
        self._refused: CallT | None = None
        self._refused_for: tuple[str, float] | None = None
        """The call of ours that kept the model from the refused one, and since when; None if it was somebody else's."""
        self._together = 0
        """How many of the calls that were asked together the model is not done with."""

    @property
    def running(self) -> CallT | None:
        """The call whose budget runs; None if nobody waits for any."""
        return self.current or (self.queue[0] if self.queue else None)

    @property
    def deadline(self) -> float:
        """When the budget that runs now is over; infinity if none does."""
        running = self.running
        return float("inf") if running is None else self.since + running.timeout

    @property
    def oldest(self) -> CallT | None:
        """The call that the model has been at for the longest; None if it is free."""
        return next(iter(self._overdue)) if self._overdue else self.current

    @property
    def surplus(self) -> CallT | None:
        """The oldest overdue call, if there are so many that nothing is asked until it is over."""
        if self.current is not None or len(self._overdue) <= self._max_overdue:
            return None
        return self.oldest

    @property
    def _handed_ahead(self) -> int:
        """How many of the queue's first calls the model has got already."""
        return max(0, self._together - len(self._overdue) - (self.current is not None))

    def elapsed(self, call: CallT, now: float) -> float:
        """Seconds of its budget that a call has had; 0 if that has not begun."""
        return now - self.since if call is self.running else 0.0

    def add(self, call: CallT, now: float) -> bool:
        """Let the call wait for its turn, behind those that wait already. Returns whether it is to be asked now."""
        if self.queue or self.current is not None or len(self._overdue) > self._max_overdue:
            if self.running is None:
                self.since = now
            self.queue.append(call)
            return False
        self.current, self._asked, self.since = call, now, now
        return True

    def add_together(self, calls: Sequence[CallT], now: float) -> bool:
        """The same with calls in a row, for a model that answers in order. They must be given up together.

        Returns whether all of them are to be handed to the model now. It works through them without being asked again;
        each one's turn still comes when the one before it is over.
        """
        first, *rest = calls
        is_free = self.add(first, now)
        self.queue += rest
        if is_free:
            self._together = len(calls)
        return is_free

    def next(self, now: float) -> CallT | None:
        """Begin the next turn.

        Returns the call that is to be asked now; None if none waits, the model is busy, or it has got the call already.
        """
        if self.current is not None or not self.queue or len(self._overdue) > self._max_overdue:
            return None
        has_it = self._together and self._handed_ahead
        self.current, self._asked = self.queue.pop(0), now
        return None if has_it else self.current

    def answered(self, call: CallT, now: float) -> bool:
        """The model is done with a call. Returns whether in time: nobody waits for a late answer."""
        in_time = call is self.current
        asked = self._asked if in_time else self._overdue.pop(call)
        if self._max_overdue:  # a process never refuses a call
            self._last = call.method, asked, now
        if self._together:
            self._together -= 1
            if (following := next(iter(self._overdue), None)) is not None:
                self._overdue[following] = now  # it was asked together with this one, and the model is at it only now
        if in_time:
            self.current = self._refused = None
            self.since = now
        return in_time

    def given_back(self, now: float) -> CallT | None:
        """The model does not begin the rest of what it was asked together. Returns the call to be asked now, if any.

        Raises:
            ValueError: Nothing of that is left.
        """
        if not self._together:
            raise ValueError("it gave back calls that it did not have")
        self._together = 0
        self._overdue.clear()  # it is done with those that it has begun
        return self.current or self.next(now)

    def refused(self, call: CallT) -> bool:
        """The model is busy and did not take a call. Returns whether that is still to be asked: it is the next, then.

        As long as one of ours is overdue, that is what the model is busy with, and for a moment longer, since an answer
        may be here before the node is free. Only after that it must be somebody else's.
        """
        if call is not self.current:
            del self._overdue[call]
            return False
        self.current = None
        self.queue.insert(0, call)
        method, since, over = self._last
        if (oldest := self.oldest) is not None:
            self._refused_for = oldest.method, self._overdue[oldest]
        else:
            self._refused_for = (method, since) if self._asked - over < _RELEASE_SECONDS else None
        self._refused = call
        return True

    def expire(self, call: CallT, now: float) -> Missed[CallT]:
        """Nobody waits any more for a call: its budget is over, or it is given up. Returns what the model is at."""
        asked, was_refused = call is self.current, call is self._refused
        oldest = next(iter(self._overdue), None)
        if call is self.running:
            self.since = now
        if asked:
            self.current = None
            self._overdue[call] = self._asked
        else:
            if oldest is None:
                oldest = self.current
            has_it = self.queue.index(call) < self._handed_ahead
            self.queue.remove(call)
            if has_it:
                self._overdue[call] = now
        if was_refused:
            self._refused = None
        if oldest is not None and (was_refused or not asked):
            # A refused call that is asked again waits for what kept the model from it: it will be refused again.
            return Missed(False, oldest.method, now - self._overdue.get(oldest, self._asked), oldest)
        if asked and not (was_refused and self._refused_for is None):
            return Missed(True, call.method, now - self._asked, call)
        if self._refused_for is not None:
            method, since = self._refused_for
            return Missed(False, method, now - since, None)
        # Asked at last, perhaps, but with what somebody else's call had left of its budget: not the model's fault.
        return Missed(False, None, 0.0, None)

    def end(self) -> list[CallT]:
        """The model is gone. Returns the calls that somebody waits for: the current one, if any, and the queue."""
        waiting = [*self.queue] if self.current is None else [self.current, *self.queue]
        self.current = self._refused = None
        self._overdue.clear()
        self.queue.clear()
        self._together = 0
        return waiting
