"""The games that pay people, as the examples write them: their figures are those of the originals."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import mean, median, stdev
from types import ModuleType
from typing import Any

import pytest

from crunch_game import Game, History, Never, Predict, Prediction, ReplayFeed, Row, backtest
from crunch_game.ranking import BoardRound, Boards, Metric
from crunch_game.scoring import AnsweredRound, Sum, VolatilityCRPS, lift, normal, volatility_crps

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.peer.install import Unavailable, install, python_of

PAYING = Path(__file__).parents[1] / "examples" / "paying"
EXPECTED = json.loads((Path(__file__).parent / "expected" / "games.json").read_text())
SEASON = EXPECTED["season"]


@cache
def example(name: str) -> ModuleType:
    """An example, imported as it stands."""
    spec = importlib.util.spec_from_file_location(name, PAYING / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def close(value):
    return pytest.approx(value, rel=1e-12, abs=0)


# Synth's validators


@pytest.mark.parametrize("prompt", EXPECTED["prompts"])
def test_a_prompt_is_scored_as_synths_validators_do(prompt):
    miners = range(len(prompt["crps"]))
    scored = example("synth_validator").scored({"time": 0, "asset": "BTC", "miners": miners, **prompt})

    found = {**scored.scores["crps"], **scored.absences["crps"]}

    assert [found[str(miner)] for miner in miners] == close(prompt["scores"])
    assert scored.absent["crps"] == close(prompt["p95"] - prompt["lowest"])


def test_a_season_is_smoothed_and_paid_as_synths_validators_do():
    synth = example("synth_validator")

    found = synth.weights(SEASON["prompts"])

    assert {asset: synth.COEFFICIENTS[asset] for asset in SEASON["coefficients"]} == SEASON["coefficients"]
    assert [found[str(miner)][0] for miner in range(8)] == close(SEASON["smoothed"])
    assert [found[str(miner)][1] for miner in range(8)] == close(SEASON["weights"])
    shares = [share for _, share in found.values()]
    assert shares == sorted(shares, reverse=True)


def test_the_season_has_a_newcomer():
    assert any(7 not in prompt["miners"] for prompt in SEASON["prompts"])
    assert any(7 in prompt["miners"] for prompt in SEASON["prompts"])


@pytest.mark.processes
def test_the_validators_example_runs_as_its_first_lines_say(tmp_path):
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps(SEASON["prompts"]))

    command = [sys.executable, PAYING / "synth_validator.py", prompts]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    best = max(range(8), key=SEASON["weights"].__getitem__)
    assert lines[0] == f"miner {best}: {SEASON['smoothed'][best]:.3f}, {SEASON['weights'][best]:.2%} of the reward"
    assert len(lines) == 8


def test_the_validators_example_is_read_in_a_page():
    assert len((PAYING / "synth_validator.py").read_text().splitlines()) <= 80


# Synth on Crunch


MINUTE = 60
START = 1_789_999_200
"""The first minute of the prices, a full hour; epoch seconds."""
WARMUP = 3 * 1440


def minutes(count: int) -> list[list[float]]:
    """A price each minute, whose volatility wanders."""
    chance, price, volatility, prices = random.Random(11), 60_000.0, 0.0007, []
    for minute in range(count):
        prices.append([START + MINUTE * minute, round(price, 2)])
        volatility = max(2e-4, min(2e-3, volatility * math.exp(chance.gauss(0.0, 0.05))))
        price *= math.exp(chance.gauss(0.0, volatility))
    return prices


def match(horizon: int, times: list[int]) -> str:
    """What crunch-synth gives its own tracker and two others in rounds at these times, as JSON."""
    try:
        install("synth-scores")
    except Unavailable as error:
        pytest.skip(str(error))
    site = next((python_of("synth-scores").parents[1] / "lib").glob("python3.*/site-packages"))
    crunch = example("synth_crunch")
    game = {
        "asset": "BTC",
        "horizon": horizon,
        "steps": crunch.HOUR if horizon == 3600 else crunch.DAY,
        "prices": minutes((times[-1] - START + horizon) // MINUTE + 1),
        "rounds": times,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(game, file)
        file.flush()
        command = [sys.executable, Path(__file__).with_name("synth_match.py"), file.name]
        environment = os.environ | {"PYTHONPATH": str(site)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def matched(once) -> Callable[..., list[list[dict[str, Any]]]]:
    """Matches with crunch-synth, by round; rounds are minutes after the warm-up."""

    def played(horizon: int, *rounds: int) -> list[list[dict[str, Any]]]:
        times = [START + MINUTE * (WARMUP + minute) for minute in rounds]
        found = json.loads(once(f"synth-{horizon}-{rounds}", lambda: match(horizon, times)))
        return [[each for each in found if each["at"] == time] for time in times]

    return played


def as_round(played: list[dict[str, Any]], horizon: int) -> AnsweredRound:
    at = datetime.fromtimestamp(played[0]["at"], UTC)
    crunch = example("synth_crunch")
    arguments = {"asset": "BTC", "horizon": horizon, "steps": crunch.HOUR if horizon == 3600 else crunch.DAY}
    when = (at, at + timedelta(seconds=horizon), float(horizon))
    answers = {
        each["model"]: Prediction(each["model"], "1", "BTC", *when, arguments, value=each["answer"]) for each in played
    }
    return AnsweredRound("BTC", *when, arguments, played[0]["prices"], answers)


ROUNDS = [(3600, (0, 60, 120)), (86400, (0,))]


@pytest.mark.processes
@pytest.mark.timeout(300)  # its own evaluator takes its time, and more where much else goes on
@pytest.mark.parametrize(("horizon", "rounds"), ROUNDS)
def test_the_price_is_scored_as_crunch_synth_does_but_for_the_error_of_its_grid(matched, horizon, rounds):
    crunch = example("synth_crunch")
    for played in matched(horizon, *rounds):
        found = crunch.Raw.day.score_round(as_round(played, horizon))
        for each in played:
            theirs = each["score"] - each["volatility"]
            assert found[each["model"]] == pytest.approx(theirs, rel=0.02)
            # Its integral errs in proportion to the width of a cell. On one of a sixteenth, a sixteenth is left.
            error = abs(each["price_on_a_finer_grid"] - found[each["model"]])
            assert error < abs(theirs - found[each["model"]]) / 8


@pytest.mark.processes
def test_volatility_is_scored_as_crunch_synth_does_but_for_chance(matched):
    rule = VolatilityCRPS()
    off = [
        (found[each["model"]] - mean(each["by_chance"])) / stdev(each["by_chance"])
        for played in matched(3600, *ROUNDS[0][1])
        for found in [rule.score_round(as_round(played, 3600))]
        for each in played
    ]
    # Nine scores, each with the chance of 1,000 paths.
    assert max(map(abs, off)) < 4
    assert abs(mean(off)) < 4 / 3


@pytest.mark.processes
def test_of_the_same_paths_volatility_has_the_very_score_of_crunch_synth(matched):
    for played in matched(3600, *ROUNDS[0][1]):
        for each in played:
            assert volatility_crps(each["paths"], each["prices"], [60, 15, 5]) == close(each["of_paths"])


@pytest.mark.processes
def test_an_hour_has_the_score_of_crunch_synth(matched):
    """Its evaluator, which sees but one model, has a constant for the factor."""
    crunch, factor = example("synth_crunch"), 0.00310804
    rule = Sum(crunch.price, VolatilityCRPS(), factor)
    for played in matched(3600, *ROUNDS[0][1]):
        found = rule.score_round(as_round(played, 3600))
        for each in played:
            chance = factor * stdev(each["by_chance"])
            assert abs(found[each["model"]] - each["score"]) < 0.02 * each["score"] + 4 * chance


@pytest.mark.processes
def test_the_factor_is_the_median_over_the_field_of_what_brings_basis_points_to_moves(matched):
    crunch = example("synth_crunch")
    for played in matched(3600, *ROUNDS[0][1]):
        answered = as_round(played, 3600)
        points = lift(crunch.basis_points).score_round(answered)
        for each in played:
            off = (points[each["model"]] - mean(each["synth_price"])) / stdev(each["synth_price"])
            assert abs(off) < 4
        price, volatility = crunch.Raw.day.score_round(answered), VolatilityCRPS().score_round(answered)
        factor = median(price[model_id] / points[model_id] for model_id in points)
        assert crunch.Raw.hour.score_round(answered) == close(
            {model_id: price[model_id] + factor * volatility[model_id] for model_id in points}
        )


@pytest.mark.processes
def test_the_best_has_one_and_who_is_absent_what_the_worst_has(matched):
    crunch = example("synth_crunch")
    [played] = matched(86400, 0)
    answered = as_round(played, 86400)
    away = {"away": replace(answered.answers["TooBold"], model_id="away", value=None)}

    found = crunch.score.score_round(replace(answered, absences=away))

    [(first, best), (middle, between), (last, worst)] = sorted(
        crunch.Raw.day.score_round(answered).items(), key=lambda each: each[1]
    )
    assert found[first] == 1.0
    assert found[last] == found["away"] == 0.0
    # With the absentee there are four scores, of which the worst two are equal, so that the worst 5 % begin there.
    assert found[middle] == close((worst - between) / (worst - best))


@pytest.mark.slow
def test_the_game_is_played_and_ranks_each_horizon_by_itself():
    crunch = example("synth_crunch")

    class Tracker(crunch.TrackerBase):
        scale = 1.0

        def tick(self, data):
            self.last = data

        def predict(self, asset, horizon, step):
            return [normal(0.0, self.scale * self.last[asset] * 7e-4 * (step / 60) ** 0.5)] * (horizon // step)

    class Right(Tracker):
        pass

    class Wide(Tracker):
        scale = 30.0

    rows = [
        {"time": time, **{asset: price * (1 + number) for number, asset in enumerate(crunch.WEIGHTS)}}
        for time, price in minutes(26 * 60)
    ]
    game = Game(
        "synth",
        crunch.TrackerBase,
        [
            Predict(every="1h", horizon="1h", method="predict_all", asset="BTC", steps=crunch.HOUR),
            Predict(every="1h", horizon="24h", method="predict_all", asset="ETH", steps=crunch.DAY),
        ],
        crunch.prices,
        crunch.score,
        boards=crunch.game.boards,
    )

    result = backtest(game, [Right, Wide], feed=ReplayFeed(rows))

    assert {(score.key, score.model_id, score.value) for score in result.scores if score.value is not None} == {
        (key, model_id, value)
        for key in {score.key for score in result.scores}
        for model_id, value in (("Right", 1.0), ("Wide", 0.0))
    }
    assert len({score.key for score in result.scores}) == 2


def test_a_missing_minute_becomes_no_price_of_the_crunch_example():
    crunch = example("synth_crunch")
    at, hour = datetime(2026, 10, 1, tzinfo=UTC), timedelta(hours=1)
    rows = [Row(at + timedelta(minutes=n), {"BTC": 100.0 + n}) for n in range(61)]
    asked = Prediction("ada", "1", "BTC", at, at + hour, 3600.0, {"asset": "BTC", "steps": [60, 300]})

    assert crunch.prices(asked, History(rows[:-1])) is None
    assert crunch.prices(asked, History(rows)) == [100.0 + n for n in range(61)]
    gap = crunch.prices(asked, History(rows[:30] + rows[31:]))
    assert isinstance(gap, Never)
    assert gap.reason == "there is no price of BTC from 2026-10-01 00:30:00 UTC to 2026-10-01 00:30:59 UTC"


FLAT = """
from crunch_game.scoring import normal
from synth_crunch import TrackerBase

