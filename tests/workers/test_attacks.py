"""Answers that are made to break a rule, in a real game: refused with a sentence and a strike, or scored right.

The others' scores are to the bit what they are without the one who tries.
"""

from __future__ import annotations

from typing import Any

import pytest
import walk

from crunch_game import CRPS, LogScore, MemoryStore, Policy, Predict, ReplayFeed, Status, TrackerBase, run_game
from crunch_game.scoring import Density, normal

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """What is tested waits for nothing."""
    return "asyncio"


class Base(TrackerBase):
    def tick(self, prices: dict[str, float]) -> None: ...

    def predict(self, asset: str, horizon: float) -> list[Density]: ...


class Honest(Base):
    width = 2.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return [normal(self.last, self.width)]


class Wide(Honest):
    width = 5.0


class Wider(Honest):
    width = 9.0


def norm(loc: Any = 100.0, scale: Any = 1.0) -> dict[str, Any]:
    return {"type": "builtin", "name": "norm", "params": {"loc": loc, "scale": scale}}


def of(family: str, **params: Any) -> dict[str, Any]:
    return {"type": "scipy", "name": family, "params": params}


def mix(*parts: tuple[Any, Any]) -> dict[str, Any]:
    return {"type": "mixture", "components": [{"weight": weight, "density": each} for weight, each in parts]}


HONEST = [Honest, Wide, Wider]
ROWS = 16
"""Enough for three strikes, and for scores that follow them."""
ODD = float("nan")
REFUSED_BY_BOTH: dict[str, tuple[Any, str]] = {
    "negative scale": ([norm(scale=-1.0)], "scale must be a number from 1e-300 to 1e+300"),
    "zero scale": ([norm(scale=0.0)], "scale must be a number from 1e-300 to 1e+300"),
    "huge scale": ([norm(scale=1e305)], "scale must be a number from 1e-300 to 1e+300"),
    "subnormal scale": ([norm(scale=5e-324)], "scale must be a number from 1e-300 to 1e+300"),
    "NaN weight": ([mix((ODD, norm()), (1.0, norm()))], "NaN and infinity are not allowed"),
    "infinite loc": ([norm(loc=float("inf"))], "NaN and infinity are not allowed"),
    "negative weight": ([mix((-1.0, norm()), (2.0, norm()))], "weight"),
    "no weight at all": ([mix((0.0, norm()), (0.0, norm()))], "weight"),
    "empty mixture": ([mix()], "components"),
    "20,000 components": ([mix(*[(1.0, norm())] * 20_000)], "128"),
    "nested past the limit": ([mix((1.0, mix(*[(1.0, norm())] * 100)), (1.0, mix(*[(1.0, norm())] * 100)))], "128"),
    "empty list": ([], "must be a density or a list of densities, not []"),
    "a density too many": ([norm(), norm()], "the answer must have 1 step, got 2"),
    "a family that is not scored": ([of("cauchy", loc=100.0)], "cauchy"),
    "a shape that is missing": ([of("t", loc=100.0)], "df"),
    "a shape that is unknown": ([of("norm", loc=100.0, skew=1.0)], "skew"),
    "a number": (100.0, "should be a list"),
    "a density that is no list": (norm(), "should be a list"),
    "text": (["norm"], "should be a dict"),
    "a bool for a scale": ([norm(scale=True)], "scale"),
}
REFUSED_BY_CRPS = {"a mixture of other families": ([mix((1.0, of("t", df=3.0)), (1.0, norm()))], "no closed form")}
REFUSED_BY_LOG = {
    "an atom": ([norm(scale=1e-170)], "scale"),
    "an atom in a mixture": ([mix((1e-9, norm(scale=1e-12)), (1.0, norm()))], "scale"),
    "a narrow uniform": ([of("uniform", loc=100.0, scale=1e-12)], "scale"),
    "an infinite density at a bound": ([of("beta", a=0.5, b=0.5, loc=99.0, scale=2.0)], "beta"),
    "an infinite gamma": ([of("gamma", a=0.5, loc=100.0)], "gamma"),
}
SCORED: dict[str, Any] = {
    "weights that sum to 1e9": [mix(*[(1e8, norm())] * 10)],
    "a mass of 1e-30 at ±1e60": [mix((1.0, norm()), (1e-30, norm(loc=1e60)), (1e-30, norm(loc=-1e60)))],
    "two tiny masses that cancel": [mix((1.0, norm()), (1e-16, norm(loc=1e16)), (1e-16, norm(loc=-1e16)))],
    "very wide": [norm(scale=1e290)],
    "far off": [norm(loc=-1e290)],
}


