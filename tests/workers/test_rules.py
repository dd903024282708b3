"""A round is scored as a whole, once, by every rule of the game; what no rule can score is refused on arrival."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
import walk

from crunch_game import GameError, MemoryStore, Policy, Predict, ScoreWorker, Status, run_game
from crunch_game.ranking import Board
from crunch_game.resolving.base import Never
from crunch_game.scoring import AbsoluteError, AnsweredRound
from crunch_game.storage.base import Prediction

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Rules are asked in a thread, and await nothing."""
    return "asyncio"


BTC = [Predict(every="1h", horizon="2h", asset="BTC")]
THREE = ["walk:Mean", "walk:Last", "walk:Moody"]


class Noting:
    """A rule that keeps the rounds that it is given, and scores by how far an answer is off."""

    higher_is_better = False
    unit = "usual"

    def __init__(self, **absent: float) -> None:
        self.rounds: list[AnsweredRound] = []
        self._absent = absent

    def score_round(self, answered: AnsweredRound) -> dict[str, Any]:
        self.rounds.append(answered)
        own = {name: abs(each.value - answered.outcome_of(name)) for name, each in sorted(answered.answers.items())}
        return own | dict.fromkeys(answered.absences if self._absent else (), self._absent.get("value"))


def described(**options: Any) -> Any:
    windows = None if "boards" in options else {"long": "30d"}
    return walk.game(**{"predictions": BTC, "windows": windows} | options)


async def play(store: Any = None, models: Any = THREE, **options: Any) -> tuple[Any, MemoryStore]:
    store = MemoryStore() if store is None else store
    game = described(**options)
    return await run_game(game, models, store=store, host="inline"), store


async def test_a_rule_is_given_each_round_once_and_whole():
    rule = Noting()
    _, store = await play(score=rule)
    stored = store.predictions()
    due = {each.at for each in stored if each.resolves_at <= store.last_row().time}

    assert [each.at for each in rule.rounds] == sorted(due)
    for answered in rule.rounds:
        of_round = {each.model_id: each for each in stored if each.at == answered.at}
        assert answered.answers == {name: each for name, each in of_round.items() if each.status is Status.OK}
        assert answered.absences == {name: each for name, each in of_round.items() if each.status is not Status.OK}
        assert answered.outcome == walk.truth(next(iter(of_round.values())), _history(store))
        assert (answered.outcomes, answered.horizon, answered.resolves_at) == ({}, 7200, answered.at + 2 * walk.HOUR)
        assert answered.arguments == {"asset": "BTC", "horizon": 7200}
    assert any(answered.absences for answered in rule.rounds)
    assert [score.value for score in store.scores()] == [
        value for answered in rule.rounds for value in Noting().score_round(answered).values()
    ]


def _history(store: MemoryStore) -> Any:
    from crunch_game import History

    history = History()
    for row in store.rows():
        history.insert(row)
    return history


async def test_a_rule_that_is_made_of_a_ready_one_is_given_whole_rounds():
    class Relative(AbsoluteError):
        def score_round(self, answered: AnsweredRound) -> dict[str, Any]:
            losses = super().score_round(answered)
            return {name: loss - min(losses.values()) for name, loss in losses.items()}

    _, store = await play(score=Relative())

    by_round: dict[Any, list[Any]] = {}
    for score in store.scores():
        by_round.setdefault(score.at, []).append(score.value)
    assert by_round
    assert {min(values) for values in by_round.values()} == {0.0}


async def test_where_outcomes_differ_from_model_to_model_each_has_its_own():
    rule = Noting()

    def truth(prediction, history):
        found = walk.truth(prediction, history)
        return None if found is None else found + (prediction.model_id == "Mean")

    await play(score=rule, resolve=truth)

    for answered in rule.rounds:
        assert answered.outcome is None
        assert answered.outcomes.keys() == answered.answers.keys()
        assert answered.outcomes["Mean"] == answered.outcomes["Last"] + 1


async def test_a_round_waits_for_the_last_outcome_of_its_answers():
    rule = Noting()

    def truth(prediction, history):
        late = prediction.model_id == "Mean" and history.latest.time < prediction.resolves_at + 3 * walk.HOUR
        return None if late else walk.truth(prediction, history)

    _, store = await play(score=rule, resolve=truth)

    assert rule.rounds
    assert all("Mean" in answered.answers for answered in rule.rounds)
    assert {score.at for score in store.scores()} == {answered.at for answered in rule.rounds}


async def test_what_the_rule_gives_an_absentee_is_kept_and_is_no_score_of_its_own():
    result, store = await play(score=Noting(value=9.0), boards=[Board("all", by="mean", windows={"day": "20h"})])
    absent = [score for score in store.scores() if score.absent]

    assert {(score.model_id, score.value, score.outcome) for score in absent} == {("Moody", 9.0, None)}
    assert len(absent) == sum(
        each.status is not Status.OK and each.resolves_at <= store.last_row().time for each in store.predictions()
    )
    [moody] = [standing for standing in result.leaderboard if standing.model_id == "Moody"]
    assert moody.scored < moody.rounds


