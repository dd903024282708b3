"""The logarithmic score against scipy's densities, and its least scale."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.scoring import FAMILIES, LogScore, density, mixture, normal
from crunch_game.storage.base import Prediction

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def score(rule: LogScore, value: Any, outcome: Any) -> float:
    return rule.score(Prediction("ada", "d1", "BTC", T0, T0 + timedelta(hours=1), 3600.0, value=value), outcome)


LEAST = {"lognorm": 0.01, "t": 0.1, "gamma": 1.01, "beta": 1.01}


@st.composite
def parts(draw: st.DrawFn) -> tuple[Any, Any]:
    """A density of any family, and scipy's."""
    family = FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))]
    shapes = {name: draw(st.floats(LEAST[family.name], 5)) for name in family.shapes}
    loc, scale = draw(st.floats(-5, 5)), draw(st.floats(0.1, 5))
    frozen = getattr(scipy.stats, family.name)(**shapes, loc=loc, scale=scale)
    return density(family.name, **shapes, loc=loc, scale=scale), frozen


@given(st.lists(st.tuples(st.floats(0.1, 1), parts()), min_size=1, max_size=4), st.floats(-9, 9))
def test_mixtures_of_any_families_are_minus_the_log_of_the_density(each: list[Any], y: float) -> None:
    weights = [weight for weight, _ in each]
    with np.errstate(all="ignore"):
        likelihood = sum(w * frozen.pdf(y) for w, (_, frozen) in each) / sum(weights)
    value = mixture([(w, one) for w, (one, _) in each])
    if 1e-300 < likelihood < math.inf:
        assert score(LogScore(), value, y) == pytest.approx(-math.log(likelihood), rel=1e-8, abs=1e-8)
    elif likelihood == 0 and all(one["name"] in ("uniform", "beta") for _, (one, _) in each):
        with pytest.raises(ValueError, match=r"^the score is not finite"):
            score(LogScore(), value, y)


def test_at_a_bound_a_density_is_what_it_is_there() -> None:
    assert score(LogScore(), density("gamma", a=1.0, scale=2.0), 0.0) == pytest.approx(math.log(2))
    assert score(LogScore(), density("beta", a=1.0, b=3.0), 0.0) == pytest.approx(-math.log(3))
    assert score(LogScore(), density("beta", a=3.0, b=1.0, scale=2.0), 2.0) == pytest.approx(-math.log(1.5))
    assert score(LogScore(), density("uniform", scale=4.0), 4.0) == pytest.approx(math.log(4))
    for zero in (density("gamma", a=2.0), density("beta", a=2.0, b=2.0), density("lognorm", s=1.0)):
        with pytest.raises(ValueError, match=r"^the score is not finite"):
            score(LogScore(), zero, 0.0)


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        ("norm", ()),
        ("t", (0.5,)),
        ("t", (1e6,)),
        ("logistic", ()),
        ("laplace", ()),
        ("uniform", ()),
        ("expon", ()),
        ("lognorm", (0.001,)),
        ("lognorm", (3.0,)),
        ("gamma", (1.0,)),
        ("gamma", (3.0,)),
        ("gamma", (1e6,)),
        ("beta", (1.0, 1.0)),
        ("beta", (1.0, 4.0)),
        ("beta", (4.0, 1.5)),
        ("beta", (1e6, 1e5)),
    ],
)
def test_the_greatest_density_is_that_of_the_least_scale(family: str, shapes: tuple[float, ...]) -> None:
    """The scale at which a family's greatest density is that of a normal with scale 0.25 is admitted, a less is not."""
    frozen = getattr(scipy.stats, family)(*shapes)
    modes = {"lognorm": lambda s: math.exp(-(s**2)), "gamma": lambda a: a - 1}
    modes["beta"] = lambda a, b: (a - 1) / (a + b - 2) if a + b > 2 else 0.5
    peak = float(frozen.pdf(modes[family](*shapes) if family in modes else 0.0))
    scale = peak * 0.25 * math.sqrt(2 * math.pi)
    params = dict(zip(FAMILIES[family].parameters, (*shapes, 0.0), strict=False))
    rule = LogScore(least_scale=0.25)
    rule.check(density(family, **params, scale=scale * 1.00001), {})
    with pytest.raises(ValueError, match="scale"):
        rule.check(density(family, **params, scale=scale * 0.99999), {})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (normal(0, 1e-7), "scale must be at least 1e-06 in this game, got 1e-07"),
        (
            mixture([(1, normal(0, 1)), (1e-9, normal(0, 1e-170))]),
            "scale must be at least 1e-06 in this game, got 1e-170",
        ),
        (
            density("uniform", scale=1e-9),
            "a uniform must be no narrower than a normal with scale 1e-06, the least that this game admits; "
            "this one is as narrow as one with 3.99e-10",
        ),
        (density("gamma", a=0.5), "the density of this gamma is infinite at a bound: its shapes are below 1"),
        (density("beta", a=2.0, b=0.5), "the density of this beta is infinite at a bound: its shapes are below 1"),
    ],
)
def test_what_is_too_narrow_is_told_on_arrival_and_scores_nothing(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as on_arrival:
        LogScore().check(value, {})
    with pytest.raises(ValueError, match=r".") as at_scoring:
        score(LogScore(), value, 0.0)
    assert str(on_arrival.value) == str(at_scoring.value) == message


def test_a_component_without_weight_may_be_as_narrow_as_it_likes() -> None:
    value = mixture([(1, normal(0, 1)), (0, normal(0, 1e-170))])
    LogScore().check(value, {})
    assert score(LogScore(), value, 0.5) == score(LogScore(), normal(0, 1), 0.5)


def test_a_game_says_what_its_tick_is() -> None:
    LogScore(least_scale=1e-12).check(normal(0, 1e-12), {})
    for wrong in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"^least_scale is greater than 0 and finite, not "):
            LogScore(least_scale=wrong)
