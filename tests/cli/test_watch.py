"""What is printed above the table of a game that runs."""

from __future__ import annotations

import pytest
import walk

from crunch_game import LoopBlocked, RoundsMissed
from crunch_game.cli._output import screen
from crunch_game.cli.playing import Watch


@pytest.mark.parametrize("event", [LoopBlocked(0.4), RoundsMissed("predict", walk.rows()[0].time, 2)], ids=type)
def test_what_costs_history_nothing_is_news_of_a_live_game_only(event):
    for live in (True, False):
        with screen.capture() as captured:
            Watch(walk.game(), None, live=live).hear(event)
        assert bool(captured.get()) is live
