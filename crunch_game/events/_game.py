"""What workers tell: of rows, slots, scores and corrections, and of a store that is away."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from crunch_game._public import record
from crunch_game._quantities import counted
from crunch_game.events._runner import RunnerEvent
from crunch_game.outcomes import Round


@record
class TickPlayed:
    """Every model was ticked with a row of the feed. `at` is on the game's clock."""

    at: datetime
    round: Round

    def __str__(self) -> str:
        return (
            f"the row of {self.at:%Y-%m-%d %H:%M:%S} UTC was told: {len(self.round.succeeded)} of {len(self.round)} ok"
        )


@record
class RoundPlayed:
    """Every model was asked for one prediction. `at` is on the game's clock."""

    key: str
    at: datetime
    round: Round

    def __str__(self) -> str:
        return f"{self.key} was played: {len(self.round.succeeded)} of {len(self.round)} ok"


@record
class RoundLate:
    """A round was played `late` seconds after its slot: the worker, or the machine, is too slow for the game."""

    key: str
    slot: datetime
    late: float

    def __str__(self) -> str:
        return f"{self.key} was played {self.late:.1f} s late"


@record
class RoundsMissed:
    """So many slots were not played, the last of them at `slot`."""

    key: str
    slot: datetime
    count: int
    reason: str = "no data arrived, or the game did not run"

    def __str__(self) -> str:
        were = "was" if self.count == 1 else "were"
        when = f"{self.slot:%Y-%m-%d %H:%M:%S} UTC"
        return f"{counted(self.count, 'round')} of {self.key} {were} missed up to {when}: {self.reason}"


@record
class HookFailed:
    """A function of the author raised for one row or round, which is set aside. Each kind of error is told once.

    Attributes:
        hook: The function: "tick", "per_model", "an argument of ...", "a board" (its `of`, `weight` or `missing`).
        at: The row's time, or the slot; aware, UTC.
        reason: What it raised.
    """

    hook: str
    at: datetime
    reason: str

    def __str__(self) -> str:
        return f"{self.hook} failed for {self.at:%Y-%m-%d %H:%M:%S} UTC, which is set aside: {self.reason}"


@record
class ClockSet:
    """The wall clock was set, and has stayed so for a minute: the game's clock follows it by so many seconds."""

    seconds: float

    def __str__(self) -> str:
        ahead = "ahead" if self.seconds > 0 else "back"
        return f"the clock was set {ahead} by {abs(self.seconds):,.0f} s, and the game follows it"


@record
class RowsSlow:
    """Rows arrive later, in the median, than slots wait for them, so that many slots are played without theirs."""

    median: float
    wait: float

    def __str__(self) -> str:
        late = f"rows arrive {self.median:.3g} s after their time in the median"
        return f"{late}, but slots wait for {self.wait:g} s; give the game a longer wait"


@record
class PredictionsSetAside:
    """Predictions could not be scored. Each reason is reported once; the store has that of every prediction."""

    count: int
    reason: str

    def __str__(self) -> str:
        return f"{counted(self.count, 'prediction')} could not be scored, and more may follow: {self.reason}"


@record
class StoreAway:
    """The store does not read or write for now; the game goes on. `waiting`: a predict worker's journal."""

    reason: str
    waiting: str | None = None

    def __str__(self) -> str:
        who = "scores wait" if self.waiting is None else f"the game goes on, and what it stores waits in {self.waiting}"
        return f"{who}: {self.reason}"


@record
class StoreBack:
    """The store is back, and has the writes that waited for it: each is of a row, a slot, or a sign of life."""

    seconds: float
    written: int = 0

    def __str__(self) -> str:
        return f"the store is back after {self.seconds:,.1f} s; {counted(self.written, 'write')} waited for it"


@record
class JournalFull:
    """The store was away for so long that no more could wait for it: so many rows and answers are lost so far."""

    lost: int

    def __str__(self) -> str:
        return f"the journal is full, since the store was away for too long: {self.lost:,} rows and answers are lost"


@record
class JournalAside:
    """A journal was found with writes that would come too late, and is kept at the path."""

    path: Path
    count: int

    def __str__(self) -> str:
        count = counted(self.count, "write")
        return f"another worker has played since {count} had to wait; they are left out, and kept in {self.path}"


@record
class Corrected:
    """A correction was carried out, by whoever scores; so many scores are others now.

    Attributes:
        number: That of the correction.
        verb: What was asked for: "void", "retract", "restore", "resolve" or "rescore".
        by: Who asked for it.
        reason: Why.
        scores: How many scores it has changed.
    """

    number: int
    verb: str
    by: str
    reason: str
    scores: int

    def __str__(self) -> str:
        changed = counted(self.scores, "score")
        return f"correction {self.number} ({self.verb}, by {self.by}) has changed {changed}: {self.reason}"


OutageEvent = StoreAway | StoreBack | JournalFull | JournalAside

GameEvent = (
    RunnerEvent
    | TickPlayed
    | RoundPlayed
    | RoundLate
    | RoundsMissed
    | PredictionsSetAside
    | HookFailed
    | ClockSet
    | RowsSlow
    | Corrected
    | OutageEvent
)
