"""What came of asking one model: Status, Outcome and Fault, and the Round that holds all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from crunch_game._public import public, record
from crunch_game._status import Kind, Status
from crunch_game.errors import InvalidAnswer, ModelDied, ModelError, ModelRaised, ModelTimeout, ModelUnavailable

__all__ = ["Fault", "Kind", "Outcome", "Round", "Status"]

_ERRORS: dict[Status, type[ModelError]] = {
    Status.INVALID: InvalidAnswer,
    Status.RAISED: ModelRaised,
    Status.DIED: ModelDied,
    Status.TIMEOUT: ModelTimeout,
    Status.UNREACHABLE: ModelUnavailable,
    Status.UNSUPPORTED: ModelUnavailable,
    Status.SKIPPED: ModelUnavailable,
}
"""What each status counts as, and the error that `raise_for_status` raises for it."""


@record
class Fault:
    """Why a call, or a load, did not succeed.

    Attributes:
        kind: A short word for programs: the exception's type name, "timeout", "busy" (it was not asked, since it was
            still at another call), "died", "joining", ...
        message: A sentence for people.
        traceback: The participant's own frames as text: of an exception and what caused it, of a crash, or of where a
            late call was shortly before its deadline; or None.
        stderr: The last lines that the model wrote to its standard error since its last fault, or None.
        exit: The process's exit code, negative for a signal, or None while it runs.
        stdout: The last lines that the model printed since its last fault, or None. What a model in this process prints
            goes where this process prints.
    """

    kind: str
    message: str
    traceback: str | None = None
    stderr: str | None = None
    exit: int | None = None
    stdout: str | None = None

    def __str__(self) -> str:
        return self.message


@public
class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What one model answered to one call, or why it did not.

    Attributes:
        model_id: The model's id.
        deployment_id: The version of its code that was asked.
        method: The method that was called.
        status: How the call ended.
        value: The validated answer when the status is OK, else None.
        error: The fault when the status is not OK, else None.
        elapsed: Seconds from the moment when its budget began to the answer; 0 when it was not called. A budget begins
            with the round or, while the model is at an earlier call that is within its own budget, after that call.
        budget: Seconds that the model had.
        excused: Whether it was not called through no doing of its own: it is being loaded for the first time, or
            started again since its host lost it, or it was replaced meanwhile by newer code, and was neither late nor
            died.
    """

    model_id: str
    deployment_id: str
    method: str
    status: Status
    value: Any
    error: Fault | None
    elapsed: float
    budget: float
    excused: bool = False

    def raise_for_status(self) -> None:
        """Raise the ModelError that belongs to the status; do nothing when it is OK."""
        error = _ERRORS.get(self.status)
        if error is None:
            return
        fault = self.error or Fault(self.status, self.status)
        raise error(
            f"{self.model_id}: {self.method}: {fault.message}",
            model_id=self.model_id,
            method=self.method,
            traceback=fault.traceback,
        )


# A round makes one for every model, and a struct is made ten times as fast. Authors may treat it as any other record of
# this package: dataclasses' asdict and replace work.
Outcome.__dataclass_fields__ = dataclasses.make_dataclass(  # type: ignore[attr-defined]
    "Outcome", Outcome.__struct_fields__
).__dataclass_fields__


@public
class Round(Mapping[str, Outcome]):
    """The outcomes of one call, by model id: one for every model that was asked."""

    __slots__ = ("_outcomes", "elapsed", "method")

    def __init__(self, method: str, outcomes: Mapping[str, Outcome], elapsed: float) -> None:
        self.method = method
        self.elapsed = elapsed
        """Seconds from the first model asked to the last outcome."""
        self._outcomes = outcomes

    def __getitem__(self, model_id: str) -> Outcome:
        return self._outcomes[model_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)

    def __repr__(self) -> str:
        return f"<Round {self.method}: {len(self.succeeded)} of {len(self)} ok in {self.elapsed:.3f} s>"

    @property
    def succeeded(self) -> dict[str, Outcome]:
        """The outcomes whose status is OK."""
        ok = Status.OK  # before Python 3.12 an enum's members are slow to look up
        return {model_id: outcome for model_id, outcome in self._outcomes.items() if outcome.status is ok}