async def test_several_metrics_have_a_board_each_and_a_score_each():
    def squared(prediction, outcome):
        if prediction.model_id == "Last":
            raise ValueError("no square")
        return (prediction.value - outcome) ** 2

    boards = [
        Board("near", metric="error", windows={"day": "20h"}),
        Board("far", metric="square", windows={"d": "20h"}),
    ]
    result, store = await play(score={"error": walk.loss, "square": squared}, boards=boards)
    scores = store.scores()

    assert {score.model_id: score.metrics.keys() for score in scores} == {
        name: {"error", "square"} for name in ("Mean", "Last", "Moody")
    }
    for score in scores:
        assert score.value == score.metrics["error"]
        assert score.metrics["square"] == (None if score.model_id == "Last" else pytest.approx(score.value**2))
    near, far = ({each.model_id: each for each in result.boards[name]} for name in ("near", "far"))
    assert result.leaderboard == result.boards["near"]
    assert far["Last"].skill == -10  # the rule can score the others, and not this one
    assert near["Last"].skill > -10
    again = ScoreWorker(described(score={"error": walk.loss, "square": squared}, boards=boards), store)
    assert again.all_standings(store.last_row().time) == result.boards


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
async def test_an_answer_that_is_infinitely_wrong_is_the_worst_and_not_absent(value):
    result, store = await play(score=lambda p, o: value if p.model_id == "Last" else walk.loss(p, o))
    by_name = {standing.model_id: standing for standing in result.leaderboard}

    assert all(score.unscorable for score in store.scores() if score.model_id == "Last")
    assert (by_name["Last"].skill, by_name["Last"].coverage) == (-10, 1)
    assert by_name["Last"].rank == 3


async def test_what_is_raised_for_every_answer_sets_the_round_aside_and_costs_nobody():
    first: list[Any] = []

    def broken_for_a_while(prediction, outcome):
        first.append(prediction.at)
        if prediction.at < first[0] + 5 * walk.HOUR:
            raise ValueError("no scale yet")
        return walk.loss(prediction, outcome)

    result, store = await play(score=broken_for_a_while)
    aside = [score for score in store.scores() if score.kind == "aside"]

    assert {score.reason for score in aside} == {"score raised ValueError: no scale yet"}
    assert {score.at for score in aside} < {score.at for score in store.scores()}
    counted = len({score.at for score in store.scores() if score.value is not None})
    assert [standing.rounds for standing in result.leaderboard if standing.model_id != "Moody"] == [counted, counted]


class Raising(Noting):
    def score_round(self, answered):
        raise ZeroDivisionError("no field")


async def test_what_a_rule_raises_sets_the_whole_round_aside():
    result, store = await play(score=Raising())

    assert {score.reason for score in store.scores()} == {"score_round raised ZeroDivisionError: no field"}
    assert {score.kind for score in store.scores()} == {"aside"}
    assert result.leaderboard == []


class Forgetful(Noting):
    def score_round(self, answered):
        return {name: value for name, value in super().score_round(answered).items() if name != "Last"}


async def test_who_is_left_out_by_a_rule_counts_as_the_worst():
    _, store = await play(score=Forgetful())

    of_last = [score for score in store.scores() if score.model_id == "Last"]
    assert {(score.kind, score.reason) for score in of_last} == {("unscorable", "score_round left it out")}


async def test_what_can_never_be_known_is_set_aside_with_its_reason():
    _, store = await play(resolve=lambda prediction, history: Never("there is no price"))

    assert {(score.reason, score.kind) for score in store.scores()} == {("there is no price", "aside")}


class Picky(Noting):
    def check(self, value, arguments):
        if value > 100.5:
            raise ValueError(f"{value} {arguments['asset']} is more than 100.5")


async def test_what_a_rule_cannot_score_is_invalid_on_arrival_with_the_reason_and_a_strike():
    result, store = await play(score=Picky(), models=["walk:Last"], policy=Policy(timeout=10))
    refused = [each for each in store.predictions() if each.status is Status.INVALID]

    assert refused
    for each in refused:
        assert each.error.startswith("the answer of predict cannot be scored: ")
        assert each.error.endswith(" BTC is more than 100.5")
    [record] = result.models
    assert record.state == "stopped"
    assert record.reason.startswith("3 failures of predict(asset='BTC', horizon=7200) in a row")


async def test_what_was_set_aside_is_tried_again_with_its_round_whole():
    """The scores that the others have stay; the rule sees their answers all the same."""

    def never_of_last(prediction, history):
        return Never("not yet mended") if prediction.model_id == "Last" else walk.truth(prediction, history)

    _, store = await play(score=Noting(), resolve=never_of_last)
    reference, whole = await play(score=Noting())
    rule = Noting()
    mended = ScoreWorker(described(score=rule), store)
    again = mended.retry()

    assert {score.model_id for score in again} == {"Last"}
    assert all({"Mean", "Last"} <= answered.answers.keys() for answered in rule.rounds)
    assert store.scores() == whole.scores()
    assert mended.standings(store.last_row().time) == reference.leaderboard
    fresh = ScoreWorker(described(score=Noting()), store)
    assert fresh.standings(store.last_row().time) == reference.leaderboard


