"""The CRPS against its defining integral in high precision, within its bounds, whatever the answer."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import mpmath as mp
import numpy as np
import properscoring
import pytest
import scipy.stats
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st

from crunch_game.scoring import CRPS, FAMILIES, Part, crps_normal_mixture, density, mixture, normal
from crunch_game.scoring.rules.formulas import FORMULAS
from crunch_game.storage.base import Prediction

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def score(rule: CRPS, value: Any, outcome: Any) -> float:
    return rule.score(Prediction("ada", "d1", "BTC", T0, T0 + timedelta(hours=1), 3600.0, value=value), outcome)


# Mixtures of normals


def exact(y: float, weights: Any, locs: Any, scales: Any) -> Any:
    """The closed form in 700 digits, where nothing cancels."""
    with mp.workdps(700):
        total = mp.fsum(map(mp.mpf, weights))
        parts = [(mp.mpf(w) / total, mp.mpf(m) - mp.mpf(y), mp.mpf(s)) for w, m, s in zip(weights, locs, scales)]  # noqa: B905

        def absolute(m: Any, s: Any) -> Any:
            return m * mp.erf(m / (s * mp.sqrt(2))) + 2 * s * mp.npdf(m / s)

        distance = mp.fsum(w * absolute(m, s) for w, m, s in parts)
        spread = mp.fsum(v * w * absolute(m - n, mp.hypot(s, t)) for v, m, s in parts for w, n, t in parts)
        return distance, distance - spread / 2


def check(y: float, weights: Any, locs: Any, scales: Any) -> None:
    weights = np.array(weights) / math.fsum(weights)
    found = crps_normal_mixture([y], [weights], [locs], [scales])[0]
    most, expected = exact(y, weights.tolist(), locs, scales)
    assert abs(mp.mpf(float(found)) - expected) <= 1e-12 * expected
    assert 0 <= found <= most * (1 + mp.mpf(1e-15))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "locs", "scales"),
    [
        ([1, 1e-30, 1e-30], [0, 1e60, -1e60], [1, 1, 1]),
        ([1, 1e-30], [0, 1e60], [1, 1]),
        ([1, 1e-30], [0, 0], [1, 1e60]),
        ([1, 1e-30], [0, 1e60], [1, 1e60]),
        ([1, 1e-16], [0, 1e16], [1e-16, 1e16]),
        ([1, 1e-300], [0, 1e300], [1e-300, 1e300]),
        ([1], [1e300], [1e-300]),
        ([0.5, 0.5], [1e-170, -1e-170], [1e-170, 1e-170]),
        ([0.5, 0.5], [0, 0], [1, 10001]),
        ([1, 0.01], [0.7, 9e3], [0.3, 1.1e4]),
    ],
)
@pytest.mark.parametrize("y", [0.0, 0.3, -7.0, 1e-170, 1e60])
def test_mixtures_that_cancel_are_right(y: float, weights: Any, locs: Any, scales: Any) -> None:
    check(y, weights, locs, scales)


def signed(least: float, most: float) -> st.SearchStrategy[float]:
    powers = st.floats(least, most).map(lambda power: 10.0**power)
    return st.just(0.0) | powers | powers.map(lambda number: -number)


@pytest.mark.slow
@pytest.mark.parametrize("reach", [1, 12, 60, 299])
@settings(max_examples=settings().max_examples // 2)  # 700 digits take their time
@given(data=st.data())
def test_mixtures_of_any_scale_are_right(reach: int, data: st.DataObject) -> None:
    components = st.tuples(
        st.floats(-30, 0).map(lambda power: 10.0**power),
        signed(-reach, reach),
        st.floats(-reach, reach).map(lambda power: 10.0**power),
    )
    weights, locs, scales = zip(*data.draw(st.lists(components, min_size=1, max_size=4)), strict=True)
    y = data.draw(signed(-reach, reach) | st.sampled_from(locs))
    check(y, weights, locs, scales)


def test_the_usual_form_cancels_where_ours_does_not() -> None:
    """So that it is known what the tests above are for."""
    weights, locs, scales = np.array([1.0, 1e-30]), np.array([0.0, 1e60]), np.array([1.0, 1.0])
    assert not 1.2 < scoringrules.crps_mixnorm(0.3, locs, scales, weights) < 1.3
    assert 1.2 < crps_normal_mixture([0.3], [weights], [locs], [scales])[0] < 1.3


def test_one_mixture_is_scored_as_it_is_among_many() -> None:
    rng = np.random.default_rng(1)
    for components in (1, 2, 9, 128):
        y = rng.normal(size=301)
        weights = rng.dirichlet(np.ones(components), size=301)
        locs, scales = rng.normal(size=(301, components)), rng.uniform(0.1, 2, (301, components))
        many = crps_normal_mixture(y, weights, locs, scales)
        one_by_one = [crps_normal_mixture(y[[i]], weights[[i]], locs[[i]], scales[[i]])[0] for i in range(301)]
        assert many.tolist() == one_by_one


@pytest.mark.parametrize(
    ("y", "weight", "loc", "scale"),
    [(math.nan, 1, 0, 1), (0, math.nan, 0, 1), (0, 1, math.inf, 1), (0, 1, 0, 0), (0, 1, 0, -1), (0, -1, 0, 1)],
)
def test_what_is_no_mixture_has_no_number(y: float, weight: float, loc: float, scale: float) -> None:
    found = crps_normal_mixture([0.0, y], [[0.5, 0.5], [0.5, weight]], [[0, 1], [0, loc]], [[1, 1], [1, scale]])
    assert np.isfinite(found[0])
    assert np.isnan(found[1])


@given(st.floats(-9, 9), st.lists(st.tuples(st.floats(0.1, 1), st.floats(-9, 9), st.floats(0.1, 9)), min_size=1))
def test_mixtures_are_what_others_make_of_them(y: float, parts: list[tuple[float, float, float]]) -> None:
    found = score(CRPS(), mixture([(w, normal(m, s)) for w, m, s in parts]), y)
    weights, locs, scales = (np.array(column) for column in zip(*parts, strict=True))
    assert found == pytest.approx(float(scoringrules.crps_mixnorm(y, locs, scales, weights / weights.sum())), rel=1e-9)
    alone = score(CRPS(), normal(locs[0], scales[0]), y)
    assert alone == pytest.approx(float(properscoring.crps_gaussian(y, locs[0], scales[0])), rel=1e-12)


# Other families


def cdf(family: str, shapes: tuple[float, ...], z: Any) -> Any:
    """Of the standard form, in mpmath's precision."""
    a, b = (*map(mp.mpf, shapes), None, None)[:2]
    if family == "t":
        tail = mp.betainc(a / 2, mp.mpf(1) / 2, 0, a / (a + z * z), regularized=True) / 2
        return tail if z < 0 else 1 - tail
    if family == "logistic":
        return 1 / (1 + mp.exp(-z))
    if family == "laplace":
        return mp.exp(z) / 2 if z < 0 else 1 - mp.exp(-z) / 2
    if family == "norm":
        return mp.ncdf(z)
    if z <= 0:
        return mp.mpf(0)
    if family == "expon":
        return -mp.expm1(-z)
    if family == "lognorm":
        return mp.ncdf(mp.log(z) / a)
    if family == "gamma":
        return mp.gammainc(a, 0, z, regularized=True)
    if z >= 1:
        return mp.mpf(1)
    return z if family == "uniform" else mp.betainc(a, b, 0, z, regularized=True)


