"""An answer that takes more bytes than the game keeps is INVALID, and why: live, in its replay and in a backtest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from virtual import Coming, Scripted, VirtualClock

from crunch_game import Game, MemoryStore, Policy, Predict, Prediction, PredictWorker, Row, Status, Store, backtest
from crunch_game.errors import GameError
from crunch_game.events import RoundPlayed
from crunch_game.feeds import ReplayFeed

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ROWS = [Row(T0 + 10 * n * SECOND, {"n": float(n)}, T0 + 10 * n * SECOND) for n in range(6)]


class Talker:
    def tick(self, data: dict[str, float]) -> None: ...

    def predict(self, asset: str) -> str: ...


class Growing(Talker):
    """Its answers have 8, 9, 10, ... bytes as JSON: two quotes, and é is two bytes."""

    def tick(self, data: dict[str, float]) -> None:
        self.n = int(data["n"])

    def predict(self, asset: str) -> str:
        return "é" * 3 + "x" * self.n


def game(**options: Any) -> Game:
    given: dict[str, Any] = {
        "name": "talk",
        "tracker": Talker,
        "predictions": [Predict(every=10, horizon=10, asset="a")],
        "resolve": lambda prediction, history: None,
        "score": lambda prediction, outcome: 0.0,
        "policy": Policy(timeout=1.0, max_consecutive_failures=0),
        "max_answer_bytes": 10,
        "host": "inline",
    }
    return Game(**given | options)


def told(store: Store) -> list[Prediction]:
    return [replace(each, elapsed=0.0, asked_at=None) for each in store.predictions()]


@pytest.mark.anyio
async def test_live_replayed_and_in_a_backtest_the_same_answers_are_too_long():
    store, kept, clock, heard = MemoryStore(), MemoryStore(), VirtualClock(T0), []
    feed = Scripted(clock, [Coming(row, row.time) for row in ROWS], ROWS[-1].time + 5 * SECOND, has_past=False)
    worker = PredictWorker(game(feed=feed), [Growing], store, clock=clock, on_event=heard.append)
    async with clock.moving():
        with anyio.fail_after(30):
            await worker.run()
    await PredictWorker(game(feed=ReplayFeed(store)), [Growing], kept).run()
    history = backtest(game(feed=ReplayFeed(ROWS)), [Growing])

    live = told(store)
    assert [each.status for each in live] == [Status.OK] * 3 + [Status.INVALID] * 3
    assert [each.value for each in live] == ["ééé", "éééx", "éééxx", None, None, None]
    assert live[3].error == (
        "the answer does not fit predict's contract: it takes 11 bytes as JSON, and the game keeps at most 10"
    )
    assert told(kept) == live
    assert told(history.store) == [replace(each, seen=each.at) for each in live] == live
    outcomes = [event.round["Growing"].status for event in heard if isinstance(event, RoundPlayed)]
    assert outcomes == [each.status for each in live], "who listens hears what is stored"


def test_it_is_a_failure_as_any_other():
    """A model that answers with too much each time is stopped."""
    found = backtest(
        game(feed=ReplayFeed(ROWS), max_answer_bytes=1, policy=Policy(max_consecutive_failures=3)), Growing
    )
    assert [each.status for each in found.stored_predictions()] == [Status.INVALID] * 3 + [Status.SKIPPED] * 3
    [failed, *_] = found.faults
    assert (failed.count, failed.message) == (
        3,
        "the answer does not fit predict's contract: it takes 8 bytes as JSON, and the game keeps at most 1",
    )


def test_by_default_a_thousand_paths_of_a_day_fit():
    """288 steps of five minutes, with all their digits."""
    described = game(max_answer_bytes=Game.__init__.__kwdefaults__["max_answer_bytes"])
    paths = [[63_012.123_456_789 + n / 7 for n in range(288)] for _ in range(1_000)]
    described.check_answer(paths, described.asks[0], {})
    with pytest.raises(
        ValueError, match=r"^it takes 1\d,\d{3},\d{3} bytes as JSON, and the game keeps at most 8,388,608$"
    ):
        described.check_answer(paths * 2, described.asks[0], {})


@pytest.mark.parametrize("given", [0, -1, 1.5, "8 MiB", True])
def test_what_is_no_number_of_bytes_is_refused(given):
    with pytest.raises(GameError) as caught:
        game(max_answer_bytes=given)
    assert str(caught.value) == (
        f"max_answer_bytes is {given!r}; give a number of bytes, for example max_answer_bytes=1_000_000"
    )