class Model(TrackerBase):
    def tick(self, data):
        self.last = data

    def predict(self, asset, horizon, step):
        return [normal(0.0, SCALE * self.last[asset] * (step / 60) ** 0.5)] * (horizon // step)
"""


@pytest.mark.processes
def test_the_crunch_example_runs_as_its_first_lines_say(tmp_path):
    (tmp_path / "models").mkdir()
    for name, scale in {"right": "7e-4", "wide": "7e-2"}.items():
        (tmp_path / "models" / f"{name}.py").write_text(FLAT.replace("SCALE", scale))
    shutil.copy(PAYING / "synth_crunch.py", tmp_path)
    assets = example("synth_crunch").WEIGHTS
    lines = [f"{time}" + f",{price}" * len(assets) for time, price in minutes(75)]
    (tmp_path / "minutes.csv").write_text("\n".join([",".join(["time", *assets]), *lines]) + "\n")

    [command] = [line.split() for line in example("synth_crunch").__doc__.splitlines() if "crunch-game run" in line]
    program = str(Path(sys.executable).parent / command[0])
    done = subprocess.run([program, *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    ranked = re.findall(r"^ +(\d+) +(\w+) +(\d) ", done.stdout, re.MULTILINE)
    assert ranked == [("1", "right", "1"), ("2", "wide", "0")]


def test_every_asset_is_asked_for_the_hour_and_for_the_day():
    crunch = example("synth_crunch")
    assert len(crunch.game.asks) == 2 * len(crunch.WEIGHTS) == 2 * len(crunch.LARGEST)
    assert [board.name for board in crunch.game.boards] == ["1h", "24h"]


# Numinous


def test_the_boards_of_numinous_are_the_parts_of_its_composite():
    numinous, expected = example("numinous"), EXPECTED["composite"]
    of = {(each["board"], each["order"], each["model"]): each["score"] for each in expected["scores"]}
    models = {each["model"] for each in expected["ranking"]}
    boards = Boards(
        [numinous.board(each["name"], each["most"], each["least"]) for each in expected["boards"]],
        {"brier": Metric(numinous.rule.higher_is_better, numinous.rule.unit)},
    )
    for topic, order in {(topic, order) for topic, order, _ in of}:
        at = datetime.fromtimestamp(START, UTC) + timedelta(days=order)
        scores = {model_id: of[topic, order, model_id] for model_id in models if (topic, order, model_id) in of}
        excused = frozenset(models - scores.keys())  # a question is asked of whom had registered before
        boards.put(
            BoardRound(topic, at, at + timedelta(seconds=1), 1.0, {"topic": topic}, {"brier": scores}, excused=excused)
        )

    found = boards.standings(datetime.fromtimestamp(START, UTC) + timedelta(days=365))

    for each in expected["ranking"]:
        for topic, most in ((board["name"], board["most"]) for board in expected["boards"]):
            [standing] = [standing for standing in found[topic] if standing.model_id == each["model"]]
            assert standing.scored == each["counted"][topic] <= most
            if each["means"][topic] is None:
                assert standing.rank is None
            else:
                assert standing.scores["last"] == close(each["means"][topic])
                assert standing.rank is not None
    for standings in found.values():
        ranked = [standing.scores["last"] for standing in standings if standing.rank is not None]
        assert ranked == sorted(ranked)
        assert all(standing.rank is not None for standing in standings[: len(ranked)])


def test_numinous_clips_and_takes_an_absence_for_one_half():
    numinous = example("numinous")
    when = (datetime.fromtimestamp(START, UTC),) * 2 + (0.0,)
    values = {"sure": 1.0, "wrong": 0.0, "half": 0.5, "fair": 0.7}
    answers = {name: Prediction(name, "1", "q", *when, value=value) for name, value in values.items()}
    absences = {"away": Prediction("away", "1", "q", *when)}

    found = numinous.rule.score_round(AnsweredRound("q", *when, {"topic": "global"}, True, answers, absences))

    expected = {"sure": 0.01**2, "wrong": 0.99**2, "half": 0.25, "fair": 0.3**2, "away": 0.25}
    assert found == pytest.approx(expected, rel=1e-12)
    assert [board.least for board in numinous.boards] == [200, 100, 100]
