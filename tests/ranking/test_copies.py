"""Copies are named, however they are disguised; honest models are not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game import GameError, Prediction, Status
from crunch_game.ranking import Copy, find_copies
from crunch_game.scoring import mixture, normal

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROUNDS = 60


def answered(model: str, answers: Sequence[Any], *, first: int = 0, key: str = "k") -> list[Prediction]:
    """A model's predictions, one an hour from the hour `first` on; None where it did not answer."""
    return [
        Prediction(
            model_id=model,
            deployment_id="1",
            key=key,
            at=START + hour * HOUR,
            resolves_at=START + (hour + 1) * HOUR,
            horizon=3600.0,
            status=Status.OK if answer is not None else Status.TIMEOUT,
            value=answer,
        )
        for hour, answer in enumerate(answers, start=first)
    ]


def levels(seed: int, rounds: int = ROUNDS) -> list[float]:
    """Volatilities as a model has them: each near to the one before."""
    chance, level, found = random.Random(seed), 0.01, []
    for _ in range(rounds):
        level *= math.exp(chance.gauss(0, 0.05))
        found.append(level)
    return found


def densities(seed: int, rounds: int = ROUNDS) -> list[Any]:
    shifts = levels(seed + 1000, rounds)
    return [
        mixture([(0.7, normal(shift / 10, level)), (0.3, normal(-shift / 5, 3 * level))])
        for level, shift in zip(levels(seed, rounds), shifts, strict=True)
    ]


ORIGINAL = densities(1)


def named(*models: list[Prediction], **options: Any) -> list[tuple[str, str]]:
    return [(copy.model_id, copy.of) for copy in find_copies([each for model in models for each in model], **options)]


def test_a_copy_is_named_with_who_was_first_and_how_near():
    field = answered("ada", ORIGINAL) + answered("bob", densities(2)) + answered("eve", ORIGINAL[5:], first=5)

    [copy] = find_copies(field)

    # What it answered first tells nothing: it had not moved yet.
    assert copy == Copy("eve", "ada", share=1.0, distance=0.0, since=START + 6 * HOUR, rounds=ROUNDS - 6, late=0)
    assert repr(copy).startswith("Copy(model_id='eve', of='ada'") or "Copy(model_id='eve', of='ada'" in repr(copy)


def parts(density: Any) -> list[tuple[float, Any]]:
    return [(part["weight"], part["density"]) for part in density["components"]]


def as_scipy(density: Any) -> Any:
    return {
        "type": "mixture",
        "components": [{"density": {**part, "type": "scipy"}, "weight": weight} for weight, part in parts(density)],
        "step": 300.0,
    }


def nested(density: Any) -> Any:
    (first, one), (second, other) = parts(density)
    return mixture([(5.0, mixture([(2.0, other)])), (5.0 * first / second, mixture([(1.0, one), (0.0, normal(9, 9))]))])


def split(density: Any) -> Any:
    return mixture([(weight / 2, part) for weight, part in parts(density) for _ in range(2)])


def noisy(size: float) -> Callable[[Any], Any]:
    chance = random.Random(5)

    def disguise(density: Any) -> Any:
        return mixture(
            [
                (weight, normal(part["params"]["loc"] + size * chance.gauss(0, 1), part["params"]["scale"]))
                for weight, part in parts(density)
            ]
        )

    return disguise


DISGUISES = {
    "components in another order": lambda density: mixture(parts(density)[::-1]),
    "weights scaled": lambda density: mixture([(1e9 * weight, part) for weight, part in parts(density)]),
    "nested, with a component of no weight": nested,
    "the same component twice": split,
    "as scipy, with a step": as_scipy,
    "tiny noise": noisy(1e-9),
    "a tiny mass far away": lambda density: mixture([*parts(density), (1e-9, normal(1e60, 1.0))]),
    "a mixture of one": lambda density: mixture([(0.1, density)]),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=list(DISGUISES))
def test_a_disguise_hides_no_copy(disguise):
    copies = [disguise(density) for density in ORIGINAL]
    for wrapped in (lambda density: density, lambda density: [density], lambda density: {"a": [density, 1]}):
        field = [
            answered("ada", [wrapped(each) for each in ORIGINAL]),
            answered("eve", [wrapped(each) for each in copies]),
            answered("bob", [wrapped(each) for each in densities(2)]),
        ]
        assert named(*field) == [("eve", "ada")]


def test_how_near_is_told_in_usual_moves():
    one = [float(number * (-1) ** number) for number in range(ROUNDS)]  # it moves by 1, 3, 5, ...
    field = answered("ada", one) + answered("eve", [number + 0.3 for number in one])

    assert find_copies(field) == []
    [copy] = find_copies(field, tolerance=0.01)

    assert copy.distance == pytest.approx(0.3 / (ROUNDS - 1), rel=1e-9)


def test_noise_is_as_near_as_one_says():
    field = answered("ada", ORIGINAL), answered("eve", [noisy(1e-5)(density) for density in ORIGINAL])

    assert named(*field) == []
    assert named(*field, tolerance=0.2) == [("eve", "ada")]


