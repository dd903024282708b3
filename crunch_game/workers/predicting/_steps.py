"""Carries out what a game's timetable says: rows are told, slots are played, and all of it is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from crunch_game._asks import Ask
from crunch_game._slots import Keep, Miss, Play, Refuse, Step, Tell
from crunch_game.errors import ContractError
from crunch_game.events import RoundLate, RoundPlayed, RoundsMissed, TickPlayed
from crunch_game.feeds import History
from crunch_game.feeds.base import Row, RowDropped, RowKept
from crunch_game.game import Game
from crunch_game.lineup import playing
from crunch_game.outcomes import Fault, Outcome, Round, Status
from crunch_game.policy import State, is_field_fault
from crunch_game.runner import MethodCall, ModelRunner, PerModel, Selection
from crunch_game.storage import FaultRecord, GameLog
from crunch_game.storage.base import ModelRecord, Prediction, Session, Store
from crunch_game.storage.journal import Write
from crunch_game.workers._base import Listener
from crunch_game.workers._eventlog import EventLog, fault_of_call
from crunch_game.workers.predicting._hooks import Extras, Hooks
from crunch_game.workers.predicting._outbox import Outbox
from crunch_game.workers.predicting._recorded import Recorded

_MAX_KEPT: Final = 1_000
"""Late rows that are known again when they are repeated."""


class Executor:
    """One worker's steps, and what has come of them.

    Args:
        game: The game.
        runner: Calls the models.
        store: Where all of it is kept.
        outbox: Brings it there.
        hooks: The author's functions.
        tell: Called with events.
        log: What of these is to be kept.

    Attributes:
        history: The rows that were told, oldest first.
        recorded: Who was asked in which round of the live game that is replayed, by its slot and key; else None.
        session: The live session that this happens in; None in a replay.
        ticks, rounds, predictions, missed, late: Counts, as in `GameResult`.
    """

    def __init__(
        self,
        game: Game,
        runner: ModelRunner,
        store: Store,
        outbox: Outbox,
        hooks: Hooks,
        tell: Listener,
        log: EventLog,
    ) -> None:
        self._game = game
        self._runner = runner
        self._store = store
        self._outbox = outbox
        self._hooks = hooks
        self._tell = tell
        self._log = log
        self.history = History()
        self.recorded: Recorded | None = None
        self.session: Session | None = None
        self._committed: datetime | None = None
        """The last slot whose answers are kept."""
        self.ticks = self.rounds = self.predictions = self.missed = self.late = 0
        self._rows: list[Row] = []
        self._aside: list[tuple[Row, str]] = []
        self._faults: list[FaultRecord] = []
        self._kept: dict[datetime, Row] = {}
        """The last rows that came too late, the latest last."""
        self._known: dict[str, ModelRecord] = {}
        self._asks = {ask.key: ask for ask in game.asks}

    def know(self, record: ModelRecord) -> None:
        """Know what the store has of a model, so that it is not stored again, and its leaving is noticed."""
        self._known[record.model_id] = record

    async def carry_out(self, steps: Iterable[Step], now: Callable[[], datetime]) -> None:
        """Carry out the steps, one after the other, and store what comes of them.

        A slot's answers are stored in one transaction, with the rows before it: after a kill in between, the next
        worker would know the row of a slot, and not ask for its predictions.

        Args:
            steps: From the timetable.
            now: The wall clock.

        Raises:
            GameError: The author's code fails for the first row of all.
        """
        for step in steps:
            match step:
                case Tell(row):
                    await self._tell_row(row)
                case Play():
                    with playing():  # until it is stored
                        await self._play(step, now())
                case Miss(key, at, count, reason):
                    self.missed += count
                    self._tell(RoundsMissed(key, at, count, reason))
                case Keep(row):
                    self._keep(row)
                case Refuse(row, reason):
                    self._aside.append((row, reason))
                    self._tell(RowDropped(reason, row.time))
        if self._rows or self._aside:
            await self.save((), now())
        self._hooks.is_first = self._hooks.is_first and not self.ticks

    async def save(self, predictions: Sequence[Prediction], now: datetime) -> None:
        """Store what is not stored yet, with these predictions, and that this session is alive."""
        before, models = dict(self._known), self._changed_models()
        if self.session is not None:
            self.session = replace(self.session, heartbeat=max(now, self.session.heartbeat))
        if not (self._rows or self._aside or predictions or models or self.session):
            await self.save_log()
            return
        self._log.look(self._runner.models)
        rows, self._rows = self._rows, []
        aside, self._aside = self._aside, []
        faults, self._faults = self._faults, []
        taken: list[GameLog] = []

        def take() -> GameLog:
            taken.append(self._log.take(faults))
            return taken[0]

        if await self._outbox.put(Write(rows, predictions, models, aside, self.session), take):
            self.predictions += len(predictions)
            self._committed = None if self.session is None else self.session.committed
            return
        # Lost are what was played, and its faults; what else happened, and who is there now, can be told later.
        for log in taken:
            self._log.give_back(replace(log, faults=()))
        self._forget_what_is_known(models, before)
        if self.session is not None:
            self.session = replace(self.session, committed=self._committed)

    async def save_models(self) -> None:
        """Store the models' states only: what waits for its slot is left to that one's transaction."""
        before, models = dict(self._known), self._changed_models()
        kept = False
        try:
            kept = await self._outbox.put(Write(models=models))
        finally:
            if not kept:
                self._forget_what_is_known(models, before)

    async def save_log(self) -> None:
        """Store what happened since the last write, where nothing was played."""
        await self._outbox.put(Write(), self._log.take)

    def _forget_what_is_known(self, models: Sequence[ModelRecord], before: Mapping[str, ModelRecord]) -> None:
        """Let the states of models that could not be stored be stored later."""
        for model in models:
            self._known.pop(model.model_id, None)
            if model.model_id in before:
                self._known[model.model_id] = before[model.model_id]

    def _changed_models(self) -> list[ModelRecord]:
        """The records that are not as they were stored: those of models that have left, too."""
        records = {
            model.id: ModelRecord(model.id, model.name, model.deployment_id, str(model.state), model.health.reason)
            for model in self._runner.models.values()
        }
        for gone in self._known.keys() - records.keys():
            if self._known[gone].state != State.STOPPED:  # it stays so, should it come back
                records[gone] = replace(self._known[gone], state=str(State.LEFT), reason=None)
        changed = [record for model_id, record in records.items() if self._known.get(model_id) != record]
        self._known.update(records)
        return changed

    # Rows.

    async def _tell_row(self, row: Row) -> None:
        self.history.append(row)
        self._rows.append(row)
        if self._game.tick is not None:
            arguments = self._hooks.tick_arguments(row)
            if arguments is not None:
                await self._tick(arguments, row.time)
        self.ticks += 1
        if self._game.history is not None:
            self.history.forget(row.time - self._game.history)

    def _keep(self, row: Row) -> None:
        """Keep a row that came too late to be told, unless it is a repetition: many feeds repeat their last rows."""
        told = self.history.at(row.time)
        is_told = told is not None and told.time == row.time
        known = self._kept.pop(row.time, told if is_told else None)
        if known != row:
            self._rows.append(row)
            self._tell(RowKept(row.time, is_correction=known is not None))
        self._kept[row.time] = row
        if len(self._kept) > _MAX_KEPT:
            del self._kept[next(iter(self._kept))]

    async def _tick(self, arguments: Sequence[Any], at: datetime) -> None:
        method = self._game.tick_method
        extras = self._hooks.extras(method, self._runner.models.values(), at, arguments)
        chosen = None if extras is None else _without(extras.failed)
        try:
            told = await self._runner.call(method, *arguments, models=chosen, per_model=_given(extras))
        except ContractError as error:  # they cannot be sent: nobody was told
            if self._hooks.is_first:
                raise
            self._hooks.failed("tick", at, error)
        else:
            self._tell(TickPlayed(at, told))
            for outcome in told.values():
                self._faults += fault_of_call(outcome, "tick", at)

    # Slots.

    async def _play(self, slot: Play, now: datetime) -> None:
        """Ask for all predictions of a slot at once, and store the answers."""
        calls: list[tuple[Ask, MethodCall]] = []
        failed: dict[str, str] = {}
        record = self.recorded.of(slot.at) if self.recorded is not None else None
        for ask in map(self._asks.__getitem__, slot.keys):
            arguments = self._hooks.arguments(ask, self.history.latest, slot.at)
            if arguments is None:
                self.missed += 1
                continue
            if record is not None:
                extras: Extras | None = Extras(record.extras(ask.key, arguments))
            else:
                extras = self._hooks.extras(ask.method.name, self._runner.models.values(), slot.at, kwargs=arguments)
            failed |= {} if extras is None else extras.failed
            check = partial(self._game.check_answer, ask=ask, arguments=arguments)
            call = MethodCall(ask.method.name, kwargs=arguments, key=ask.key, per_model=_given(extras), check=check)
            calls.append((ask, call))
        chosen = _without(failed) if record is None else record.asks
        asked_at = datetime.now(UTC) if self.session is None else now
        try:
            rounds = await self._runner.batch([call for _, call in calls], models=chosen) if calls else []
        except ContractError as error:  # they are too large to be sent: nobody was asked
            if self._hooks.is_first:
                raise
            self._hooks.failed("an argument", slot.at, error)
            self.missed += len(calls)
            calls, rounds = [], []
        predictions: list[Prediction] = []
        for (ask, call), played in zip(calls, rounds, strict=True):
            self._count(ask, slot, now, played)
            outcomes = [*played.values(), *self._not_asked(ask, failed)]
            nobodys = is_field_fault((outcome.status.kind for outcome in played.values()), self._game.policy)
            made = [self._prediction(ask, call, slot.at, asked_at, outcome, nobodys) for outcome in outcomes]
            made = made if record is None else [*map(record.deployed, made)]
            for outcome, prediction in zip(outcomes, made, strict=True):
                self._faults += fault_of_call(outcome, ask.key, slot.at, prediction)
            predictions += made if record is None else [*made, *record.skipped(ask.key)]
        if self.session is not None:
            self.session = replace(self.session, committed=max(slot.at, self.session.committed or slot.at))
        await self.save(predictions, now)

    def _count(self, ask: Ask, slot: Play, now: datetime, played: Round) -> None:
        self.rounds += 1
        if self.session is not None and now > slot.by:
            self.late += 1
            self._tell(RoundLate(ask.key, slot.at, (now - slot.at).total_seconds()))
        self._tell(RoundPlayed(ask.key, slot.at, played))

    def _not_asked(self, ask: Ask, failed: Mapping[str, str]) -> list[Outcome]:
        """The outcomes of those whose arguments could not be made."""
        models = [self._runner.models[model_id] for model_id in failed if model_id in self._runner.models]
        return [
            Outcome(
                model.id,
                model.deployment_id,
                ask.method.name,
                Status.SKIPPED,
                None,
                Fault("per_model", f"the game's per_model raised {failed[model.id]}"),
                0.0,
                self._game.policy.budget(ask.method.name),
                excused=True,
            )
            for model in models
        ]

    def _prediction(
        self, ask: Ask, call: MethodCall, at: datetime, asked_at: datetime, outcome: Outcome, nobodys: bool
    ) -> Prediction:
        """What is stored of an outcome; `nobodys` if the game is at fault for those that failed."""
        model = self._runner.models.get(outcome.model_id)
        extra = call.per_model(model) if call.per_model is not None and model is not None else {}
        seen = self.history.latest
        return Prediction(
            model_id=outcome.model_id,
            deployment_id=outcome.deployment_id,
            key=ask.key,
            at=at,
            resolves_at=at + timedelta(seconds=ask.horizon),
            horizon=ask.horizon,
            arguments={**call.kwargs, **extra},
            status=outcome.status,
            value=outcome.value,
            error=None if outcome.error is None else outcome.error.message,
            elapsed=outcome.elapsed,
            asked_at=asked_at,
            seen=None if seen is None else seen.time,
            excused=outcome.excused or (nobodys and outcome.status is not Status.OK),
        )


def _given(extras: Extras | None) -> PerModel | None:
    """What gives a runner the keyword arguments of each model."""
    return None if extras is None else lambda model: extras.given.get(model.id, {})


def _without(failed: Mapping[str, str]) -> Selection | None:
    """All models but these."""
    return (lambda model: model.id not in failed) if failed else None
