"""Any history of writes leaves a store with what a few plain dicts have after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from crunch_game._status import Status
from crunch_game.feeds.base import Row
from crunch_game.storage import PruneBounds
from crunch_game.storage.base import Arrival, Lease, ModelRecord, Prediction, Score, ScoredRound, Session, Store
from crunch_game.testing.suites._records import T0

times = st.integers(-3, 6).map(lambda n: T0 + n * timedelta(microseconds=1))
names = st.sampled_from(["a", "b", "é", "Z"])
values = st.none() | st.floats(allow_nan=False) | st.lists(st.integers() | st.none(), max_size=2)
order = attrgetter("resolves_at", "at", "key", "model_id")

rows = st.builds(Row, times, st.dictionaries(names, values, max_size=2), st.none() | times)
sessions = st.builds(Session, st.integers(1, 3), times, times, st.none() | times)
leases = st.builds(Lease, st.just("predict"), names, names, st.integers(1, 3), times, times, st.none() | names)
models = st.builds(ModelRecord, names, names, names, st.just("ready"), st.none() | names)
asked = st.builds(
    Prediction,
    model_id=names, deployment_id=names, key=names, at=times, resolves_at=times, horizon=st.just(60.0),
    arguments=st.just({"asset": "BTC"}), status=st.sampled_from([Status.OK, Status.OK, Status.DIED]),
    value=values, error=st.none() | names, elapsed=st.just(0.5), asked_at=st.none() | times, seen=st.none() | times,
    excused=st.booleans(),
)  # fmt: skip
predictions = asked.map(lambda each: replace(each, excused=each.excused and each.status is not Status.OK))
scores = st.builds(
    Score, names, names, times, times, st.none() | st.floats(allow_nan=False, allow_infinity=False), values
)
rounds = st.builds(ScoredRound, names, times, times, st.just(60.0), st.just({"asset": "BTC"}), st.integers(0, 2))


def identity(record: Any) -> tuple[str, str, datetime]:
    return (record.model_id, record.key, record.at)


def when(row: Row) -> datetime:
    """For sorting by arrival: before all others, those of which it is not known."""
    return row.arrived or T0 - timedelta(days=1)


def whole(row: Row | None) -> Any:
    """All of a row: to `==`, rows are the same whenever they arrived."""
    return row and (row.time, row.data, row.arrived)


def whole_arrivals(arrivals: list[Arrival]) -> list[Any]:
    return [(whole(each.row), each.session, each.aside) for each in arrivals]


class AnyHistory(RuleBasedStateMachine):
    """A store, and what it should have."""

    def __init__(self, opener: Callable[[], Store], lasts: bool) -> None:
        super().__init__()
        self.opener = opener
        self.lasts = lasts
        self.store = opener()
        self.arrivals: list[Arrival] = []
        self.numbered: dict[int, Any] = {}
        """What has had each number."""
        self.sessions: dict[int, Session] = {}
        self.lease: Lease | None = None
        self.models: dict[str, ModelRecord] = {}
        self.predictions: dict[Any, Prediction] = {}
        self.scores: dict[Any, Score] = {}
        self.rounds: dict[Any, ScoredRound] = {}

    @rule(rows=st.lists(rows, max_size=3), new=st.lists(predictions, max_size=4), models=st.lists(models, max_size=2))
    def save(self, rows: list[Row], new: list[Prediction], models: list[ModelRecord]) -> None:
        self.store.save(rows, new, models)
        self.arrive([Arrival(row) for row in rows])
        for prediction in new:
            self.predictions.setdefault(identity(prediction), prediction)
        self.models.update((model.model_id, model) for model in models)

    @rule(rows=st.lists(rows, max_size=2), aside=st.lists(rows, max_size=2), session=st.none() | sessions)
    def play(self, rows: list[Row], aside: list[Row], session: Session | None) -> None:
        """Rows of one session, some of which are set aside."""
        rows, aside = sorted(rows, key=when), sorted(aside, key=when)
        self.store.save(rows, aside=[(row, "it is odd") for row in aside], session=session)
        number = None if session is None else session.number
        told, odd = [Arrival(row, number) for row in rows], [Arrival(row, number, "it is odd") for row in aside]
        self.arrive(sorted(told + odd, key=lambda arrival: when(arrival.row)))
        if session is not None:
            self.sessions[session.number] = session

    def arrive(self, arrivals: list[Arrival]) -> None:
        for arrival in arrivals:
            row = arrival.row
            if all((row.time, row.arrived) != (each.row.time, each.row.arrived) for each in self.arrivals):
                self.arrivals.append(arrival)

    def rows_since(self, since: datetime | None = None) -> list[Row]:
        """Of each time the last that arrived, without those set aside."""
        told = {each.row.time: each.row for each in self.arrivals if each.aside is None}
        return [told[time] for time in sorted(told) if since is None or time >= since]

    @rule(before=st.none() | leases, after=st.none() | leases)
    def swap_any(self, before: Lease | None, after: Lease | None) -> None:
        """Nobody gets the lease with what he only believes to be there."""
        assert self.store.swap_lease("predict", before, after) == (before == self.lease)
        if before == self.lease:
            self.lease = after

    @rule(after=st.none() | leases)
    def swap(self, after: Lease | None) -> None:
        self.swap_any(self.lease, after)

    @rule(scores=st.lists(scores, max_size=3), rounds=st.lists(rounds, max_size=2))
    def settle(self, scores: list[Score], rounds: list[ScoredRound]) -> None:
        self.store.settle(scores, rounds)
        self.rounds.update(((each.key, each.at), each) for each in rounds)
        for score in scores:
            self.scores.setdefault(identity(score), score)

    @rule(count=st.integers(1, 3))
    def settle_what_is_pending(self, count: int) -> None:
        due = self.due(T0 + timedelta(days=1))[:count]
        self.settle([Score(p.model_id, p.key, p.at, p.resolves_at, 1.0) for p in due], [])

    @precondition(lambda self: self.store.prunes)
    @rule(before=times)
    def prune_rows(self, before: datetime) -> None:
        while self.store.prune(PruneBounds(rows=before), most=2):
            pass
        self.arrivals = [each for each in self.arrivals if each.row.time >= before]

    @precondition(lambda self: self.lasts)
    @rule()
    def close_and_open(self) -> None:
        """It is all there again."""
        self.store.close()
        self.store = self.opener()

    def due(self, until: datetime) -> list[Prediction]:
        open_ones = (p for name, p in self.predictions.items() if p.status is Status.OK and name not in self.scores)
        return sorted((p for p in open_ones if p.resolves_at <= until), key=order)

    @invariant()
    def same_everywhere(self) -> None:
        asked = self.predictions.values()
        rows = self.rows_since()
        assert list(map(whole, self.store.rows())) == list(map(whole, rows))
        assert whole(self.store.last_row()) == (whole(rows[-1]) if rows else None)
        assert self.store.sessions() == [self.sessions[number] for number in sorted(self.sessions)]
        assert (self.store.lease("predict"), self.store.lease("score")) == (self.lease, None)
        assert self.store.models() == [self.models[name] for name in sorted(self.models)]
        assert self.store.predictions() == sorted(asked, key=order)
        assert self.store.scores() == sorted(self.scores.values(), key=order)
        rounds = sorted(self.rounds.values(), key=attrgetter("resolves_at", "at", "key"))
        assert [scored for scored, _ in self.store.rounds()] == rounds
        for scored, scores in self.store.rounds():
            of_it = [each for each in self.scores.values() if (each.key, each.at) == (scored.key, scored.at)]
            assert scores == [(e.model_id, e.value, e.kind, None) for e in sorted(of_it, key=attrgetter("model_id"))]
        assert self.store.pending(T0) == self.due(T0)
        assert self.store.pending(T0 + timedelta(days=1)) == self.due(T0 + timedelta(days=1))
        assert self.store.first_rounds() == {
            p.model_id: min(q.at for q in asked if q.model_id == p.model_id) for p in asked
        }
        assert self.store.last_rounds() == {p.key: max(q.at for q in asked if q.key == p.key) for p in asked}

    @invariant()
    def arrivals_keep_their_order_and_their_numbers(self) -> None:
        arrivals = self.store.arrivals()
        numbers = [number for number, _ in arrivals]
        assert whole_arrivals([arrival for _, arrival in arrivals]) == whole_arrivals(self.arrivals)
        assert numbers == sorted(set(numbers))
        assert all(number > 0 for number in numbers)
        new = {number: whole_arrivals([arrival]) for number, arrival in arrivals}
        known = self.numbered.keys() & new.keys()
        assert [self.numbered[number] for number in known] == [new[number] for number in known]
        assert min(new.keys() - known, default=max(self.numbered, default=0) + 1) > max(self.numbered, default=0)
        self.numbered |= new

    @rule(back=st.integers(0, 5))
    def arrivals_after(self, back: int) -> None:
        after = max(max(self.numbered, default=0) - back, 0)
        assert self.store.arrivals(after) == [
            (number, each) for number, each in self.store.arrivals() if number > after
        ]

    @rule(since=st.none() | times, model_id=names)
    def of_one_model(self, since: datetime | None, model_id: str) -> None:
        asked = [each for each in self.store.predictions(since) if each.model_id == model_id]
        assert self.store.predictions(since, model_id=model_id) == asked
        scored = [each for each in self.store.scores(since) if each.model_id == model_id]
        assert self.store.scores(since, model_id=model_id) == scored

    @rule(since=times)
    def since(self, since: datetime) -> None:
        assert list(map(whole, self.store.rows(since))) == list(map(whole, self.rows_since(since)))
        assert self.store.predictions(since) == [p for p in self.store.predictions() if p.resolves_at >= since]
        assert self.store.scores(since) == [s for s in self.store.scores() if s.resolves_at >= since]

    @rule(after=st.none() | times, until=times)
    def unanswered(self, after: datetime | None, until: datetime) -> None:
        failed = sorted((p for p in self.predictions.values() if p.status is not Status.OK), key=order)
        due = [p for p in failed if p.resolves_at <= until and (after is None or p.resolves_at > after)]
        assert self.store.unanswered(after, until) == due

    @invariant()
    def what_a_store_implements_is_what_the_protocol_makes_of_the_rest(self) -> None:
        store, until = self.store, T0 + timedelta(microseconds=3)
        assert whole(store.last_row()) == whole(Store.last_row(store))
        assert list(map(whole, store.rows(T0))) == list(map(whole, Store.rows(store, T0)))
        assert store.pending(until) == Store.pending(store, until)
        assert store.unanswered(T0, until) == Store.unanswered(store, T0, until)
        assert sorted(store.excused(T0)) == sorted(Store.excused(store, T0))
        assert store.last_rounds() == Store.last_rounds(store)
        assert store.first_rounds() == Store.first_rounds(store)
        assert store.first_answers() == Store.first_answers(store)
        for since in (None, T0 + timedelta(microseconds=1)):
            assert store.resolving(since, until) == Store.resolving(store, since, until)
            assert store.resolving(since) == Store.resolving(store, since)
        for key in ("a", "Z"):
            past = list(store.past_rounds(key, until, least=1))
            assert past == list(Store.past_rounds(store, key, until, least=1))

    def teardown(self) -> None:
        """Close the store."""
        self.store.close()


def check_any_history(places: Callable[[], Callable[[], Store]], *, lasts: bool) -> None:
    """Play histories, each with a store at a new place."""
    examples = max(settings().max_examples // 8, 5)
    slow = [HealthCheck.too_slow]  # how long a store takes is not what is tested
    how = settings(max_examples=examples, stateful_step_count=15, deadline=None, suppress_health_check=slow)

    class AtNewPlace(AnyHistory):
        def __init__(self) -> None:
            super().__init__(places(), lasts)

    run_state_machine_as_test(AtNewPlace, settings=how)