def test_a_copy_that_answers_a_slot_late_is_told():
    field = answered("ada", ORIGINAL, first=3) + answered("eve", [normal(0, 1.0), *ORIGINAL[:-1]], first=3)

    [copy] = find_copies(field)

    assert (copy.model_id, copy.of, copy.late, copy.share) == ("eve", "ada", 1, 1.0)
    assert copy.since == START + 4 * HOUR


def test_who_is_late_is_the_copy_though_it_played_first():
    own, taken = densities(7)[:10], ORIGINAL[:-1]
    field = answered("ada", ORIGINAL, first=10), answered("eve", [*own, normal(0, 1.0), *taken])

    assert named(*field) == [("eve", "ada")]


def test_who_began_to_copy_is_told_since_when():
    field = answered("ada", ORIGINAL) + answered("eve", densities(3)[:40] + ORIGINAL[40:])

    [copy] = find_copies(field)

    assert (copy.of, copy.rounds, copy.share, copy.since) == ("ada", 20, 1.0, START + 40 * HOUR)


def test_a_share_of_the_rounds_is_enough():
    mixed = [theirs if hour % 8 else own for hour, (theirs, own) in enumerate(zip(ORIGINAL, densities(3), strict=True))]
    field = answered("ada", ORIGINAL), answered("eve", mixed)

    assert named(*field, share=0.95) == []
    assert named(*field, share=0.8) == [("eve", "ada")]


def test_rounds_in_which_one_does_not_answer_are_nobodys():
    gaps = [None if hour % 3 == 2 else answer for hour, answer in enumerate(ORIGINAL)]

    assert named(answered("ada", ORIGINAL), answered("eve", gaps)) == [("eve", "ada")]
    assert named(answered("ada", gaps), answered("eve", ORIGINAL)) == [("eve", "ada")]


def test_who_repeats_itself_between_what_it_takes_is_a_copy():
    """Only what has moved tells."""
    taken = [ORIGINAL[hour - hour % 4] if hour % 4 < 2 else normal(0.0, 0.5) for hour in range(ROUNDS)]

    assert named(answered("ada", ORIGINAL), answered("eve", taken), share=0.45) == [("eve", "ada")]
    kept = [ORIGINAL[hour] if hour % 4 == 0 else None for hour in range(ROUNDS)]
    held = [each for answer in kept[::4] for each in [answer] * 4]
    assert named(answered("ada", ORIGINAL), answered("eve", held)) == [("eve", "ada")]


def test_a_copy_of_what_is_nearly_beyond_floats_is_named():
    chance = random.Random(9)
    huge = [chance.uniform(-1, 1) * 1.7e308 for _ in range(ROUNDS)]

    assert named(answered("ada", huge), answered("eve", huge), answered("bob", huge[::-1])) == [("eve", "ada")]


def test_only_some_keys_may_have_the_copy_and_then_more_of_them_tell():
    field = [
        answered("ada", ORIGINAL, key="BTC"),
        answered("eve", ORIGINAL, key="BTC"),
        answered("ada", densities(2), key="ETH"),
        answered("eve", densities(3), key="ETH"),
    ]

    assert named(*field) == []
    assert named(*field, share=0.5) == [("eve", "ada")]
    assert named(*field[:2]) == [("eve", "ada")]


# Who is honest


def test_two_who_answer_the_same_constant_are_no_copies():
    """Anybody comes upon it; and noise around it is no move."""
    constant = [normal(0.0, 0.02)] * ROUNDS
    jitter = [normal(0.0, 0.02 * (1 + 1e-9 * hour)) for hour in range(ROUNDS)]

    assert named(answered("ada", constant), answered("bob", constant), answered("cy", jitter)) == []
    assert named(answered("ada", constant), answered("cy", jitter), answered("dan", jitter)) == []


def test_a_constant_for_each_of_many_keys_is_no_copy():
    field = [answered(m, [float(k)] * ROUNDS, key=f"k{k}") for k in range(13) for m in ("ada", "bob")]

    assert named(*field) == []


def test_who_falls_back_to_the_same_constant_is_no_copy():
    """A common answer while there is too little history, and now and then afterwards."""
    fallback = normal(0.0, 0.02)

    def honest(seed: int) -> list[Any]:
        return [fallback if hour < 30 or hour % 10 == 0 else answer for hour, answer in enumerate(densities(seed))]

    assert named(answered("ada", honest(1)), answered("bob", honest(2))) == []


@pytest.mark.parametrize("choice", [("up", "down"), (True, False), (0.0, 1.0), (0.3, 0.7)])
@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_few_answers_to_choose_from_prove_nothing(choice, noise):
    chance = random.Random(3)
    truth = [chance.choice(choice) for _ in range(200)]
    calls = [[each if chance.random() < 0.97 else chance.choice(choice) for each in truth] for _ in range(2)]
    if isinstance(choice[0], float):
        calls = [[each + noise * chance.random() for each in call] for call in calls]

    assert named(answered("ada", calls[0]), answered("bob", calls[1])) == []
    assert named(answered("ada", truth), answered("bob", truth), least=2) == [("bob", "ada")]


