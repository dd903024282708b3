"""Reports of models that are out, made again and again until the orchestrator no longer announces their deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from crunch_game.crunchdao.protocol import CONNECTION_FAILED, Announced, FailureReport
from crunch_game.models import Submission

FIRST_PAUSE_SECONDS: Final = 10.0
"""Between the first report of a deployment and the second: the orchestrator needs a while to stop it."""
MAX_PAUSE_SECONDS: Final = 600.0
MIN_PAUSE_SECONDS: Final = 1.0
"""Between two reports to an orchestrator that was lost in between, which may have died before it did anything."""


class DueReport(NamedTuple):
    """A report that is to be made now; `number` is 1 for the first one of its deployment."""

    report: FailureReport
    number: int


@dataclass
class _KeptReport:
    deployment_id: str
    code: str
    reason: str
    times: int = 0
    sent: float = 0.0
    due: float = 0.0


class Reports:
    """What there is to report, at most one for each model. No report is acknowledged, so each is repeated.

    It sends nothing and reads no clock: the times that it gets are seconds on a clock that only goes forward.
    """

    def __init__(self) -> None:
        self._kept: dict[str, _KeptReport] = {}

    def add(self, submission: Submission, code: str, reason: str) -> None:
        """A deployment is out, and is to be reported at once."""
        self._kept[submission.id] = _KeptReport(submission.deployment_id, code, reason)

    def withdraw(self, model_id: str) -> None:
        """The model gets another chance, or cannot be reported."""
        self._kept.pop(model_id, None)

    def found(self, now: float) -> None:
        """The orchestrator was lost, and is back: it may know nothing of what it was told before.

        Whoever could not be reached is tried again, and may not be reported meanwhile.
        """
        for model_id, kept in list(self._kept.items()):
            if kept.code == CONNECTION_FAILED:
                del self._kept[model_id]
            elif kept.times:
                kept.due = min(kept.due, max(now, kept.sent + MIN_PAUSE_SECONDS))

    def next(self, playing: Callable[[str], Announced | None], now: float) -> DueReport | None:
        """Return a report that is due; None if there is none for now.

        Args:
            playing: Returns the deployment of a model that plays as far as the orchestrator knows. A report of any
                other is dropped: CrunchDAO's orchestrator would take it for one of this.
            now: The time.
        """
        for model_id, kept in list(self._kept.items()):
            announced = playing(model_id)
            if announced is None or announced.deployment_id != kept.deployment_id:
                del self._kept[model_id]
            elif kept.due <= now:
                reported = {"failure_code": kept.code, "failure_reason": kept.reason}
                return DueReport(FailureReport(model_id=model_id, ip=announced.ip, **reported), kept.times + 1)
        return None

    def made(self, model_id: str, now: float) -> None:
        """The model was reported; the next time is later, by a pause that doubles each time."""
        kept = self._kept.get(model_id)
        if kept is not None:
            pause = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(kept.times, 16))
            kept.times, kept.sent, kept.due = kept.times + 1, now, now + pause

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next report is due; None if there is none to make."""
        return min((max(0.0, kept.due - now) for kept in self._kept.values()), default=None)
