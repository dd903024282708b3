"""What runners tell: of models that join, load, fail and leave, and of whatever is between them and their calls."""

from __future__ import annotations

from pathlib import Path

from crunch_game._public import record
from crunch_game.outcomes import Fault


@record
class ModelJoined:
    """The roster has a new model; it is being loaded."""

    model_id: str
    deployment_id: str

    def __str__(self) -> str:
        return f"{self.model_id} joined"


@record
class ModelReady:
    """A fresh instance is loaded, and plays from the next round on.

    `warnings` are for its participant, for example about further candidates in the submission.
    """

    model_id: str
    deployment_id: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.model_id} is ready" + "".join(f"; {warning}" for warning in self.warnings)


@record
class ModelLoadFailed:
    """The submission could not be loaded; the fault says why."""

    model_id: str
    deployment_id: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.model_id} could not be loaded: {self.fault}"


@record
class ModelRedeployed:
    """New code has replaced the old one, without its strikes."""

    model_id: str
    deployment_id: str
    previous_deployment_id: str

    def __str__(self) -> str:
        return f"{self.model_id} plays with new code, {self.deployment_id}"


@record
class ModelRestarted:
    """The instance has ended; the fault says why. A fresh one is started in `delay` seconds."""

    model_id: str
    deployment_id: str
    fault: Fault
    delay: float

    def __str__(self) -> str:
        return f"{self.model_id} is restarted: {self.fault}"


@record
class ModelStopped:
    """The model is out of the game until it has a new deployment or is readmitted. `fault` is its last, if any."""

    model_id: str
    deployment_id: str
    reason: str
    fault: Fault | None = None

    def __str__(self) -> str:
        return f"{self.model_id} is stopped: {self.reason}"


@record
class ModelLeft:
    """The roster no longer has the model."""

    model_id: str
    deployment_id: str

    def __str__(self) -> str:
        return f"{self.model_id} left"


@record
class FieldFault:
    """Most of the models failed the same call: the game's fault, and no strike. `fault` is the most frequent one."""

    method: str
    failed: int
    asked: int
    fault: Fault

    def __str__(self) -> str:
        return f"{self.failed} of {self.asked} models failed {self.method}, so the game is at fault: {self.fault}"


@record
class LoopBlocked:
    """The author's own code blocked the event loop for this many seconds after a round had ended."""

    seconds: float

    def __str__(self) -> str:
        return f"the event loop was blocked for {self.seconds:.2f} s"


@record
class RosterLost:
    """The roster cannot be reached. The models continue to play."""

    reason: str

    def __str__(self) -> str:
        return f"the roster is lost: {self.reason}"


@record
class RosterFound:
    """The roster can be reached again, and its models are those of the game."""

    def __str__(self) -> str:
        return "the roster is back"


@record
class CapsuleSaved:
    """A failing call was saved as a fault capsule. `method` is None if the submission could not be loaded."""

    model_id: str
    deployment_id: str
    method: str | None
    path: Path

    def __str__(self) -> str:
        return f"{self.model_id}: the failing {self.method or 'load'} is saved; see: crunch-game replay {self.path}"


@record
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