def test_honest_models_that_follow_the_same_price_are_no_copies():
    """They move together, by far more than they differ."""
    price = [63_000.0 + 1e6 * (level - 0.01) for level in levels(4, 300)]
    chance = random.Random(4)
    field = [answered(f"m{n}", [each * (1 + chance.gauss(0, 1e-4)) for each in price]) for n in range(20)]

    assert named(*field) == []


def test_who_is_wild_half_of_the_time_is_no_copy_in_the_other_half():
    """Its own moves would make everybody near."""
    chance = random.Random(2)
    wild = [level if hour % 2 else chance.uniform(-1e3, 1e3) for hour, level in enumerate(levels(2))]

    assert named(answered("ada", levels(1)), answered("bob", wild), share=0.4) == []


@pytest.mark.slow
def test_200_honest_models_are_no_copies():
    assert named(*[answered(f"m{number}", densities(number)) for number in range(200)]) == []


@pytest.mark.slow
def test_a_thousand_accounts_of_one_model_are_all_named():
    chance = random.Random(8)
    field = [
        answered(f"m{n:03}", [normal(0.0, level * (1 + 1e-9 * chance.random())) for level in levels(1, 30)])
        for n in range(1000)
    ]

    assert sorted(named(*field)) == [(f"m{n:03}", "m000") for n in range(1, 1000)]


# Who was first


def test_everybody_is_a_copy_of_who_was_first():
    field = [
        answered("zoe", ORIGINAL),
        answered("ada", ORIGINAL[2:], first=2),
        answered("bob", [noisy(1e-10)(each) for each in ORIGINAL[1:]], first=1),
    ]

    assert named(*field) == [("ada", "zoe"), ("bob", "zoe")]


def test_a_benchmark_is_always_first_and_never_a_copy():
    field = answered("ada", ORIGINAL), answered("climatology", ORIGINAL[20:], first=20), answered("bob", ORIGINAL)

    assert named(*field, benchmarks=["climatology"]) == [("ada", "climatology"), ("bob", "climatology")]
    late = answered("climatology", [normal(0, 1.0), *ORIGINAL])
    assert named(field[0], late) == [("climatology", "ada")]
    assert named(field[0], late, benchmarks=["climatology"]) == []


def test_a_copy_of_a_copy_is_named_though_it_has_drifted():
    drift = [[normal(level * (1 + 6e-6 * step), level) for level in levels(1)] for step in range(4)]
    field = [answered(f"m{step}", answers, first=0) for step, answers in enumerate(drift)]

    found = dict(named(*field, tolerance=2e-4))

    assert set(found) == {"m1", "m2", "m3"}


# All sorts of answers


answers = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "components", "params", "weight", "density", "a"]), inner, max_size=4
        )
        | st.builds(
            lambda kind, inner: {"type": kind, "components": [{"density": inner, "weight": 1.0}]},
            st.sampled_from(["mixture", "scipy", "builtin"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.lists(answers, min_size=2, max_size=8, unique_by=repr))
def test_whatever_the_answers_are_the_same_ones_are_a_copy(found):
    moving = [{"n": number, "answer": answer} for number, answer in enumerate(found * 12)]

    field = answered("ada", moving), answered("eve", moving)

    assert named(*field) == [("eve", "ada")]


@given(st.randoms())
def test_the_order_of_the_predictions_does_not_matter(chance):
    field = answered("ada", ORIGINAL) + answered("eve", ORIGINAL) + answered("bob", ORIGINAL[9:], first=9)
    shuffled = list(field)
    chance.shuffle(shuffled)

    assert find_copies(shuffled) == find_copies(field)


def test_samples_are_compared_in_the_form_that_one_gives():
    chance = random.Random(6)
    samples = [[chance.gauss(0, level) for _ in range(20)] for level in levels(1)]
    field = answered("ada", samples), answered("eve", [chance.sample(each, 20) for each in samples])

    assert named(*field) == []
    assert named(*field, form=sorted) == [("eve", "ada")]


@pytest.mark.slow
def test_a_model_that_nests_deeper_than_the_stack_harms_nobody():
    deep: Any = 0.5
    for _ in range(100_000):
        deep = {"type": "mixture", "components": [{"weight": 1.0, "density": deep}]}
    field = answered("ada", ORIGINAL), answered("eve", ORIGINAL), answered("bob", [deep] * 3)

    try:
        assert named(*field) == [("eve", "ada")]
    finally:
        while isinstance(deep, dict):
            deep = deep["components"].pop()["density"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0}, "share=0 must be greater than 0 and at most 1"),
        ({"share": 1.1}, "share=1.1 must be greater than 0 and at most 1"),
        ({"tolerance": -1}, "tolerance=-1 must be a number of usual moves, 0 or more"),
        ({"tolerance": math.nan}, "tolerance=nan must be a number of usual moves"),
        ({"least": 1}, "least=1 must be at least 2: one answer in common tells nothing"),
    ],
)
def test_what_is_wrong_is_told(options, message):
    with pytest.raises(GameError, match=message):
        find_copies([], **options)


def test_nobody_is_a_copy_where_nobody_plays():
    assert find_copies([]) == []
    assert find_copies(answered("ada", ORIGINAL)) == []