def integrals(family: str, shapes: tuple[float, ...], outcomes: list[float]) -> list[Any]:
    """The integral of the definition for each outcome, of the standard form, by quadrature between quantiles.

    Outcomes share the stretches between them, which are what takes the time.
    """
    frozen = getattr(scipy.stats, family)(*shapes)
    levels = [1e-12, 1e-8, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 1 - 1e-4, 1 - 1e-8, 1 - 1e-12]
    low, high = (mp.inf * int(np.sign(end)) if np.isinf(end) else mp.mpf(float(end)) for end in frozen.support())
    quantiles = {mp.mpf(float(frozen.ppf(level))) for level in levels}
    points = sorted(quantiles | {low, high} | {mp.mpf(z) for z in outcomes})
    first, last = min(outcomes), max(outcomes)
    with mp.workdps(25):
        below, above = {}, {}
        for start, end in itertools.pairwise(points):
            if start < last:  # the outcome is above the stretch
                below[start] = mp.quad(lambda x: cdf(family, shapes, x) ** 2, [start, end])
            if end > first:
                above[start] = mp.quad(lambda x: (1 - cdf(family, shapes, x)) ** 2, [start, end])
        return [
            mp.fsum(part for start, part in below.items() if start < z)
            + mp.fsum(part for start, part in above.items() if start >= z)
            for z in outcomes
        ]


