"""InField: what a rule says is normalised within the round, step by step."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.errors import GameError
from crunch_game.scoring import (
    Absent,
    AnsweredRound,
    BestOneWorstZero,
    Bounded,
    Field,
    InField,
    MinusBest,
)
from crunch_game.storage import Prediction

EXPECTED = json.loads((Path(__file__).parents[1] / "expected" / "games.json").read_text())
AT = datetime(2026, 10, 1, tzinfo=UTC)


def answered(losses, absent=(), **more):
    """A round in which the answers are the losses themselves."""

    def prediction(model_id, value):
        return Prediction(model_id, "1", "BTC", AT, AT + timedelta(hours=1), 3600.0, value=value)

    answers = {model_id: prediction(model_id, loss) for model_id, loss in losses.items()}
    absences = {model_id: prediction(model_id, None) for model_id in absent}
    return AnsweredRound("BTC", AT, AT + timedelta(hours=1), 3600.0, {}, 0.0, answers, absences, **more)


def loss(prediction, outcome):
    """The answer is its loss; what is no number cannot be scored."""
    if isinstance(prediction.value, str):
        raise ValueError(prediction.value)
    return prediction.value


class Gain:
    """The answer is its gain."""

    higher_is_better = True
    unit = 0.25
    strictly_proper = True

    def score(self, prediction, outcome):
        return loss(prediction, outcome)


SYNTH = InField(loss, Bounded(times=10, of="median"), Absent(percentile=95), MinusBest())


def by_name(values):
    return {f"m{number}": value for number, value in enumerate(values)}


@pytest.mark.parametrize("prompt", EXPECTED["prompts"] + EXPECTED["season"]["prompts"])
def test_it_scores_the_prompts_of_synths_validators_as_they_do(prompt):
    crps = by_name(prompt["crps"])
    losses = {name: value for name, value in crps.items() if value is not None}

    found = SYNTH.score_round(answered(losses, crps.keys() - losses.keys()))

    assert found == pytest.approx(by_name(prompt["scores"]), rel=1e-12, abs=0)
    filled = InField(loss, Bounded(), Absent()).score_round(answered(losses, ["away"]))
    assert filled["away"] == pytest.approx(prompt["p95"], rel=1e-12, abs=0)


def test_the_prompts_have_what_can_go_wrong():
    prompts = EXPECTED["prompts"] + EXPECTED["season"]["prompts"]
    assert any(any(prompt["capped"]) for prompt in prompts)
    assert any(None in prompt["crps"] for prompt in prompts)
    assert max(max(filter(None, prompt["crps"])) for prompt in prompts) > 1e13


def test_the_best_is_one_the_worst_twentieth_zero_and_between_it_is_linear():
    rule = InField(loss, BestOneWorstZero(worst=0.05))

    found = rule.score_round(answered(by_name(range(1, 22)), ["absent"]))

    assert rule.higher_is_better
    assert rule.unit is None
    assert (found["m0"], found["m19"], found["m20"], found["absent"]) == (1.0, 0.0, 0.0, 0.0)
    assert found["m1"] == pytest.approx(18 / 19)
    assert found["m18"] == pytest.approx(1 / 19)


def test_equal_answers_are_all_best():
    assert InField(loss, BestOneWorstZero()).score_round(answered({"a": 2.0, "b": 2.0})) == {"a": 1.0, "b": 1.0}
    assert InField(loss, BestOneWorstZero(worst=0.9)).score_round(answered({"a": 2.0, "b": 2.0, "c": 3.0})) == {
        "a": 1.0,
        "b": 1.0,
        "c": 0.0,
    }


def test_an_infinitely_wrong_answer_is_the_worst_not_an_absence():
    losses = {"a": 1.0, "b": 2.0, "c": 3.0, "wrong": math.inf, "mute": "it says nothing"}

    bounded = InField(loss, Bounded(times=2), Absent(), MinusBest()).score_round(answered(losses, ["away"]))
    one = InField(loss, BestOneWorstZero()).score_round(answered(losses))

    assert bounded["wrong"] == bounded["mute"] == 5.0  # twice the median, which counts them, less the best
    assert bounded["away"] == pytest.approx(1.9)
    assert one["wrong"] == one["mute"] == 0.0
    assert (one["a"], one["c"]) == (1.0, 0.0)
    assert one["b"] == pytest.approx(0.9 / 1.9)  # as without them


def test_what_no_step_makes_finite_remains_unscorable_and_says_why():
    losses = {"a": 1.0, "wrong": math.inf, "mute": "it says nothing", "odd": math.nan}

    found = InField(loss, MinusBest()).score_round(answered(losses))

    assert found["a"] == 0.0
    assert found["wrong"] == math.inf
    assert isinstance(found["mute"], ValueError)
    assert str(found["mute"]) == "it says nothing"
    assert math.isnan(found["odd"])


def test_a_round_that_nobody_can_be_scored_in():
    found = SYNTH.score_round(answered({"a": math.inf, "b": "no"}, ["c"]))

    assert found.keys() == {"a", "b"}
    assert not any(isinstance(each, float) and math.isfinite(each) for each in found.values())
    assert SYNTH.score_round(answered({}, ["c"])) == {}
    assert InField(loss, BestOneWorstZero()).score_round(answered({"a": math.inf})) == {"a": 0.0}


def test_a_gain_is_a_loss_to_the_steps_and_a_gain_again():
    seen = []

    def look(field):
        seen.append(field)
        return field.scores

    rule = InField(Gain(), look, MinusBest(), Absent(percentile=100))

    found = rule.score_round(answered({"a": 0.9, "b": 0.5}, ["c"]))

    assert rule.higher_is_better
    assert found == {"a": 0.0, "b": pytest.approx(-0.4), "c": pytest.approx(-0.4)}
    assert seen == [Field({"a": -0.9, "b": -0.5}, {"a": -0.9, "b": -0.5}, frozenset("c"), None)]


def test_the_last_step_that_has_a_direction_says_it():
    class Turned:
        higher_is_better = False

        def __call__(self, field):
            return {model_id: 1 + loss for model_id, loss in field.scores.items()}

    rule = InField(Gain(), BestOneWorstZero(worst=0), Turned(), MinusBest())

    assert not rule.higher_is_better
    assert rule.score_round(answered({"a": 0.9, "b": 0.5})) == {"a": 0.0, "b": 1.0}


def test_a_rule_that_scores_absentees_itself_is_not_overruled():
    class Rule:
        higher_is_better = False
        unit = 0.25

        def score_round(self, answered):
            return {"a": 0.1, "b": 0.2, "c": 0.25}

    found = InField(Rule(), Bounded(times=1.0), Absent(percentile=0)).score_round(
        answered({"a": 0, "b": 0}, ["c", "d"])
    )

    assert found == {"a": 0.1, "b": pytest.approx(0.15), "c": pytest.approx(0.15), "d": 0.1}


def test_a_bound_is_of_what_is_usual_where_that_is_known():
    rule = InField(loss, Bounded(times=2, of="usual"))
    field = answered({"a": 1.0, "b": 5.0})

    assert rule.score_round(field) == {"a": 1.0, "b": 5.0}
    assert rule.score_round(field, usual=2.0) == {"a": 1.0, "b": 4.0}


def test_a_bound_refuses_losses_that_a_multiple_does_not_bound():
    with pytest.raises(ValueError, match=r"Bounded needs losses of 0 and more, and that of 'a' is -2\.0"):
        SYNTH.score_round(answered({"a": -2.0, "b": 1.0}))


def test_absentees_have_the_percentile_of_all_where_every_answer_was_touched():
    def half(field):
        return {model_id: each / 2 for model_id, each in field.scores.items()}

    assert InField(loss, half, Absent(percentile=50)).score_round(answered({"a": 2.0, "b": 6.0}, ["c"]))["c"] == 2.0


def test_the_unit_stays_while_steps_keep_it():
    assert InField(Gain()).unit == 0.25
    assert InField(Gain(), Absent()).unit == 0.25
    assert InField(loss, Absent()).unit == "usual"
    assert SYNTH.unit is None
    assert InField(Gain(), lambda field: field.scores).unit is None


def test_it_says_whether_it_is_strictly_proper():
    assert InField(Gain(), Absent()).strictly_proper
    assert not InField(loss, Absent()).strictly_proper
    for step in (Bounded(), MinusBest(), BestOneWorstZero(), lambda field: field.scores):
        assert not InField(Gain(), step).strictly_proper


@pytest.mark.parametrize(
    ("step", "others", "report"),
    [
        (Bounded(times=1), [0.6, 0.6, 0.6], 1.0),  # dare: what is lost is bounded
        (MinusBest(), [0.5, 0.5, 0.5], 0.5),  # say what the others say: nothing is lost for sure
        (BestOneWorstZero(worst=0.0), [0.4, 0.8], 0.75),  # lean to where the spread is smaller
    ],
)
def test_a_step_that_does_not_stay_proper_pays_for_a_report_that_is_not_the_truth(step, others, report):
    """A coin falls heads in 3 of 5. Alone, the score is best by telling that; the step makes another report better."""

    def brier(prediction, outcome):
        return (prediction.value - outcome) ** 2

    def expected_gain(rule, told):
        field = answered({"me": told, **by_name(others)})
        scores = [rule.score_round(replace(field, outcome=side))["me"] for side in (1.0, 0.0)]
        mean = 0.6 * scores[0] + 0.4 * scores[1]
        return mean if rule.higher_is_better else -mean

    assert not step.stays_proper
    assert expected_gain(InField(brier), 0.6) > expected_gain(InField(brier), report)
    assert expected_gain(InField(brier, step), 0.6) < expected_gain(InField(brier, step), report)


def test_the_scorers_hooks_are_its_own():
    class Checked(Gain):
        prepared = 0

        def prepare(self):
            self.prepared += 1

        def check(self, value, arguments):
            raise ValueError(f"{value} of {arguments}")

    scorer = Checked()
    rule = InField(scorer, MinusBest())
    rule.prepare()
    assert scorer.prepared == 1
    with pytest.raises(ValueError, match=r"1 of \{\}"):
        rule.check(1, {})
    InField(loss).prepare()
    InField(loss).check(1, {})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InField(loss, Bounded), "is no step of InField; a step is an instance, such as Bounded"),
        (lambda: InField(loss, 3), "3 is no step of InField"),
        (lambda: InField(3), "it must be a rule, a scorer, or a function"),
        (lambda: Bounded(times=0), r"Bounded\(times=0\): times must be a positive number"),
        (lambda: Bounded(times=math.nan), "times must be a positive number"),
        (lambda: Bounded(of="mean"), r"""Bounded\(of='mean'\): of is "median" or "usual\""""),
        (lambda: Absent(percentile=101), r"Absent\(percentile=101\): percentile must be from 0 to 100"),
        (lambda: BestOneWorstZero(worst=1), r"BestOneWorstZero\(worst=1\): worst must be from 0 to less than 1"),
    ],
)
def test_what_cannot_be_a_rule_is_refused_at_its_making(make, message):
    with pytest.raises(GameError, match=message):
        make()


