"""Densities, distribution functions, quantiles and draws are right: against scipy, high precision, and their laws."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from crunch_game.scoring import FAMILIES, Density, Family, cdf, density, mixture, normal, pdf, quantile, sample

NAMES = sorted(FAMILIES)
P = np.array([1e-12, 1e-6, 0.001, 0.1, 0.5, 0.7, 0.99, 1 - 1e-9])


@st.composite
def single(draw: st.DrawFn, least: float = 0.5, most: float = 1e3, scale: float = 100) -> Density:
    """A density whose shapes lie between `least` and `most`, where its family admits that."""
    family: Family = FAMILIES[draw(st.sampled_from(NAMES))]
    shapes = {
        name: draw(st.floats(max(least, low), min(2 if name == "s" else most, high)))
        for name, (low, high) in family.shapes.items()
    }
    return density(family.name, loc=draw(st.floats(-10, 10)), scale=draw(st.floats(1 / scale, scale)), **shapes)


def mixtures(inner: st.SearchStrategy[Density]) -> st.SearchStrategy[Density]:
    return st.lists(st.tuples(st.floats(1e-6, 1e9), inner), min_size=1, max_size=4).map(mixture)


blends = st.recursive(single(), mixtures, max_leaves=8)


def of_scipy(made: Any) -> Any:
    return getattr(scipy.stats, made["name"])(**made["params"])


@pytest.mark.filterwarnings("ignore:Error in function boost:RuntimeWarning")  # scipy's inverse of the beta
@given(single(0.1))
def test_a_density_is_the_one_of_scipy(made: Density) -> None:
    reference = of_scipy(made)
    x = reference.ppf(P)
    assert quantile(made, P) == pytest.approx(x, rel=1e-9)
    low, high = reference.support()
    inside = x[(x > low) & (x < high)]
    assert cdf(made, inside) == pytest.approx(reference.cdf(inside), rel=1e-9, abs=1e-14)
    assert pdf(made, inside) == pytest.approx(reference.pdf(inside), rel=1e-8)
    assert quantile(made, [0, 1]).tolist() == [low, high]
    assert cdf(made, [low, high]) == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("ask", "answer", "x", "expected"),
    [
        (cdf, normal(0, 1), -37, 5.7255712225245768e-300),
        (cdf, normal(1e300, 1e300), 1e300, 0.5),
        (pdf, normal(0, 1e-300), 37e-300, 212.00065515246056),
        (cdf, density("t", df=0.1), -1e200, 4.1738031371732178e-21),
        (pdf, density("t", df=0.1), 1e160, 4.1738031371732094e-178),
        (pdf, density("t", df=1e6), 5, 1.4869328706530252e-6),
        (cdf, density("laplace"), -700, 4.9298382718798854e-305),
        (cdf, density("logistic"), -700, 9.8596765437597709e-305),
        (cdf, density("expon"), 1e-20, 1e-20),
        (cdf, density("lognorm", s=0.001), 0.97, 4.5235488900850858e-204),
        (cdf, density("gamma", a=0.1), 1e-200, 1.0511370061117751e-20),
        (pdf, density("gamma", a=1e6), 1e6, 0.00039894224715624403),
        (pdf, density("gamma", a=1e6), 1003000, 4.4584490189059983e-6),
        (pdf, density("beta", a=1e6, b=1e6), 0.5, 1128.3790260481255),
        (pdf, density("beta", a=1e6, b=1e6), 0.501, 20.666900102677592),
        (cdf, density("beta", a=2, b=3), 1e-100, 6e-200),
        (quantile, mixture([(1, normal(-1e60, 1)), (1e30, normal(0, 1))]), 0.5, 0.0),
        (cdf, mixture([(1e-30, normal(-1e60, 1)), (1, normal(0, 1))]), -1e50, 1e-30),
    ],
)
def test_extremes_are_right_to_many_digits(ask: Any, answer: Density, x: float, expected: float) -> None:
    """Against 60 digits of mpmath."""
    assert ask(answer, x) == pytest.approx(expected, rel=1e-11, abs=1e-15 if expected == 0 else 0)


@pytest.mark.parametrize("name", ["gamma", "beta", "expon", "uniform", "lognorm"])
def test_there_is_no_density_outside_the_support(name: str) -> None:
    made = density(name, loc=2, scale=3, **dict.fromkeys(FAMILIES[name].shapes, 1.5))
    least, most = 2 + 3 * np.array(FAMILIES[name].support)
    assert pdf(made, [least - 1e-9, -1e300, -math.inf, most + 1e-9, math.inf]).tolist() == [0] * 5
    assert cdf(made, [-math.inf, least - 1e-9, least, most, math.inf]).tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("made", "edge", "expected"),
    [
        (density("gamma", a=0.5), 0.0, math.inf),
        (density("gamma", a=1), 0.0, 1.0),
        (density("gamma", a=2), 0.0, 0.0),
        (density("beta", a=0.5, b=2), 0.0, math.inf),
        (density("beta", a=1, b=3), 0.0, 3.0),
        (density("beta", a=3, b=1), 1.0, 3.0),
        (density("beta", a=1, b=1), 1.0, 1.0),
        (density("beta", a=2, b=2), 1.0, 0.0),
        (density("expon", scale=0.5), 0.0, 2.0),
        (density("lognorm", s=1), 0.0, 0.0),
    ],
)
def test_at_an_edge_of_its_support_a_density_has_its_limit(made: Density, edge: float, expected: float) -> None:
    assert pdf(made, edge) == pytest.approx(expected)


def test_a_distribution_begins_and_ends_where_its_components_do() -> None:
    bounded = mixture([(1, density("uniform", loc=-1)), (1e-30, density("beta", a=2, b=9, loc=1, scale=3))])
    assert quantile(bounded, [0, 1]).tolist() == [-1, 4]
    assert quantile(bounded, 0) == -1
    assert quantile(mixture([(1, bounded), (1, density("expon"))]), [0, 1]).tolist() == [-1, math.inf]
    # Nearly all of it is within 1e-16 of the end, which (x - loc) / scale misses by that.
    assert cdf(density("beta", a=1, b=0.25, loc=0.0625, scale=0.01), 0.0625 + 0.01) == 1


@given(blends, st.lists(st.floats(allow_nan=False), min_size=2, max_size=20))
def test_a_distribution_function_rises_from_0_to_1(answer: Density, places: list[float]) -> None:
    x = np.sort(places)
    found = cdf(answer, x)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= -1e-13).all()
    assert cdf(answer, [-math.inf, math.inf]).tolist() == [0, 1]
    assert (pdf(answer, x) >= 0).all()


wide = st.recursive(single(0.1, 1e6, 1e300), mixtures, max_leaves=6)


@given(wide, st.lists(st.floats(1e-300, 1, exclude_max=True), min_size=1, max_size=5))
def test_a_quantile_is_the_smallest_number_that_is_reached(answer: Density, levels: list[float]) -> None:
    p = np.sort(levels)
    x = quantile(answer, p)
    with np.errstate(over="ignore", invalid="ignore"):  # a heavy tail's quantile may be infinite
        near = np.where(np.isinf(x), 0.0, 1e-13 * np.abs(x))  # that much is lost by rounding
        assert (x[:-1] - near[:-1] <= x[1:] + near[1:]).all()
        assert (cdf(answer, np.nextafter(x + near, math.inf)) >= p - 1e-9).all()
        assert (cdf(answer, np.nextafter(x - near, -math.inf)) <= p + 1e-9).all()


@given(st.recursive(single(1.0), mixtures, max_leaves=8))
@settings(max_examples=settings().max_examples // 4)
def test_the_density_is_what_the_distribution_function_grows_by(answer: Density) -> None:
    low, high = quantile(answer, [0.02, 0.98])
    edges = np.unique([low, high, *_edges(answer, low, high)])
    apart = np.concatenate([[True], np.diff(edges) > 1e-9, [True]])
    edges = edges[apart[1:] | apart[:-1]]  # of those that are near to each other, the first and the last
    grown = [scipy.integrate.fixed_quad(lambda x: pdf(answer, x), *ends, n=20)[0] for ends in itertools.pairwise(edges)]
    assert grown == pytest.approx(np.diff(cdf(answer, edges)), rel=1e-6, abs=1e-9)


def _edges(answer: Any, low: float, high: float) -> list[float]:
    """Places between which the density is nearly a polynomial, as quadrature needs it."""
    if answer["type"] == "mixture":
        return [edge for part in answer["components"] for edge in _edges(part["density"], low, high)]
    edges = quantile(answer, [0, *scipy.special.expit(np.linspace(-40, 30, 71)), 1])
    return [edge for edge in edges if low < edge < high]


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_distributed_as_the_answer_says(name: str) -> None:
    alone = density(name, loc=1, scale=2, **dict.fromkeys(FAMILIES[name].shapes, 0.8))
    nested = mixture([(3, alone), (1, mixture([(1, normal(0, 0.1)), (2, alone)]))])
    for answer in (alone, nested):
        draws = sample(answer, 5_000, np.random.default_rng(7))
        assert scipy.stats.kstest(draws, lambda x, answer=answer: cdf(answer, x)).pvalue > 0.01
        assert sample(answer, (2, 3), np.random.default_rng(7)).shape == (2, 3)
        assert (sample(answer, 5_000, np.random.default_rng(7)) == draws).all()


def test_results_have_the_shape_of_the_questions() -> None:
    for answer in (normal(0, 1), mixture([(1, normal(0, 1)), (1, normal(1, 1))])):
        assert np.shape(pdf(answer, 0)) == np.shape(cdf(answer, 0.0)) == np.shape(quantile(answer, 0.5)) == ()
        assert isinstance(cdf(answer, 0.0), np.float64)
        for ask in (pdf, cdf, quantile):
            assert ask(answer, np.full((2, 3), 0.5)).shape == (2, 3)
            assert ask(answer, []).shape == (0,)
            assert np.isnan(ask(answer, math.nan))
        assert np.isnan(quantile(answer, [-0.1, 1.1])).all()


# Answers of other kinds

QUANTILES = {"levels": [0.1, 0.5, 0.9], "values": [-2.0, 0.0, 4.0]}
TIED = {"levels": [0.1, 0.5, 0.9], "values": [1.0, 1.0, 3.0]}


def test_between_quantiles_it_is_linear_and_the_rest_stands_at_the_outermost() -> None:
    assert cdf(QUANTILES, [-2.1, -2, -1, 0, 2, 3.9999, 4, 5]) == pytest.approx([0, 0.1, 0.3, 0.5, 0.7, 0.89999, 1, 1])
    assert quantile(QUANTILES, [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1]) == pytest.approx([-2, -2, -1, 0, 2, 4, 4])
    assert np.isnan(quantile(QUANTILES, [-0.1, 1.1, math.nan])).all()
    assert cdf(TIED, [0.9, 1, 2, 3]) == pytest.approx([0, 0.5, 0.7, 1])
    assert quantile(TIED, [0.1, 0.3, 0.5, 0.7]) == pytest.approx([1, 1, 1, 2])
    draws = sample(QUANTILES, 20_000, np.random.default_rng(3))
    assert [np.mean(draws <= x) for x in (-2, 0, 2)] == pytest.approx([0.1, 0.5, 0.7], abs=0.01)
    assert draws.max() == 4


finite = st.floats(-1e300, 1e300)


@given(st.lists(finite, min_size=1, max_size=9), st.lists(finite, min_size=1), st.floats(0, 1))
def test_quantiles_and_samples_obey_the_laws(values: list[float], places: list[float], p: float) -> None:
    values.sort()
    levels = [float(level) for level in np.linspace(0.05, 0.95, len(values) + 1)[1:]]
    for answer in ({"levels": levels, "values": values}, values):
        found = cdf(answer, np.sort(places))
        assert ((found >= 0) & (found <= 1)).all()
        assert (np.diff(found) >= 0).all()
        x = quantile(answer, p)
        assert values[0] <= x <= values[-1]
        assert cdf(answer, np.nextafter(x, math.inf)) >= p - 1e-12
        assert cdf(answer, np.nextafter(x, -math.inf)) <= p + 1e-12
    assert [cdf(values, quantile(values, k / len(values))) >= k / len(values) for k in range(1, len(values) + 1)]


def test_samples_are_equally_likely() -> None:
    draws = [3.0, 1.0, 2.0, 2.0]
    assert cdf(draws, [0.9, 1, 2, 2.5, 3]).tolist() == [0, 0.25, 0.75, 0.75, 1]
    assert quantile(draws, [0, 0.25, 0.26, 0.75, 0.76, 1]).tolist() == [1, 1, 2, 2, 3, 3]
    assert cdf(np.array(draws), 2) == 0.75
    again = sample(draws, 4_000, np.random.default_rng(1))
    assert [np.mean(again == x) for x in (1, 2, 3)] == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_paths_are_asked_step_by_step_and_drawn_whole() -> None:
    paths = [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]
    assert cdf(paths, [2.0, 30.0]).tolist() == [0.5, 0.75]
    assert cdf(paths, 3).tolist() == [0.75, 0]
    assert cdf(paths, [[2.0, 30.0], [4.0, 5.0]]).tolist() == [[0.5, 0.75], [1, 0]]
    assert quantile(paths, 0.5).tolist() == [2, 20]
    assert quantile(paths, [0.25, 1]).tolist() == [[1, 10], [4, 40]]
    drawn = sample(paths, (5, 3), np.random.default_rng(2))
    assert drawn.shape == (5, 3, 2)
    assert (drawn[..., 1] == 10 * drawn[..., 0]).all()
    assert set(drawn[..., 0].ravel()) == {1, 2, 3, 4}


def test_an_event_happens_or_does_not() -> None:
    assert pdf(0.25, [0, 1, 0.5], kind="probability").tolist() == [0.75, 0.25, 0]
    assert cdf(0.25, [-1, 0, 0.5, 1], kind="probability").tolist() == [0, 0.75, 0.75, 1]
    assert quantile(0.25, [0, 0.75, 0.76, 1], kind="probability").tolist() == [0, 0, 1, 1]
    assert quantile([1.0], 0.3).tolist() == 1
    assert quantile(1.0, 0, kind="probability") == 1
    assert quantile(0.0, 1, kind="probability") == 0
    assert np.mean(sample(0.25, 4_000, np.random.default_rng(1), kind="probability")) == pytest.approx(0.25, abs=0.02)


def test_categories_are_numbered_or_named() -> None:
    numbered = [0.1, 0.0, 0.6, 0.3, 0.0]
    assert pdf(numbered, [0, 1, 2, 5, 0.5], kind="categories").tolist() == [0.1, 0, 0.6, 0, 0]
    assert cdf(numbered, [-1, 0, 1.5, 2, 3], kind="categories") == pytest.approx([0, 0.1, 0.1, 0.7, 1])
    assert quantile(numbered, [0, 0.1, 0.2, 0.9, 1], kind="categories").tolist() == [0, 0, 2, 3, 3]
    tenths = [0.1] * 10 + [0.0]  # whose sum, step by step, is less than 1
    assert cdf(tenths, 9, kind="categories") == 1
    assert quantile(tenths, 1, kind="categories") == 9
    named = {"no": 0.75, "yes": 0.2500001}
    assert pdf(named, "yes") == pytest.approx(0.25)
    assert pdf(named, ["yes", "no", "perhaps"]) == pytest.approx([0.25, 0.75, 0])
    drawn = sample(named, 4_000, np.random.default_rng(1))
    assert np.mean(drawn == "yes") == pytest.approx(0.25, abs=0.02)


def test_a_point_is_certain() -> None:
    assert cdf(2.0, [1.9, 2, 2.1]).tolist() == [0, 1, 1]
    assert quantile(2, [0, 0.5, 1]).tolist() == [2, 2, 2]
    assert sample(2.0, 3, np.random.default_rng(0)).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: pdf(QUANTILES, 0),
         "quantiles have no density: what is beyond the first and the last stands at these"),
        (lambda: pdf([1.0, 2.0], 0), "samples have no density"),
        (lambda: pdf([[1.0, 2.0]], 0), "paths have no density"),
        (lambda: pdf(1.0, 0), "a point has no density"),
        (lambda: cdf({"a": 1.0}, 0), "categories by name have no order; a list of their probabilities has one"),
        (lambda: quantile({"a": 1.0}, 0), "categories by name have no order; a list of their probabilities has one"),
        (lambda: cdf([normal(0, 1)], 0),
         "one answer can be asked at a time; of a list with one for each step, ask each"),
        (lambda: cdf("x", 0), "there is no distribution in 'x'"),
        (lambda: cdf(True, 0), "there is no distribution in True"),
        (lambda: cdf(None, 0), "a point must be a finite number, not None"),
        (lambda: cdf([], 0), "samples must be a list of finite numbers, not []"),
        (lambda: cdf([1.0, math.nan], 0), "samples must be a list of finite numbers, not [1.0, nan]"),
        (lambda: cdf([[1.0], [1.0, 2.0]], 0),
         "paths must be equally long lists of finite numbers, not [[1.0], [1.0, 2.0]]"),
        (lambda: cdf(1.5, 0, kind="probability"), "a probability must be a number from 0 to 1, got 1.5"),
        (lambda: cdf([0.5, 0.4], 0, kind="categories"), "the probabilities of all categories must sum to 1, got 0.9"),
        (lambda: cdf({"levels": [0.5], "values": []}, 0),
         "there must be as many values as levels, got 0 values and 1 levels"),
        (lambda: cdf({"type": "scipy", "name": "cauchy", "params": {}}, 0),
         "'cauchy' is not one of the families of scipy densities: "
         '"norm", "t", "logistic", "laplace", "uniform", "expon", "lognorm", "gamma", "beta"'),
        (lambda: cdf(1.0, 0, kind="event"),
         "the kinds of answers are density, quantiles, samples, paths, probability, categories, point, not 'event'"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_sentence(ask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        ask()
    assert str(caught.value) == message


@pytest.mark.processes
def test_without_numpy_it_is_said_what_to_install() -> None:
    program = "import sys; sys.modules['numpy'] = None; from crunch_game.scoring import cdf; cdf(1.0, 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingExtra: numpy or scipy is not installed" in done.stderr