SHAPES: dict[str, list[tuple[float, ...]]] = {
    "norm": [()],
    "logistic": [()],
    "laplace": [()],
    "uniform": [()],
    "expon": [()],
    "t": [(1.01,), (1.5,), (3,), (40,)],
    "lognorm": [(1e-6,), (0.1,), (0.99,), (1.01,), (4,)],
    "gamma": [(0.1,), (0.5,), (1,), (3,), (19.9,), (20.1,), (300.0,)],
    "beta": [(0.1, 0.1), (0.1, 3), (0.5, 0.5), (1, 1), (2, 3), (30, 1), (100, 200)],
}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "shapes"), [(name, shapes) for name, every in SHAPES.items() for shapes in every])
def test_a_family_has_the_integral_of_the_definition(family: str, shapes: tuple[float, ...]) -> None:
    frozen = getattr(scipy.stats, family)(*shapes)
    outcomes = [z for z in [-1.5, 1.25, *map(float, frozen.ppf([1e-6, 0.5, 0.999]))] if z != 0]
    for z, expected in zip(outcomes, integrals(family, shapes, outcomes), strict=True):
        params = dict(zip(FAMILIES[family].parameters, (*shapes, 0.0, 2.0), strict=True))
        assert score(CRPS(), density(family, **params), 2 * z) == pytest.approx(2 * float(expected), rel=1e-11)


def test_every_family_is_scored() -> None:
    assert FORMULAS.keys() == SHAPES.keys() == FAMILIES.keys()


OTHERS: dict[str, Any] = {
    "t": lambda y, loc, scale, df: scoringrules.crps_t(y, df, loc, scale),
    "logistic": lambda y, loc, scale: scoringrules.crps_logistic(y, loc, scale),
    "laplace": lambda y, loc, scale: scoringrules.crps_laplace(y, loc, scale),
    "uniform": lambda y, loc, scale: scoringrules.crps_uniform(y, loc, loc + scale),
    "expon": lambda y, loc, scale: scoringrules.crps_exponential(y - loc, 1 / scale),
    "lognorm": lambda y, loc, scale, s: scoringrules.crps_lognormal(y - loc, math.log(scale), s),
    "gamma": lambda y, loc, scale, a: scoringrules.crps_gamma(y - loc, a, rate=1 / scale),
    "beta": lambda y, loc, scale, a, b: scoringrules.crps_beta(y, a, b, lower=loc, upper=loc + scale),
}


@pytest.mark.parametrize("family", OTHERS)
@given(data=st.data())
def test_a_family_is_what_scoringrules_makes_of_it(family: str, data: st.DataObject) -> None:
    shapes = {name: data.draw(st.floats(1.1, 9)) for name in FAMILIES[family].shapes}
    if family == "lognorm":
        shapes = {"s": data.draw(st.floats(0.1, 1.5))}
    loc, scale, y = data.draw(st.floats(-5, 5)), data.draw(st.floats(0.1, 5)), data.draw(st.floats(-9, 9))
    if family in ("lognorm", "expon", "gamma", "beta"):
        y = loc + scale * data.draw(st.floats(0.01, 0.99))  # it takes no outcome outside
    found = score(CRPS(), density(family, loc=loc, scale=scale, **shapes), y)
    assert found == pytest.approx(float(OTHERS[family](y, loc, scale, **shapes)), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
def test_a_score_lies_within_its_bounds_at_any_scale(family: str, data: st.DataObject) -> None:
    """Between 0 and E|X - y|, which is at most the distance from loc, and E|X - loc|."""
    shapes = [
        10 ** data.draw(st.floats(0.005 if family == "t" else math.log10(least), math.log10(most)))
        for least, most in FAMILIES[family].shapes.values()
    ]
    scale = 10.0 ** data.draw(st.floats(-299, 90))
    y = data.draw(st.sampled_from([-1, 1])) * 10.0 ** data.draw(st.floats(-300, 299))
    values = dict(zip(FAMILIES[family].parameters, (*shapes, 0.0, scale), strict=True))
    s, a, b = (values.get(name, 0.0) for name in ("s", "a", "b"))
    means = {"uniform": 0.5, "expon": 1, "lognorm": math.exp(s**2 / 2), "gamma": a, "beta": a / (a + b) if b else 0}
    found = score(CRPS(), density(family, **values), y)
    # Of a t with df of 1.01, E|Z| is 64.
    assert 0 <= found <= (abs(y) + scale * means.get(family, 65)) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (density("t", df=1.0), "the CRPS needs a t with df of at least 1.01, got 1.0"),
        (
            mixture([(1, normal(0, 1)), (1, density("t", df=3.0)), (1, density("gamma", a=2.0))]),
            "the CRPS has no closed form for a mixture with gamma, t; answer a mixture of normals, or one density",
        ),
        (density("lognorm", s=30.0, scale=1e200), "the mean of a lognormal is at most 1e+300, that of "),
        ({"type": "scipy", "name": "cauchy", "params": {}}, "'cauchy' is not one of the families of scipy densities"),
        ({"levels": [0.5], "values": [1.0]}, "this game's rule takes no quantiles: it does not say of which levels"),
        ([math.nan, 1.0], "a draw must be a number within ±1e+300, got nan"),
        ([1.0, math.nan], "a draw must be a number within ±1e+300, got nan"),
        (1e301, "a point must be a number within ±1e+300, got 1e+301"),
    ],
)
def test_what_it_cannot_score_is_told_on_arrival_and_at_scoring(value: Any, message: str) -> None:
    rule = CRPS()
    with pytest.raises(ValueError, match=r".") as on_arrival:
        rule.check(value, {})
    with pytest.raises(ValueError, match=r".") as at_scoring:
        score(rule, value, 0.5)
    assert str(on_arrival.value).startswith(message)
    assert str(at_scoring.value) == str(on_arrival.value)


