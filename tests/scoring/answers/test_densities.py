"""Densities are accepted, refused and flattened as the format says."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import crunch_game.scoring
from crunch_game.scoring import (
    FAMILIES,
    Builtin,
    Component,
    Density,
    Families,
    Family,
    Mixture,
    Normal,
    Scipy,
    as_components,
    as_normal_mixture,
    density,
    mixture,
    normal,
)
from crunch_game.scoring.answers import MAX_COMPONENTS

answers: TypeAdapter[list[Density]] = TypeAdapter(list[Density])

NORMAL: Any = {"type": "builtin", "name": "norm", "params": {"loc": 0.5, "scale": 2.0}}
T: Any = {"type": "scipy", "name": "t", "params": {"df": 3, "loc": 0, "scale": 1}}


def mixed(*components: tuple[Any, Any]) -> Any:
    return {"type": "mixture", "components": [{"density": density, "weight": weight} for weight, density in components]}


def changed(density: Any, **params: Any) -> Any:
    return {**density, "params": {**density["params"], **params}}


@pytest.mark.parametrize(
    "density",
    [
        NORMAL,
        {**NORMAL, "step": 300},
        changed(NORMAL, loc=0, scale=1),
        T,
        {"type": "scipy", "name": "norm", "params": {}},
        {"type": "builtin", "name": "gamma", "params": {"a": 2.0, "loc": 0.0, "scale": 1e-300}},
        {"type": "scipy", "name": "beta", "params": {"a": 0.1, "b": 1e6, "scale": 1e300}},
        {"type": "scipy", "name": "uniform", "params": {"loc": -1e300}},
        mixed((5e8, NORMAL), (5e8, NORMAL)),
        mixed((1, NORMAL), (0, T)),
        {**mixed((0.5, mixed((1.0, NORMAL), (2.0, NORMAL))), (0.5, NORMAL)), "step": 60.0},
    ],
)
def test_good_densities_are_accepted_as_they_are(density: Any) -> None:
    assert answers.validate_python([density], strict=True) == [density]


def test_whole_numbers_become_floats() -> None:
    (density,) = answers.validate_python([changed(NORMAL, loc=0, scale=1)], strict=True)
    assert repr(density["params"]) == "{'loc': 0.0, 'scale': 1.0}"  # type: ignore[typeddict-item]


RANGE = ", the range that double precision can tell"
SCALE = f"scale must be a number from 1e-300 to 1e+300{RANGE}"
LOC = f"loc must be a number from -1e+300 to 1e+300{RANGE}"
WEIGHT = f"weight must be a number from 0 to 1e+300{RANGE}"
TYPE = 'the "type" of a density must be "builtin", "scipy", "mixture"'
BUILTINS = '"norm", "t", "laplace", "expon", "lognorm", "gamma", "beta"'
FAMILY_NAMES = '"norm", "t", "logistic", "laplace", "uniform", "expon", "lognorm", "gamma", "beta"'


@pytest.mark.parametrize(
    ("density", "where", "message"),
    [
        (changed(NORMAL, scale=0), "builtin.norm.params.scale", SCALE),
        (changed(NORMAL, scale=-1.0), "builtin.norm.params.scale", SCALE),
        (changed(NORMAL, scale=math.nan), "builtin.norm.params.scale", SCALE),
        (changed(NORMAL, scale=5e-324), "builtin.norm.params.scale", SCALE),
        (changed(NORMAL, scale=1e-301), "builtin.norm.params.scale", SCALE),
        (changed(NORMAL, scale=1e301), "builtin.norm.params.scale", SCALE),
        (changed(NORMAL, scale=10**400), "builtin.norm.params.scale", SCALE),
        (changed(NORMAL, loc=-1e301), "builtin.norm.params.loc", LOC),
        (changed(NORMAL, loc=math.inf), "builtin.norm.params.loc", LOC),
        (changed(NORMAL, loc="1"), "builtin.norm.params.loc", LOC),
        (changed(NORMAL, loc=True), "builtin.norm.params.loc", LOC),
        (changed(NORMAL, df=3), "builtin.norm.params.df", "Extra inputs are not permitted"),
        ({**NORMAL, "params": {"loc": 0.0}}, "builtin.norm.params.scale", "Field required"),
        ({**NORMAL, "name": "logistic"}, "builtin", f'the "name" of a builtin density must be {BUILTINS}'),
        ({**NORMAL, "name": None}, "builtin", f'the "name" of a builtin density must be {BUILTINS}'),
        ({**NORMAL, "name": ["norm"]}, "builtin", f'the "name" of a builtin density must be {BUILTINS}'),
        ({**T, "type": "builtin", "params": {"df": 3, "scale": 1}}, "builtin.t.params.loc", "Field required"),
        ({**NORMAL, "step": 0}, "builtin.norm.step", "step must be a number of seconds greater than 0"),
        ({**NORMAL, "note": 1}, "builtin.norm.note", "Extra inputs are not permitted"),
        (changed(T, scale=-1), "scipy.t.params.scale", SCALE),
        (changed(T, df=0), "scipy.t.params.df", "df must be a number from 0.1 to 1e+06"),
        (changed(T, s=1), "scipy.t.params.s", "Extra inputs are not permitted"),
        ({**T, "params": {}}, "scipy.t.params.df", "Field required"),
        ({**T, "name": "cauchy"}, "scipy", f'the "name" of a scipy density must be {FAMILY_NAMES}'),
        (mixed(), "mixture.components", "List should have at least 1 item after validation, not 0"),
        (mixed((-1, NORMAL)), "mixture.components.0.weight", WEIGHT),
        (mixed((math.nan, NORMAL)), "mixture.components.0.weight", WEIGHT),
        (mixed((math.inf, NORMAL)), "mixture.components.0.weight", WEIGHT),
        (mixed((1e301, NORMAL)), "mixture.components.0.weight", WEIGHT),
        (mixed((True, NORMAL)), "mixture.components.0.weight", WEIGHT),
        (mixed((0, NORMAL)), "mixture.components", "Value error, at least one weight must be greater than 0"),
        (mixed((1, changed(NORMAL, scale=0))), "mixture.components.0.density.builtin.norm.params.scale", SCALE),
        (mixed(*[(1, mixed(*[(1, NORMAL)] * 65))] * 2), "mixture.components",
         "Value error, a mixture has at most 128 components, those of nested mixtures included"),
        ({"type": "normal"}, "", TYPE),
        ({"type": "statistics", "name": "normal", "params": {"mu": 0, "sigma": 1}}, "", TYPE),
        ({}, "", TYPE),
    ],
)  # fmt: skip
def test_bad_densities_are_refused_with_one_readable_message(density: Any, where: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        answers.validate_python([density], strict=True)
    errors = caught.value.errors()
    assert [(".".join(map(str, error["loc"][1:])), error["msg"]) for error in errors] == [(where, message)]


def test_a_mixture_has_a_largest_size() -> None:
    answers.validate_python([mixed(*[(1, NORMAL)] * MAX_COMPONENTS)], strict=True)
    with pytest.raises(ValidationError, match=r"List should have at most 128 items after validation"):
        answers.validate_python([mixed(*[(1, NORMAL)] * (MAX_COMPONENTS + 1))], strict=True)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_every_family_is_admitted_between_the_bounds_of_its_shapes(family: Family) -> None:
    for bound in (0, 1):
        shapes = {shape: bounds[bound] for shape, bounds in family.shapes.items()}
        made = density(family.name, **shapes)
        assert answers.validate_python([made], strict=True) == [made]
        assert as_components(made) == [(1.0, family.name, (*shapes.values(), 0.0, 1.0))]
    for shape, (least, most) in family.shapes.items():
        for wrong in (least / 2, most * 2):
            with pytest.raises(ValidationError, match=f"{shape} must be a number from {least:g}"):
                answers.validate_python([changed(made, **{shape: wrong})], strict=True)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_family_is_the_one_of_scipy(family: Family) -> None:
    known = getattr(scipy.stats, family.name)
    assert (*(known.shapes.split(", ") if known.shapes else ()), "loc", "scale") == family.parameters
    assert (known.a, known.b) == family.support


def test_an_author_narrows_densities_to_some_families() -> None:
    narrow: TypeAdapter[Any] = TypeAdapter(list[Annotated[Density, Families("norm", "logistic")]])
    good = [NORMAL, mixed((1, density("logistic")), (1, mixed((1, NORMAL))))]
    assert narrow.validate_python(good, strict=True) == good
    for bad in (T, mixed((1, mixed((1, T))))):
        with pytest.raises(ValidationError, match=r'the "name" of a scipy density must be "norm", "logistic"'):
            narrow.validate_python([bad], strict=True)
    for names, told in (((), "none"), (("t", "cauchy"), '"cauchy"')):
        with pytest.raises(ValueError, match=f"the families are {FAMILY_NAMES}, not {told}"):
            Families(*names)


LAPLACE: Any = {"type": "builtin", "name": "laplace", "params": {"loc": 0, "scale": 1}}


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        (Normal, NORMAL, changed(NORMAL, scale=0)),
        (Builtin, LAPLACE, changed(LAPLACE, loc=1e301)),
        (Scipy, T, changed(T, df=-1)),
        (Mixture, mixed((1, mixed((2, T)))), mixed((1, mixed((2, changed(T, df=-1)))))),
        (Component, {"density": mixed((1, T)), "weight": 1}, {"density": mixed((1, T)), "weight": -1}),
    ],
)
def test_a_shape_is_checked_alone_as_in_a_density(shape: Any, good: Any, bad: Any) -> None:
    alone: TypeAdapter[Any] = TypeAdapter(list[shape])
    assert alone.validate_python([good], strict=True) == [good]
    with pytest.raises(ValidationError, match="must be a number from"):
        alone.validate_python([bad], strict=True)


def test_mixtures_of_any_families_are_flattened() -> None:
    nested = mixture([(1, NORMAL), (3, mixture([(1, density("t", df=4, scale=2)), (0, T), (1, density("expon"))]))])
    assert as_components(nested) == [
        (0.25, "norm", (0.5, 2.0)),
        (0.375, "t", (4.0, 0.0, 2.0)),
        (0.375, "expon", (0.0, 1.0)),
    ]


def test_a_share_that_is_too_small_for_double_precision_is_no_component() -> None:
    deep = mixture([(1, NORMAL), (1e-200, mixture([(1e-200, T), (1, NORMAL)]))])
    assert [part.weight for part in as_components(deep)] == [1.0, 1e-200]


def test_a_huge_mixture_is_refused_after_its_first_components() -> None:
    poison = {"density": NORMAL, "weight": -1}
    huge = {"type": "mixture", "components": [{"density": NORMAL, "weight": 1}] * 129 + [poison] * 100_000}
    with pytest.raises(ValidationError) as caught:
        answers.validate_python([huge], strict=True)
    assert [error["type"] for error in caught.value.errors()] == ["too_long"]
    with pytest.raises(ValueError, match="a mixture has at most 128 components"):
        as_components(huge)


def test_the_helpers_build_valid_densities() -> None:
    built: list[Density] = [
        normal(0.5, 2),
        mixture([(1, normal(0, 1)), (3, mixture([(2, normal(1, 2, step=60))]))], 300),
    ]
    assert answers.validate_python(built, strict=True) == built
    assert built[0] == NORMAL
    assert built[1]["step"] == 300


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: normal(0, 0), "scale must be greater than 0, got 0"),
        (lambda: normal(0, -1.5), "scale must be greater than 0, got -1.5"),
        (lambda: normal(math.nan, 1), "loc must be a finite number, got nan"),
        (lambda: normal(0, math.inf), "scale must be a finite number, got inf"),
        (lambda: normal("0", 1), "loc must be a finite number, got '0'"),
        (lambda: normal(1e301, 1), f"{LOC}, got 1e+301"),
        (lambda: normal(0, 1e-310), f"{SCALE}, got 1e-310"),
        (lambda: density("t", df=-1), "df must be a number from 0.1 to 1e+06, got -1"),
        (lambda: density("t"), "the key \"df\" is missing in {'loc': 0.0, 'scale': 1.0}"),
        (lambda: density("norm", df=4), '"norm" has the parameters "loc", "scale", not "loc", "scale", "df"'),
        (lambda: density("cauchy"), f"'cauchy' is not one of the families of scipy densities: {FAMILY_NAMES}"),
        (lambda: mixture([(1e301, NORMAL)]), f"{WEIGHT}, got 1e+301"),
        (lambda: mixture([]), "a mixture has at least one component"),
        (lambda: mixture([(1, NORMAL)] * 129), "a mixture has at most 128 components"),
        (lambda: mixture([(-1, NORMAL)]), "weight must not be negative, got -1.0"),
        (lambda: mixture([(0, NORMAL)]), "at least one weight must be greater than 0"),
        (lambda: mixture([(math.nan, NORMAL)]), "weight must be a finite number, got nan"),
    ],
)
def test_the_helpers_refuse_what_is_no_density(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        build()
    assert str(caught.value) == message


def test_normals_are_mixtures_of_one() -> None:
    assert as_normal_mixture(NORMAL) == ([1.0], [0.5], [2.0])
    assert as_normal_mixture({"type": "scipy", "name": "norm", "params": {}}) == ([1.0], [0.0], [1.0])
    assert as_normal_mixture({"type": "scipy", "name": "norm", "params": {"scale": 3}}) == ([1.0], [0.0], [3.0])


def test_nested_mixtures_are_flattened_in_order_and_normalised() -> None:
    inner = mixture([(1, normal(1, 1)), (3, normal(2, 1))])
    density = mixture([(6, normal(0, 1)), (0, T), (2, inner)])
    assert as_normal_mixture(density) == ([0.75, 0.0625, 0.1875], [0.0, 1.0, 2.0], [1.0, 1.0, 1.0])


def test_weights_may_be_of_any_size() -> None:
    assert as_normal_mixture(mixture([(1e300, NORMAL)] * 4))[0] == [0.25] * 4
    assert as_normal_mixture(mixture([(5e-324, NORMAL)] * 4))[0] == [0.25] * 4


def test_a_deep_nest_is_no_recursion_error() -> None:
    density: Density = NORMAL
    for _ in range(20_000):
        density = {"type": "mixture", "components": [{"density": density, "weight": 1}]}
    assert as_normal_mixture(density) == ([1.0], [0.5], [2.0])
    while density["type"] == "mixture":  # freed from the outside in, for so does CPython, by recursion
        density = density["components"].pop()["density"]


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (T, "'t' is not a normal distribution; this rule scores normals and mixtures of them"),
        (mixed((1, T)), "'t' is not a normal distribution; this rule scores normals and mixtures of them"),
        ({**NORMAL, "type": "x"}, "the \"type\" of a density is \"builtin\", \"scipy\" or \"mixture\", not 'x'"),
        ({"type": "builtin"}, "the key \"name\" is missing in {'type': 'builtin'}"),
        (3.5, 'a dict with the key "type" belongs here, not 3.5'),
        (changed(NORMAL, scale=0), "scale must be greater than 0, got 0"),
        (changed(NORMAL, loc=None), "loc must be a finite number, got None"),
        (changed(NORMAL, df=1), '"norm" has the parameters "loc", "scale", not "loc", "scale", "df"'),
        ({**NORMAL, "params": [1]}, 'a dict with the key "loc" belongs here, not [1]'),
        ({"type": "mixture", "components": 1}, 'the "components" of a mixture are a list, not 1'),
        (mixed(), "a mixture has at least one component"),
        (mixed((1, mixed(*[(1, NORMAL)] * 100)), (1, mixed(*[(1, NORMAL)] * 100))),
         "a mixture has at most 128 components"),
    ],
)  # fmt: skip
def test_what_is_no_mixture_of_normals_is_a_sentence(density: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        as_normal_mixture(density)
    assert str(caught.value) == message


normals = st.builds(normal, st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
weights = st.just(0.0) | st.floats(1e-3, 1e3)
densities = st.recursive(
    normals,
    lambda inner: (
        st.lists(st.tuples(weights, inner), min_size=1, max_size=4)
        .filter(lambda parts: any(w for w, _ in parts))
        .map(mixture)
    ),
    max_leaves=8,
)


@given(densities)
def test_what_is_valid_has_weights_that_sum_to_one(density: Density) -> None:
    assert answers.validate_python([density], strict=True) == [density]
    shares, locs, scales = as_normal_mixture(density)
    assert len(shares) == len(locs) == len(scales)
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert min(scales) > 0


def loaded_by(code: str) -> set[str]:
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.processes
def test_a_model_process_needs_next_to_nothing_for_densities() -> None:
    heavy = {"pydantic", "pydantic_core", "numpy", "scipy", "scoringrules", "msgspec", "sqlalchemy"}
    assert not heavy & loaded_by("import crunch_game.scoring")
    assert not heavy & loaded_by("from crunch_game.scoring import Density, normal; normal(0, 1)")
    assert not heavy & loaded_by("from crunch_game.scoring import CRPS, LogScore; CRPS(), LogScore()")


@pytest.mark.processes
def test_a_model_process_needs_next_to_nothing_for_any_answer() -> None:
    heavy = {"pydantic", "pydantic_core", "numpy", "scipy", "scoringrules", "msgspec", "sqlalchemy"}
    faces = "import crunch_game.scoring.answers as answers; [getattr(answers, name) for name in answers.__all__]"
    assert not heavy & loaded_by(faces)


def test_the_page_about_answers_has_every_family() -> None:
    page = Path(__file__).parents[3] / "docs" / "answers.md"
    rows = re.findall(r"^\| `(\w+)` \| (yes)? ?\| ([^|]*)\| ", page.read_text(encoding="utf-8"), re.MULTILINE)
    told = [(name, bool(builtin), re.findall(r"`(\w+)`", shapes)) for name, builtin, shapes in rows]
    assert told == [(family.name, family.builtin, list(family.shapes)) for family in FAMILIES.values()]


def test_every_public_name_is_there_and_no_other() -> None:
    for name in crunch_game.scoring.__all__:
        assert getattr(crunch_game.scoring, name) is not None
    with pytest.raises(AttributeError, match=r"has no attribute 'Briar'"):
        crunch_game.scoring.Briar  # noqa: B018
