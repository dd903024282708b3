"""What type checkers know of the public face. Never run: mypy reads it, and tells an ignore that is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import crunch_game
from crunch_game import (
    Backtest,
    Game,
    MemoryStore,
    MethodCall,
    ModelRunner,
    Round,
    Store,
    Submission,
    TrackerBase,
    open_store,
)
from crunch_game.ranking import Board
from crunch_game.sources import Source


def names_are_known(game: Game) -> None:
    assert_type(crunch_game.backtest(game, [TrackerBase]), Backtest)
    assert_type(open_store("memory:"), Store)
    assert_type(MemoryStore(), crunch_game.MemoryStore)
    assert_type(crunch_game.Policy().timeout, float)
    assert_type(Board, type[crunch_game.Board])


def names_that_are_not_there_are_told() -> None:
    crunch_game.Modelrunner  # type: ignore[attr-defined]  # noqa: B018
    crunch_game.scoring.Briar  # type: ignore[attr-defined]  # noqa: B018


def what_may_be_given_for_a_source_is_more_than_what_is_kept(source: Source) -> None:
    for given in (TrackerBase, Path("alice.py"), "mygame.examples:Steady", "10.0.0.3:50051", source):
        assert_type(Submission("alice", given).source, Source)
    Submission("alice", 3)  # type: ignore[arg-type]


def errors_and_events_stand_apart() -> None:
    error: type[crunch_game.CrunchGameError] = crunch_game.ModelUnavailable
    error = crunch_game.ModelStopped  # type: ignore[assignment]
    assert error


async def rounds_are_rounds(models: list[type]) -> None:
    async with ModelRunner(TrackerBase, models) as runner:
        assert_type(await runner.predict("BTC"), Round)
        assert_type(await runner.batch([MethodCall("predict", ["BTC"], key="btc")]), list[Round])