# Samples, quantiles, points

numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=2, max_size=30), numbers)
def test_samples_are_scored_by_the_named_estimator(draws: list[float], y: float) -> None:
    distance = math.fsum(abs(x - y) for x in draws) / len(draws)
    spread = math.fsum(abs(a - b) for a, b in itertools.product(draws, draws)) / 2
    for rule, expected in (
        (CRPS(), distance - spread / len(draws) ** 2),
        (CRPS(estimator="fair"), distance - spread / (len(draws) * (len(draws) - 1))),
    ):
        found = score(rule, draws, y)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-8)
        assert 0 <= found <= distance * (1 + 1e-12)
        theirs = scoringrules.crps_ensemble(y, draws, estimator=rule.estimator)
        assert found == pytest.approx(float(theirs), rel=1e-9, abs=1e-8)
    assert score(CRPS(), draws, y) == pytest.approx(float(properscoring.crps_ensemble(y, draws)), rel=1e-9, abs=1e-8)


def test_samples_that_cancel_are_right() -> None:
    """A thousand draws of which two are far away: the scores of the rest are below the rounding of the distance."""
    draws = [0.0] * 500 + [1.0] * 498 + [1e18, -1e18]
    expected = 2 * 1e18 * (1 / 1000) ** 2 + (501 / 1000) ** 2
    assert score(CRPS(), draws, 1.0) == pytest.approx(expected, rel=1e-15)
    assert score(CRPS(estimator="fair"), draws, 1.0) == pytest.approx(501 * 500 / (1000 * 999), rel=1e-12)


def test_the_fair_estimator_is_not_for_draws_that_a_model_chooses() -> None:
    """What the documentation warns of: two draws far away win, whatever comes true; not by the default."""
    honest = np.random.default_rng(0).normal(size=1000).tolist()
    assert score(CRPS(estimator="fair"), [-1e9, 1e9], 0.3) == 0
    assert score(CRPS(), [-1e9, 1e9], 0.3) > 1e8
    assert score(CRPS(), honest, 0.3) < 0.5
    assert CRPS().strictly_proper
    assert not CRPS(estimator="fair").strictly_proper


@given(st.lists(numbers, min_size=9, max_size=9).map(sorted), numbers)
def test_quantiles_have_twice_the_mean_pinball_loss(values: list[float], y: float) -> None:
    levels = [n / 10 for n in range(1, 10)]
    expected = [(v - y) * (1 - t) if y <= v else (y - v) * t for v, t in zip(values, levels, strict=True)]
    found = score(CRPS(levels=levels), {"levels": levels, "values": values}, y)
    assert found == pytest.approx(2 * math.fsum(expected) / 9, rel=1e-12, abs=1e-12)


def test_many_quantiles_and_many_samples_near_the_density_that_they_are_of() -> None:
    levels = ((np.arange(1000) + 0.5) / 1000).tolist()
    values = scipy.stats.norm.ppf(levels).tolist()
    expected = score(CRPS(), normal(0, 1), 0.7)
    assert score(CRPS(levels=levels), {"levels": levels, "values": values}, 0.7) == pytest.approx(expected, rel=1e-3)
    assert score(CRPS(), values, 0.7) == pytest.approx(expected, rel=1e-3)


def test_a_point_has_the_absolute_error_and_kinds_may_be_mixed() -> None:
    rule = CRPS(levels=[0.5])
    steps = [normal(0, 1), [0.0, 1.0], {"levels": [0.5], "values": [3.0]}, density("t", df=3.0)]
    apart = [score(rule, [step], 0.5) for step in steps]
    assert score(rule, steps, [0.5] * 4) == pytest.approx(sum(apart) / 4)
    assert score(rule, 2, 0.5) == 1.5


def test_a_part_of_a_mixture_keeps_the_order_of_its_parameters() -> None:
    assert Part(1.0, "beta", (2.0, 3.0, 0.0, 1.0)).parameters == (2.0, 3.0, 0.0, 1.0)
    found = score(CRPS(), density("beta", b=3.0, a=2.0, scale=2.0, loc=-1.0), 0.1)
    assert found == pytest.approx(float(scoringrules.crps_beta(0.1, 2, 3, lower=-1, upper=1)), rel=1e-9)