async def play(answer: Any, rule: Any) -> tuple[Any, MemoryStore]:
    """The honest ones, with somebody who gives this answer always; alone if there is none."""

    class Trick(Base):
        def tick(self, prices):
            pass

        def predict(self, asset, horizon):
            return answer

    game = walk.game(
        tracker=Base,
        predictions=[Predict(every="1h", horizon="2h", asset="BTC")],
        score=rule,
        policy=Policy(timeout=10),
        windows={"all": "30d"},
        feed=ReplayFeed(walk.rows(ROWS)),
    )
    store = MemoryStore()
    models = HONEST if answer is None else [*HONEST, Trick]
    return await run_game(game, models, store=store, host="inline"), store


RULES = {"CRPS": CRPS(steps=1), "LogScore": LogScore(steps=1)}
_played: dict[tuple[str, str], tuple[Any, MemoryStore]] = {}


async def play_once(rule: str, name: str, answer: Any) -> tuple[Any, MemoryStore]:
    """What the tests of a rule compare with: without an answer, or with a plain one. Played for the first of them."""
    if (rule, name) not in _played:
        _played[rule, name] = await play(answer, RULES[rule])
    return _played[rule, name]


def honest_scores(store: MemoryStore) -> list[tuple[Any, ...]]:
    return [(each.model_id, each.at, each.value) for each in store.scores() if each.model_id != "Trick"]


@pytest.mark.parametrize(
    ("rule", "answer", "sentence"),
    [
        pytest.param(
            *(rule, *case),
            id=f"{rule}: {name}",
            marks=pytest.mark.slow if "20,000" in name else (),  # to look through them takes a while
        )
        for rule, more in (("CRPS", REFUSED_BY_CRPS), ("LogScore", REFUSED_BY_LOG))
        for name, case in (REFUSED_BY_BOTH | more).items()
    ],
)
async def test_what_cannot_be_scored_is_refused_on_arrival(rule, answer, sentence):
    (alone, reference), (result, store) = await play_once(rule, "alone", None), await play(answer, RULES[rule])
    tried = [each for each in store.predictions() if each.model_id == "Trick"]
    asked = [each for each in tried if each.status is not Status.SKIPPED]

    assert [each.status for each in asked] == [Status.INVALID] * 3  # the third strike
    assert all(sentence in (each.error or "") for each in asked)
    [record] = [each for each in result.models if each.model_id == "Trick"]
    assert record.state == "stopped"
    assert honest_scores(store) == honest_scores(reference)
    assert result.leaderboard == alone.leaderboard  # it was never on the board


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("answer", SCORED.values(), ids=SCORED)
async def test_what_can_be_scored_is_scored_within_its_bounds(rule, answer):
    (alone, reference), (result, store) = await play_once(rule, "alone", None), await play(answer, RULES[rule])
    own = [each for each in store.scores() if each.model_id == "Trick"]
    places = [each.model_id for each in result.leaderboard if each.model_id != "Trick"]

    assert own
    if rule == "CRPS":
        assert all(each.value is not None and each.value >= 0 for each in own)
    assert honest_scores(store) == honest_scores(reference)
    assert places == [each.model_id for each in alone.leaderboard]
    if answer not in (SCORED["weights that sum to 1e9"],) and rule == "CRPS":
        plain, _ = await play_once(rule, "plain", [norm()])
        best = next(each for each in plain.leaderboard if each.model_id == "Trick")
        found = next(each for each in result.leaderboard if each.model_id == "Trick")
        assert found.skill <= best.skill + 1e-9  # far masses gain nothing over the plain density
