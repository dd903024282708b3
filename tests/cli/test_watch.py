"""What is printed above the table of a game that runs."""

from __future__ import annotations

import anyio
import pytest
import walk

from crunch_game import LoopBlocked, MemoryStore, RoundsMissed
from crunch_game.cli._output import screen
from crunch_game.cli.playing import Watch
from crunch_game.cli.playing._score_watch import ScoreWatch
from crunch_game.sync import run_game
from crunch_game.workers import score_game


@pytest.mark.parametrize("event", [LoopBlocked(0.4), RoundsMissed("predict", walk.rows()[0].time, 2)], ids=type)
def test_what_costs_history_nothing_is_news_of_a_live_game_only(event):
    for live in (True, False):
        with screen.capture() as captured:
            Watch(walk.game(), None, live=live).hear(event)
        assert bool(captured.get()) is live


def test_while_a_game_is_scored_its_boards_are_shown_and_how_many_wait():
    def resolve(prediction, history):
        if prediction.at.hour == 3:
            raise KeyError("no truth")
        return None if prediction.at.hour == 20 else walk.truth(prediction, history)

    played, store = walk.game(resolve=lambda prediction, history: None), MemoryStore()
    run_game(played, ["walk:Mean", "walk:Last"], store=store, host="inline")
    game = walk.game(resolve=resolve)
    watch = ScoreWatch(game)
    with screen.capture() as captured:
        screen.print(watch._render())
        result = anyio.run(lambda: score_game(game, store, once=True, on_event=watch.hear, on_start=watch.begin))
        screen.print(watch._render())
    shown = captured.get()
    assert shown.startswith("waiting for the first rows\n")
    assert "8 predictions could not be scored, and more may follow: resolve raised KeyError: 'no truth'" in " ".join(
        shown.split()
    )
    assert "walk: the leaderboard" in shown
    [last] = " ".join(shown.split()).rsplit("rows up to ", 1)[1:]
    counts = f"{result.scored} predictions scored, {sum(result.set_aside.values())} set aside"
    assert last == (f"2024-01-03 06:00:00 UTC: {counts}, {result.waiting} past their horizon wait for their outcome")
    assert result.scored > result.waiting > 0
