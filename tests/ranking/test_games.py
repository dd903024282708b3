"""Boards of games that pay, beside figures of their own: smoothed means of a season, and boards that count answers."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crunch_game.ranking import Board, BoardRound, Boards, Last, Metric

T0 = datetime(2024, 1, 1, tzinfo=UTC)
GAMES: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "games.json").read_text(encoding="utf-8"))


def hour(number: int) -> datetime:
    return T0 + timedelta(hours=number)


@pytest.mark.parametrize("by_model", [False, True], ids=["one score for all absentees", "a score for each absentee"])
def test_a_season_of_weighted_rounds_in_which_newcomers_count_as_absent_before_their_first(by_model: bool) -> None:
    """Synth's validators: the smoothed score of each miner."""
    season = GAMES["season"]
    coefficients = season["coefficients"]
    board = Board(
        "smoothed", by="mean", newcomers="absent", windows={"all": "10d"}, weight=lambda r: coefficients[r.key], least=0
    )
    boards = Boards([board], {"crps": Metric(unit=None)})
    for prompt in season["prompts"]:
        scores = {str(miner): score for miner, score in zip(prompt["miners"], prompt["scores"], strict=True)}
        absent = {str(miner) for miner, crps in zip(prompt["miners"], prompt["crps"], strict=True) if crps is None}
        boards.put(
            BoardRound(
                prompt["asset"],
                hour(prompt["time"]),
                hour(prompt["time"] + 1),
                scores={"crps": {miner: score for miner, score in scores.items() if miner not in absent}},
                absences={"crps": {miner: scores[miner] for miner in absent}} if by_model else {},
                absent={"crps": prompt["p95"] - prompt["lowest"]},
            )
        )
    smoothed = {each.model_id: each.scores["all"] for each in boards.standings(hour(100))["smoothed"]}
    assert smoothed == {str(miner): pytest.approx(score, rel=1e-12) for miner, score in enumerate(season["smoothed"])}


def test_boards_that_count_a_models_last_answers() -> None:
    """Numinous: the mean of the last so many, for who has at least so many; those below stand at the bottom."""
    composite = GAMES["composite"]
    boards = Boards(
        [
            Board(
                each["name"],
                of=lambda r, name=each["name"]: r.key == name,  # type: ignore[misc]
                windows={"last": Last(each["most"])},
                least=each["least"],
                by="mean",
            )
            for each in composite["boards"]
        ],
        {"brier": Metric(unit=0.25)},
    )
    models = {each["model"] for each in composite["scores"]}
    rounds: dict[tuple[str, int], dict[str, float]] = {}
    for each in composite["scores"]:
        rounds.setdefault((each["board"], each["order"]), {})[each["model"]] = each["score"]
    for (key, order), scores in rounds.items():
        unasked = frozenset(models - scores.keys())
        boards.put(BoardRound(key, hour(order), hour(order + 1), scores={"brier": scores}, excused=unasked))
    found = {name: {each.model_id: each for each in board} for name, board in boards.standings(hour(1000)).items()}
    for expected in composite["ranking"]:
        for name, mean in expected["means"].items():
            standing = found[name].get(expected["model"])
            assert (standing.scored if standing else 0) == expected["counted"][name]
            if standing is None or mean is None:
                assert mean is None
                assert standing is None or (standing.rank, standing.marks) == (None, ("provisional",))
            else:
                assert standing.rank is not None
                assert math.isclose(standing.scores["last"] or 0.0, mean, rel_tol=1e-12)
