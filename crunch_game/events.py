"""What a runner, and a game, tell their author on the way: a frozen record for each thing that can happen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crunch_game.outcomes import Fault, Round
from crunch_game.public import public
from crunch_game.wording import counted

__all__ = [
    "TROUBLE",
    "CapsuleLost",
    "CapsuleSaved",
    "FieldFault",
    "GameEvent",
    "LoopBlocked",
    "ModelJoined",
    "ModelLeft",
    "ModelLoadFailed",
    "ModelReady",
    "ModelRedeployed",
    "ModelRestarted",
    "ModelStopped",
    "PredictionsSetAside",
    "RosterFound",
    "RosterLost",
    "RoundLate",
    "RoundPlayed",
    "RoundsMissed",
    "RunnerEvent",
    "TickPlayed",
]


@public
@dataclass(frozen=True, slots=True)
class ModelJoined:
    """The roster has a new model; it is being loaded."""

    model_id: str
    deployment_id: str

    def __str__(self) -> str:
        return f"{self.model_id} joined"


@public
@dataclass(frozen=True, slots=True)
class ModelReady:
    """A fresh instance is loaded and plays from the next round on.

    `warnings` are what its participant should know, for example further candidates in the submission.
    """

    model_id: str
    deployment_id: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.model_id} is ready" + "".join(f"; {warning}" for warning in self.warnings)


@public
@dataclass(frozen=True, slots=True)
class ModelLoadFailed:
    """The submission could not be turned into a model, for the reason that the fault tells."""

    model_id: str
    deployment_id: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.model_id} could not be loaded: {self.fault}"


@public
@dataclass(frozen=True, slots=True)
class ModelRedeployed:
    """New code took over; the strikes of the old are gone."""

    model_id: str
    deployment_id: str
    previous_deployment_id: str

    def __str__(self) -> str:
        return f"{self.model_id} plays with new code, {self.deployment_id}"


@public
@dataclass(frozen=True, slots=True)
class ModelRestarted:
    """The instance is gone, for the reason that the fault tells; a fresh one starts in `delay` seconds."""

    model_id: str
    deployment_id: str
    fault: Fault
    delay: float

    def __str__(self) -> str:
        return f"{self.model_id} is restarted: {self.fault}"


@public
@dataclass(frozen=True, slots=True)
class ModelStopped:
    """The model is out of the game until it has a new deployment or is readmitted.

    `fault` is the last thing that went wrong, or None when the author stopped it.
    """

    model_id: str
    deployment_id: str
    reason: str
    fault: Fault | None = None

    def __str__(self) -> str:
        return f"{self.model_id} is stopped: {self.reason}"


@public
@dataclass(frozen=True, slots=True)
class ModelLeft:
    """The roster has it no more."""

    model_id: str
    deployment_id: str

    def __str__(self) -> str:
        return f"{self.model_id} left"


@public
@dataclass(frozen=True, slots=True)
class FieldFault:
    """Most of the field failed the same call: the game's fault, and nobody's strike.

    `fault` is the most frequent one among them.
    """

    method: str
    failed: int
    asked: int
    fault: Fault

    def __str__(self) -> str:
        return f"{self.failed} of {self.asked} models failed {self.method}, so the game is at fault: {self.fault}"


@public
@dataclass(frozen=True, slots=True)
class LoopBlocked:
    """The author's own code held the event loop for that many seconds while a round had ended."""

    seconds: float

    def __str__(self) -> str:
        return f"the event loop was blocked for {self.seconds:.2f} s"


@public
@dataclass(frozen=True, slots=True)
class RosterLost:
    """The roster cannot be reached; models that play go on."""

    reason: str

    def __str__(self) -> str:
        return f"the roster is lost: {self.reason}"


@public
@dataclass(frozen=True, slots=True)
class RosterFound:
    """The roster is back; what it tells now is the truth."""

    def __str__(self) -> str:
        return "the roster is back"


@public
@dataclass(frozen=True, slots=True)
class CapsuleSaved:
    """A failing call was saved as a fault capsule. `method` is None when the submission could not be loaded."""

    model_id: str
    deployment_id: str
    method: str | None
    path: Path

    def __str__(self) -> str:
        return f"{self.model_id}: the failing {self.method or 'load'} is saved; see: crunch-game replay {self.path}"


@public
@dataclass(frozen=True, slots=True)
class CapsuleLost:
    """A failing call could not be saved as a fault capsule."""

    model_id: str
    deployment_id: str
    method: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.model_id}: the failing {self.method or 'load'} could not be saved: {self.reason}"


RunnerEvent = (
    ModelJoined
    | ModelReady
    | ModelLoadFailed
    | ModelRedeployed
    | ModelRestarted
    | ModelStopped
    | ModelLeft
    | FieldFault
    | LoopBlocked
    | RosterLost
    | RosterFound
    | CapsuleSaved
    | CapsuleLost
)


@public
@dataclass(frozen=True, slots=True)
class TickPlayed:
    """Every model was told a row of the feed. `at` is on the game's clock."""

    at: datetime
    round: Round

    def __str__(self) -> str:
        return (
            f"the row of {self.at:%Y-%m-%d %H:%M:%S} UTC was told: {len(self.round.succeeded)} of {len(self.round)} ok"
        )


@public
@dataclass(frozen=True, slots=True)
class RoundPlayed:
    """Every model was asked for one prediction. `at` is on the game's clock."""

    key: str
    at: datetime
    round: Round

    def __str__(self) -> str:
        return f"{self.key} was played: {len(self.round.succeeded)} of {len(self.round)} ok"


@public
@dataclass(frozen=True, slots=True)
class RoundLate:
    """A round was played that many seconds after its slot began."""

    key: str
    slot: datetime
    late: float

    def __str__(self) -> str:
        return f"{self.key} was played {self.late:.1f} s late"


@public
@dataclass(frozen=True, slots=True)
class RoundsMissed:
    """That many slots before `slot` went by without a round: nothing arrived, or the game did not run."""

    key: str
    slot: datetime
    count: int

    def __str__(self) -> str:
        were = "was" if self.count == 1 else "were"
        return f"{counted(self.count, 'round')} of {self.key} {were} missed before {self.slot:%Y-%m-%d %H:%M:%S} UTC"


@public
@dataclass(frozen=True, slots=True)
class PredictionsSetAside:
    """That many predictions could not be scored, for a reason that is told once; each keeps its own in the store."""

    count: int
    reason: str

    def __str__(self) -> str:
        return f"{counted(self.count, 'prediction')} could not be scored, and more may follow: {self.reason}"


GameEvent = RunnerEvent | TickPlayed | RoundPlayed | RoundLate | RoundsMissed | PredictionsSetAside

TROUBLE = (
    ModelLoadFailed,
    ModelStopped,
    ModelRestarted,
    FieldFault,
    LoopBlocked,
    RosterLost,
    RoundLate,
    RoundsMissed,
    PredictionsSetAside,
    CapsuleLost,
)
"""What an author who does not listen is told all the same, as a logged warning."""
