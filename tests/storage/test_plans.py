"""No query of a store reads a whole table, however long the game has been played: as the databases themselves say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from crunch_game.feeds.base import Row
from crunch_game.outcomes import Status
from crunch_game.storage import (
    Correction,
    DeploymentRecord,
    EventRecord,
    FaultRecord,
    GameLog,
    Lease,
    ModelRecord,
    Prediction,
    PruneBounds,
    PublishedBoard,
    Score,
    ScoredRound,
    Session,
    SQLStore,
    Store,
)
from crunch_game.storage._corrections import KeepsCorrections
from crunch_game.storage._log import KeepsLog
from crunch_game.storage._pruning import Prunes
from crunch_game.storage.exporting import Streams

T0 = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROUNDS, MODELS = 600, 40
END = T0 + (ROUNDS + 1) * MINUTE
NEAR_THE_END = END - 5 * MINUTE
OLD = PruneBounds(T0 + MINUTE, T0, T0)
"""Nothing is: so all is looked for."""

BIG = {"rows", "predictions", "scores", "rounds", "known_rounds", "events", "faults", "former_scores", "published"}
"""The tables that grow with time."""
SMALL = {"scores_without_value"}
"""The indexes that have but what is asked for."""
ALL_IS_ASKED_FOR = {("predictions of one model, ever", "known_rounds"), ("former_scores", "former_scores")}


def asked(n: int, model: int) -> Prediction:
    """One in twenty has not answered, and half of these are excused."""
    at, failed = T0 + n * MINUTE, (n + model) % 20 == 0
    return Prediction(
        f"m{model:02}", "d1", "BTC", at, at + MINUTE, 60.0,
        status=Status.TIMEOUT if failed else Status.OK, value=None if failed else {"loc": 0.0, "scale": 1.5},
        excused=failed and model % 2 == 0,
    )  # fmt: skip


def score_of(each: Prediction, n: int) -> Score:
    """One round in a hundred is set aside."""
    aside = n % 100 == 0
    value, reason = (None, "no price") if aside else (0.5, None)
    return Score(each.model_id, each.key, each.at, each.resolves_at, value, reason=reason)


FACTS = {f"metric {n}": {"entry": 0.5, "answers": 38, "usual": 0.25, "unit": 0.25, "absence": -2.0} for n in range(9)}


def round_of(at: datetime) -> ScoredRound:
    return ScoredRound("BTC", at, at + MINUTE, 60.0, {"asset": "BTC"}, 38, FACTS)


def log_of(n: int) -> GameLog:
    """Of one minute: a row was told, a round was played, and a model failed in it; every tenth was started again."""
    at = T0 + n * MINUTE
    told = [EventRecord(at, "w", "TickPlayed", ""), EventRecord(at + MINUTE / 2, "w", "RoundPlayed", "")]
    who = f"m{n % MODELS:02}"
    fault = FaultRecord(who, "BTC", at, "d1", Status.RAISED, "ValueError", "no", "a traceback, of some length" * 20)
    restarted = [] if n % 10 else [EventRecord(at + MINUTE / 3, "w", "ModelRestarted", "", who)]
    return GameLog([*told, *restarted], [fault])


@pytest.fixture
def store(url: str) -> Iterator[SQLStore]:
    """A store of a game that has been played for long; all but the last rounds are scored."""
    with SQLStore(url) as opened:
        for first in range(0, ROUNDS, 100):
            some = range(first, first + 100)
            new = [asked(n, model) for n in some for model in range(MODELS)]
            opened.save([Row(T0 + n * MINUTE, {"BTC": 1.0}, T0 + n * MINUTE) for n in some], new)
            for n in some:
                opened.save(log=log_of(n))
            settled = [each for each in new if each.at < T0 + (ROUNDS - 5) * MINUTE]
            scores = [score_of(each, (each.at - T0) // MINUTE) for each in settled if each.status is Status.OK]
            opened.settle(scores, [round_of(at) for at in {each.at for each in settled}])
            opened.amend(1, [(score, score) for score in scores])
            for n in some:
                opened.publish(
                    [PublishedBoard(T0 + n * MINUTE, "main", T0 + n * MINUTE, {"leaderboard": ["ada"] * 40})]
                )
        yield opened


LEASE = Lease("predict", "t", "alpha", 1, T0, T0)
LATER = Prediction("m99", "d1", "BTC", END, END + MINUTE, 60.0, value=1)
USES: dict[str, Callable[[Store], object]] = {
    "save": lambda s: s.save(
        [Row(END, {}, END)],
        [LATER],
        [ModelRecord("m01", "", "", "")],
        session=Session(1, END, END),
        log=GameLog(log_of(ROUNDS).events, log_of(ROUNDS).faults, [DeploymentRecord("m01", "d1", T0)]),
    ),
    "events": lambda s: s.events(2 * ROUNDS),
    "events, since": lambda s: s.events(since=NEAR_THE_END),
    "events, the last": lambda s: s.events(last=1),
    "events of note": lambda s: s.events(2 * ROUNDS, each_time=False),
    "events of note, since": lambda s: s.events(since=NEAR_THE_END, each_time=False),
    "events of one model": lambda s: s.events(model_id="m10"),
    "events of one model, since": lambda s: s.events(since=NEAR_THE_END, model_id="m10", each_time=False),
    "faults": lambda s: s.faults(NEAR_THE_END),
    "faults of one model": lambda s: s.faults(model_id="m10"),
    "deployments": lambda s: s.deployments(),
    "settle": lambda s: s.settle([score_of(asked(ROUNDS - 1, 3), 1)], [ScoredRound("BTC", END, END, 60.0)]),
    "reopen": lambda s: s.reopen("no price"),
    "last_row": lambda s: s.last_row(),
    "rows": lambda s: s.rows(NEAR_THE_END),
    "arrivals": lambda s: s.arrivals(ROUNDS - 5),
    "sessions": lambda s: s.sessions(),
    "lease": lambda s: s.lease("predict"),
    "swap_lease": lambda s: s.swap_lease("predict", None, LEASE),
    "pending": lambda s: s.pending(END),
    "unanswered": lambda s: s.unanswered(NEAR_THE_END, END),
    "unanswered, ever": lambda s: s.unanswered(None, T0 + 5 * MINUTE),
    "predictions": lambda s: s.predictions(NEAR_THE_END),
    "predictions of one model": lambda s: s.predictions(END - 60 * MINUTE, model_id="m07"),
    "predictions of one model, ever": lambda s: s.predictions(model_id="m07"),
    "scores": lambda s: s.scores(NEAR_THE_END),
    "scores of one model": lambda s: s.scores(END - 60 * MINUTE, model_id="m07"),
    "stream": lambda s: [
        list(s.stream(what, NEAR_THE_END, END, key="BTC")) for what in ("predictions", "scores", "rounds")
    ],
    "stream of rows": lambda s: list(s.stream("rows", NEAR_THE_END, END)),
    "stream of one model": lambda s: list(s.stream("predictions", END - 60 * MINUTE, END, model_id="m07", key="BTC")),
    "rounds": lambda s: list(s.rounds(END - 10 * MINUTE)),
    "past_rounds": lambda s: next(iter(s.past_rounds("BTC", T0 + 20 * MINUTE, least=0))),
    "resolving": lambda s: s.resolving(NEAR_THE_END, END),
    "resolving, ever": lambda s: s.resolving(),
    "excused": lambda s: s.excused(NEAR_THE_END),
    "last_rounds": lambda s: s.last_rounds(),
    "first_rounds": lambda s: s.first_rounds(),
    "first_answers": lambda s: s.first_answers(),
    "models": lambda s: s.models(),
    "note": lambda s: s.note("game", {"name": "walk"}),
    "noted": lambda s: s.noted("game"),
    "correct": lambda s: s.correct(Correction(T0, "w", "void", "ada", "it is odd")),
    "corrections": lambda s: s.corrections(1),
    "amend": lambda s: s.amend(
        1,
        [(score_of(asked(20, 1), 20), None), *((None, score_of(asked(30, model), 30)) for model in range(MODELS))],
        [round_of(T0 + 30 * MINUTE)],
        note=("carried", {"number": 1}),
    ),
    "former_scores": lambda s: s.former_scores(1),
    "former_scores of one model": lambda s: s.former_scores(1, model_id="m10"),
    "publish": lambda s: s.publish([PublishedBoard(END, "main", END, {})]),
    "published": lambda s: [s.published(), s.published(NEAR_THE_END), s.published(at=NEAR_THE_END)],
    "arriving": lambda s: list(s.arriving(ROUNDS - 5)),
    "due": lambda s: list(s.due(NEAR_THE_END, END)),
    "pending_count": lambda s: s.pending_count(END),
    "prune": lambda s: s.prune(OLD),
    "prunable": lambda s: s.prunable(OLD),
    "give_back": lambda s: s.give_back(),
    "looked_up_from": lambda s: s.looked_up_from(NEAR_THE_END, 2 * MINUTE),
}


def test_every_method_of_a_store_is_looked_at() -> None:
    methods = {
        name
        for each in (KeepsLog, KeepsCorrections, Prunes, Store, Streams)
        for name, value in vars(each).items()
        if callable(value) and not name.startswith("_")
    }
    assert {name.partition(" ")[0].rstrip(",") for name in USES} == methods - {"close", "to_frame"}


@pytest.mark.slow
def test_no_query_reads_a_whole_table(store: SQLStore, url: str) -> None:
    explain = Explainer(store) if url.startswith("sqlite") else PostgresExplainer(store)
    for is_analysed in (False, True):  # SQLite does it for whoever asks only, PostgreSQL by and by
        if is_analysed:
            with store._writing() as connection:
                connection.exec_driver_sql("ANALYZE")
        whole: dict[str, set[str]] = {}
        for name, use in USES.items():
            with explain.listening() as statements:
                use(store)
            assert statements, name
            scans = {scan for statement in statements for scan in explain.scans(*statement)}
            if found := {
                scan for scan in scans if not any(name == use and table in scan for use, table in ALL_IS_ASKED_FOR)
            }:
                whole[name] = found
        assert whole == {}, is_analysed
    assert store.predictions(model_id="m07") == [asked(n, 7) for n in range(ROUNDS)]


@pytest.mark.slow
def test_a_query_that_reads_a_whole_table_is_found(store: SQLStore, url: str) -> None:
    explain = Explainer(store) if url.startswith("sqlite") else PostgresExplainer(store)
    for statement in (
        "SELECT * FROM predictions WHERE model_id = 'm07'",
        "SELECT * FROM predictions WHERE horizon < 7 ORDER BY at, key, model_id",
        "UPDATE scores SET reason = NULL WHERE reason = 'no price'",
    ):
        assert explain.scans(statement, ()), statement


class Explainer:
    """Asks SQLite how it finds what statements ask for."""

    def __init__(self, store: SQLStore) -> None:
        self._store = store

    @contextmanager
    def listening(self) -> Iterator[list[tuple[str, Any]]]:
        """Collect the statements of the body, those that are not SQLAlchemy's too."""
        found: list[tuple[str, Any]] = []
        with self._store._reading() as connection:
            raw: Any = connection.connection.dbapi_connection
        raw.set_trace_callback(lambda statement: found.append((statement, ())))
        try:
            yield found
        finally:
            raw.set_trace_callback(None)

    def scans(self, statement: str, parameters: object) -> list[str]:
        """Say which of the big tables a statement reads whole."""
        if statement.split()[0] in ("BEGIN", "COMMIT", "ROLLBACK", "--"):
            return []
        with self._store._reading() as connection:
            raw: Any = connection.connection.dbapi_connection
            plan = [row[1::2] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")]
        sorts = {parent for parent, step in plan if step == "USE TEMP B-TREE FOR ORDER BY"}
        takes_first = " LIMIT 1 " in f"{' '.join(statement.split())} "
        scans = [(parent, step.split()) for parent, step in plan if step.startswith("SCAN ")]
        return [
            " ".join(words)
            for parent, words in scans
            if words[1] in BIG and words[-1] not in SMALL and not (takes_first and parent not in sorts)
        ]


LEADING = f"""
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid, 1, true) FROM pg_index
WHERE indrelid = ANY(ARRAY{sorted(BIG)}::regclass[])
"""
"""The first column of every index of a big table."""


class PostgresExplainer(Explainer):
    """Asks PostgreSQL."""

    @contextmanager
    def listening(self) -> Iterator[list[tuple[str, Any]]]:
        """Collect the statements of the body."""
        found: list[tuple[str, Any]] = []

        def note(
            connection: object, cursor: object, statement: str, parameters: Any, context: object, many: bool
        ) -> None:
            found.append((statement, parameters[0] if many else parameters))

        engine = self._store._database._engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            event.remove(engine, "before_cursor_execute", note)

    def scans(self, statement: str, parameters: object) -> list[str]:
        """Say which of the big tables a statement reads whole: row by row, or all of an index."""
        if "set_config" in statement or statement.startswith("CREATE"):
            return []
        with self._store._writing() as connection:
            connection.exec_driver_sql(
                "CREATE TEMP TABLE IF NOT EXISTS settled ON COMMIT DELETE ROWS AS"
                " SELECT at, key, model_id FROM predictions WITH NO DATA"
            )
            raw: Any = connection.connection.cursor()
            [(found,)] = raw.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchall()
            leading = dict(raw.execute(LEADING))
        [plan] = json.loads(found) if isinstance(found, str) else found
        return [*_whole(plan["Plan"], leading, limited=False)]


def _whole(plan: dict[str, Any], leading: dict[str, str], *, limited: bool) -> Iterator[str]:
    """Yield what is read whole; an index is, unless its first column is asked for.

    Args:
        plan: A step, and those that it is made of.
        leading: The first column of every index of a big table.
        limited: Whether only its first rows are taken.
    """
    kind, index = plan["Node Type"], plan.get("Index Name")
    if kind == "Seq Scan" and plan["Relation Name"] in BIG:
        yield f"{kind} of {plan['Relation Name']}"
    if index in leading and index not in SMALL and not limited and leading[index] not in plan.get("Index Cond", ""):
        yield f"{kind} of {index}: {plan.get('Index Cond')}"
    limited = kind == "Limit" or (limited and kind != "Sort")
    for part in plan.get("Plans", ()):
        yield from _whole(part, leading, limited=limited)