async def test_a_model_that_joins_later_is_absent_from_nothing_before_its_first_answer():
    store = MemoryStore()
    game = described()
    result = await run_game(game, ["walk:Mean", "walk:Last"], store=store, host="inline")
    late = [each for each in store.predictions() if each.model_id == "Mean"][-10:]
    joined = MemoryStore()
    joined.save(store.rows(), [each for each in store.predictions() if each.model_id == "Last"] + late)
    worker = ScoreWorker(game, joined)
    worker.step()
    [mean] = [each for each in worker.standings(joined.last_row().time) if each.model_id == "Mean"]

    assert mean.rounds == mean.scored == sum(each.resolves_at <= joined.last_row().time for each in late)
    assert mean.coverage == 1
    assert [each.rounds for each in result.leaderboard] > [mean.rounds]


async def test_who_was_excused_is_not_absent():
    _, store = await play(models=["walk:Mean", "walk:Last"])
    answered = [each for each in store.predictions() if each.resolves_at <= store.last_row().time]

    def without(excused: bool) -> Any:
        gone = [each.at for each in answered if each.model_id == "Last"][5:9]
        changed = [
            Prediction(
                *(each.model_id, each.deployment_id, each.key, each.at, each.resolves_at, each.horizon, each.arguments),
                Status.SKIPPED,
                excused=excused,
            )
            if each.model_id == "Last" and each.at in gone
            else each
            for each in answered
        ]
        other = MemoryStore()
        other.save(store.rows(), changed)
        worker = ScoreWorker(described(), other)
        worker.step()
        now = other.last_row().time + timedelta(seconds=1)
        found = {each.model_id: each for each in worker.standings(now)}["Last"]
        again = ScoreWorker(described(), other)
        assert {each.model_id: each for each in again.standings(now)}["Last"] == found
        return found

    excused, absent = without(True), without(False)
    assert (excused.coverage, absent.rounds - absent.scored) == (1, 4)
    assert excused.skill > absent.skill


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"score": {}}, """score is {}; several metrics have names, such as {"price": CRPS()}"""),
        ({"boards": []}, """boards is []; give a list: boards=[Board("global")]"""),
        ({"boards": [Board("a"), Board("a")]}, "two boards are called 'a'; give each a name of its own"),
        ({"boards": [Board("a")], "rank_by": "day"}, "rank_by is given beside boards; say it in each board: "),
        (
            {"boards": [Board("a", reference="climatology")]},
            "board 'a' compares with 'climatology', which is no benchmark; the benchmarks are none",
        ),
        ({"benchmarks": "climatology"}, "benchmarks is 'climatology'; give ids of models: "),
        (
            {"score": {"a": walk.loss, "b": walk.loss}, "boards": [Board("x")]},
            "board 'x' must say which metric it counts; the metrics are a, b",
        ),
    ],
)
def test_boards_and_rules_that_do_not_fit_are_refused(options, sentence):
    with pytest.raises(GameError) as caught:
        described(**options)

    assert sentence in str(caught.value)


class Shy(walk.Walk):
    def predict(self, asset: str, horizon: float) -> float | None: ...


class Warming(Shy):
    """It has no answer until it has heard ten rows, and none for every fifth after."""

    def __init__(self):
        self.heard = 0

    def tick(self, prices):
        self.heard += 1
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return None if self.heard < 10 or self.heard % 5 == 0 else self.last


class Steady(Warming):
    def predict(self, asset, horizon):
        return self.last


class NoNone(Noting):
    def check(self, value, arguments):
        if value is None:
            raise ValueError("None is no number")

    def score_round(self, answered):
        return {
            name: ValueError("None is no number") if each.value is None else abs(each.value - answered.outcome)
            for name, each in answered.answers.items()
        }


async def test_who_may_answer_with_none_is_absent_then_and_nothing_before_its_first_answer():
    rule = NoNone()
    policy = Policy(timeout=10, max_consecutive_failures=1)
    result, store = await play(tracker=Shy, models=[Warming, Steady], score=rule, policy=policy, resolve=walk.truth)
    silent = [each for each in store.predictions() if each.model_id == "Warming" and each.value is None]
    scores = {(each.at): each for each in store.scores() if each.model_id == "Warming"}
    [warming] = [each for each in result.leaderboard if each.model_id == "Warming"]
    first = min(at for at, each in scores.items() if each.value is not None)

    assert {each.status for each in silent} == {Status.OK}
    assert {scores[each.at].kind for each in silent if each.at in scores} == {"absent"}
    assert warming.rounds == sum(at >= first for at in scores)
    assert warming.rounds - warming.scored == sum(each.at > first for each in silent if each.at in scores) > 0
    again = ScoreWorker(described(tracker=Shy, score=rule), store)
    assert again.standings(store.last_row().time) == result.leaderboard
