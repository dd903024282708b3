"""A scorer that comes late, or has much to do at once, comes to what it would have come to step by step."""

from __future__ import annotations

from typing import Any

import pytest
import walk

from crunch_game import History, MemoryStore, Predict, Prediction, Row, ScoreWorker, Status

ROWS = [Row(walk.T0 + n * walk.HOUR, {"BTC": 100.0 + n}) for n in range(12)]


def a_while_after(prediction: Prediction, history: History) -> Any:
    """What it knows of the slot itself, three hours after the horizon."""
    latest = history.latest
    if latest is None or latest.time < prediction.resolves_at + 3 * walk.HOUR:
        return None
    row = history.first_from(prediction.at)
    return row and row.prices["BTC"]


def predicted() -> list[Prediction]:
    return [
        Prediction("Last", "1", "BTC", row.time, row.time + walk.HOUR, 3600.0, status=Status.OK, value=1.0)
        for row in ROWS
    ]


def game(**options: Any) -> Any:
    return walk.game(predictions=[Predict(every="1h", horizon="1h", asset="BTC")], **options)


@pytest.mark.parametrize("at_once", [2, 5, 12])
def test_what_resolve_sees_of_a_short_history_does_not_depend_on_the_steps(at_once):
    outcomes = []
    for count in (1, at_once):
        store = MemoryStore()
        store.save((), predicted())
        worker = ScoreWorker(game(history="2h", resolve=a_while_after), store)
        for start in range(0, len(ROWS), count):
            store.save(ROWS[start : start + count])
            worker.step()
        outcomes.append([(score.at, score.outcome, score.reason) for score in store.scores()])
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == 8


def test_the_board_is_noted_though_rows_have_come_since_the_step():
    store = MemoryStore()
    store.save(ROWS[:6], predicted()[:6])
    worker = ScoreWorker(game(), store)
    worker.step()
    store.save(ROWS[6:])
    assert worker.newest is not None
    worker.standings(worker.newest)
    noted = store.noted("leaderboard")
    assert noted is not None
    assert noted["at"] == ROWS[5].time.isoformat()