def test_it_says_what_it_is():
    said = repr(InField(loss, Bounded(), Absent()))
    assert said.startswith("InField(<function loss at ")
    assert said.endswith("Bounded(times=10.0, of='median'), Absent(percentile=95.0))")


LOSSES = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3), st.floats(0, 1e300) | st.just(math.inf), min_size=1, max_size=12
)
RULES = [SYNTH, InField(loss, BestOneWorstZero()), InField(loss, Bounded(), Absent(), BestOneWorstZero())]


@given(LOSSES, st.sets(st.sampled_from("xyz")), st.sampled_from(RULES), st.randoms())
def test_neither_the_order_nor_the_names_of_models_matter(losses, absent, rule, chance: Random):
    found = rule.score_round(answered(losses, absent))

    names = list(losses)
    chance.shuffle(names)
    other = rule.score_round(answered({name.upper(): losses[name] for name in names}, absent))

    assert {name: found[name] for name in losses} == pytest.approx(
        {name: other[name.upper()] for name in losses}, rel=0, abs=0, nan_ok=True
    )


@given(LOSSES, st.sets(st.sampled_from("xyz")), st.sampled_from(RULES))
def test_who_lost_less_never_has_the_worse_score(losses, absent, rule):
    found = rule.score_round(answered(losses, absent))

    sign = -1 if rule.higher_is_better else 1
    ordered = [sign * found[name] for name in sorted(losses, key=losses.__getitem__) if math.isfinite(found[name])]
    assert ordered == sorted(ordered)
    assert all(0 <= score <= 1 for score in found.values()) or rule is SYNTH
