"""Quantiles, samples, paths, points and probabilities are accepted and refused as their annotations say."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import pytest
from annotated_types import Len
from pydantic import TypeAdapter, ValidationError

from crunch_game.contract import Contract, Mismatch
from crunch_game.scoring import (
    Categories,
    Density,
    Levels,
    Names,
    PathLength,
    Paths,
    Point,
    Probability,
    Quantiles,
    Samples,
)
from crunch_game.scoring.answers._samples import MAX_DRAWS, MAX_NUMBERS

RANGE = "from -1e+300 to 1e+300, the range that double precision can tell"
THREE = {"levels": [0.1, 0.5, 0.9], "values": [-2.0, 0.0, 3.0]}
TREND = Annotated[Categories, Names("down", "flat", "up")]


def read(annotation: Any, answer: Any) -> Any:
    """What a game takes an answer for, as it arrives from a model."""

    class Base:
        def predict(self) -> Any: ...

    return Contract(Base, returns={"predict": annotation}).method("predict").read(answer)


@pytest.mark.parametrize(
    ("annotation", "answer"),
    [
        (Quantiles, THREE),
        (Quantiles, {"levels": [0.5], "values": [1.0]}),
        (Quantiles, {"levels": [0.1, 0.9], "values": [1.0, 1.0]}),
        (Annotated[Quantiles, Levels(0.1, 0.5, 0.9)], THREE),
        (list[Quantiles], [THREE, THREE]),
        (Samples, [1.0, -1e300, 1.0]),
        (Annotated[Samples, Len(2, 3)], [1.0, 2.0]),
        (Paths, [[1.0, 2.0], [3.0, 4.0]]),
        (Annotated[Paths, Len(2, 2), PathLength(1)], [[1.0], [3.0]]),
        (Point, -1.5),
        (list[Point], [0.0, 1e300]),
        (Probability, 0.0),
        (Probability, 1.0),
        (Categories, {"yes": 0.25, "no": 0.75}),
        (Categories, [0.1] * 10),
        (Categories, [0.5, 0.5000009]),
        (Annotated[Categories, Len(2, 2)], [0.5, 0.5]),
        (TREND, {"down": 0.25, "flat": 0.25, "up": 0.5}),
    ],
)  # fmt: skip
def test_good_answers_are_accepted_as_they_are(annotation: Any, answer: Any) -> None:
    assert read(annotation, answer) == answer


def test_numpy_and_whole_numbers_are_taken_for_plain_numbers() -> None:
    assert read(Samples, np.array([1, 2])) == [1.0, 2.0]
    assert read(Paths, np.array([[1.0, 2.0], [3.0, 4.0]])) == [[1.0, 2.0], [3.0, 4.0]]
    assert read(Quantiles, {"levels": (0.1, 0.9), "values": np.array([1, 2])}) == {
        "levels": [0.1, 0.9],
        "values": [1.0, 2.0],
    }
    assert read(Categories, np.array([0.5, 0.5])) == [0.5, 0.5]
    assert repr(read(Point, 1)) == "1.0"


def test_levels_that_were_computed_are_taken_for_those_asked_for() -> None:
    levels = [3 * 0.1, 0.7000000000000001]
    assert read(Annotated[Quantiles, Levels(0.3, 0.7)], {"levels": levels, "values": [1, 2]}) == {
        "levels": [0.3, 0.7],
        "values": [1.0, 2.0],
    }


def test_named_categories_get_the_authors_order() -> None:
    assert list(read(TREND, {"up": 0.5, "down": 0.25, "flat": 0.25})) == ["down", "flat", "up"]


@pytest.mark.parametrize(
    ("annotation", "answer", "message"),
    [
        (Quantiles, {"levels": [0.1]}, "at ['values']: Field required"),
        (Quantiles, THREE | {"type": "q"}, "at ['type']: Extra inputs are not permitted"),
        (Quantiles, {"levels": [], "values": []}, "at ['levels']: List should have at least 1 item"),
        (Quantiles, {"levels": [0.5], "values": [1, 2]},
         "there must be as many values as levels, got 2 values and 1 levels"),
        (Quantiles, {"levels": [0.0], "values": [1]},
         "at ['levels'][0]: a level must be a number between 0 and 1, both excluded, not 0.0"),
        (Quantiles, {"levels": [1], "values": [1]}, "a level must be a number between 0 and 1, both excluded, not 1"),
        (Quantiles, {"levels": [True], "values": [1]},
         "a level must be a number between 0 and 1, both excluded, not True"),
        (Quantiles, {"levels": [0.5, 0.5], "values": [1, 2]}, "levels must increase, but 0.5 stands before 0.5"),
        (Quantiles, {"levels": [0.5, 0.6], "values": [2, 1]}, "values must not decrease, but 2.0 stands before 1.0"),
        (Quantiles, {"levels": [0.5], "values": [1e301]}, f"a value must be a number {RANGE}, not 1e+301"),
        (Annotated[Quantiles, Levels(0.1, 0.9)], THREE, "the levels must be [0.1, 0.9]"),
        (Annotated[Quantiles, Levels(0.1, 0.5, 0.90001)], THREE, "the levels must be [0.1, 0.5, 0.90001]"),
        (Samples, [], "List should have at least 1 item"),
        (Samples, [0.0] * (MAX_DRAWS + 1), "List should have at most 10000 items"),
        (Samples, [1.0, True], f"at [1]: a draw must be a number {RANGE}, not True"),
        (Samples, [1.0, "2"], f"at [1]: a draw must be a number {RANGE}, not '2'"),
        (Samples, [math.nan], "at [0] stands nan; NaN and infinity are not allowed"),
        (Annotated[Samples, Len(2, 3)], [1.0], "List should have at least 2 items"),
        (Annotated[Samples, Len(2, 3)], [1.0] * 4, "List should have at most 3 items"),
        (Paths, [[]], "at [0]: List should have at least 1 item"),
        (Paths, [[1.0], [1.0, 2.0]], "all paths must have equally many steps, got 1 and 2"),
        (Paths, [1.0], "at [0]: Input should be a list, not 1.0"),
        (Annotated[Paths, PathLength(2)], [[1.0]], "a path must have 2 steps, got 1"),
        (Annotated[Paths, Len(2, 2), PathLength(1)], [[1.0]], "at least 2"),
        (Point, True, f"a point must be a number {RANGE}, not True"),
        (Point, 1e301, f"a point must be a number {RANGE}, not 1e+301"),
        (Probability, 1.0000001, "a probability must be a number from 0 to 1, not 1.0000001"),
        (Probability, -0.1, "a probability must be a number from 0 to 1, not -0.1"),
        (Probability, False, "a probability must be a number from 0 to 1, not False"),
        (Categories, [0.5, 0.51], "the probabilities of all categories must sum to 1, got 1.01"),
        (Categories, [0.5, 0.5000011], "the probabilities of all categories must sum to 1, got 1.0000011"),
        (Categories, {"a": 0.5}, "the probabilities of all categories must sum to 1, got 0.5"),
        (Categories, {"a": 1.5, "b": -0.5}, "at ['a']: a probability must be a number from 0 to 1, not 1.5"),
        (Categories, [], "List should have at least 1 item"),
        (Categories, {}, "Dictionary should have at least 1 item"),
        (Categories, {0: 1.0}, "it has the key 0, which should be a str"),
        (Categories, 1.0, "probabilities of categories must be a dict, by name, or a list, not 1.0"),
        (Annotated[Categories, Len(3, 3)], [0.5, 0.5], "at least 3"),
        (TREND, {"down": 0.5, "up": 0.5}, "the categories must be ['down', 'flat', 'up'], by name"),
        (TREND, [0.5, 0.25, 0.25], "the categories must be ['down', 'flat', 'up'], by name"),
    ],
)  # fmt: skip
def test_bad_answers_are_refused_with_a_sentence(annotation: Any, answer: Any, message: str) -> None:
    with pytest.raises(Mismatch) as caught:
        read(annotation, answer)
    assert message in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_paths_have_a_largest_size() -> None:
    paths: TypeAdapter[Any] = TypeAdapter(Paths)
    paths.validate_python([[1.0] * 100] * 10_000, strict=True)
    with pytest.raises(ValidationError, match=f"10000 paths of 101 steps are more than {MAX_NUMBERS:,} numbers"):
        paths.validate_python([[1.0] * 101] * 10_000, strict=True)
    with pytest.raises(ValidationError, match="at most 10000 items"):
        paths.validate_python([[1.0]] * 10_001, strict=True)
    with pytest.raises(ValidationError, match="at most 10000 items"):
        paths.validate_python([[1.0] * 10_001], strict=True)


def test_an_answer_may_be_one_of_several_kinds() -> None:
    either: TypeAdapter[Any] = TypeAdapter(Samples | Quantiles | Density)
    for answer in ([1.0], THREE, {"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": 1.0}}):
        assert either.validate_python(answer, strict=True) == answer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Levels(), "there must be at least one level"),
        (lambda: Levels(0.5, 1.0), "a level must be a number between 0 and 1, both excluded, got 1.0"),
        (lambda: Levels(0.5, 0.1), "levels must increase, but 0.5 stands before 0.1"),
        (lambda: Names(), "categories have different names, and there is at least one, got []"),
        (lambda: Names("a", "a"), "categories have different names, and there is at least one, got ['a', 'a']"),
        (lambda: PathLength(0), "a path has 1 to 10,000 steps, not 0"),
    ],
)
def test_an_authors_own_parameters_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        make()
    assert str(caught.value) == message
