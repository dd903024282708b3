"""Values come back as JSON gives them back, and nothing is lost on the way."""

from __future__ import annotations

import array
import dataclasses
import json
import math
import types
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.outcomes import Status
from crunch_game.storage import (
    Arrival,
    Lease,
    ModelRecord,
    Prediction,
    Score,
    ScoredRound,
    Session,
    as_document,
    encode,
    from_document,
)
from crunch_game.storage._codec import microseconds, moment, pack_model, pack_prediction, pack_rows, pack_score
from crunch_game.storage._values import decode

T0 = datetime(2024, 1, 1, tzinfo=UTC)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"]))
plain = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text("abné\0 '\""), inner), max_leaves=20
)


def same(left: Any, right: Any) -> bool:
    """Equality that tells 1 from 1.0, 0.0 from -0.0, and takes NaN for NaN."""
    return repr(left) == repr(right)


@given(plain)
@example([math.nan, math.inf, -math.inf, None, -0.0, 5e-324, 1.7976931348623157e308, 2**200])
@example("null")
@example({"null": math.nan})
def test_plain_values_come_back_equal(value: Any) -> None:
    assert same(decode(encode(value)), value)


@given(plain)
def test_the_text_is_what_python_calls_json(value: Any) -> None:
    text = encode(value)
    assert text is None if value is None else same(json.loads(text or ""), value)


class Side(StrEnum):
    LONG = "long"


@dataclasses.dataclass
class Pair:
    left: int
    right: float


class Model(pydantic.BaseModel):
    price: float


class Words(str):
    __slots__ = ()


@pytest.mark.parametrize("missing", [[], [None]])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        ({1: "a", 2.5: "b"}, {"1": "a", "2.5": "b"}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        ({1}, [1]),
        (Side.LONG, "long"),
        (Pair(1, 2.0), {"left": 1, "right": 2.0}),
        (Model(price=1.5), {"price": 1.5}),
        (Words("x"), "x"),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00Z"),
        (array.array("d", [1.0, 2.0]), [1.0, 2.0]),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, math.nan]]), [[1.0, math.nan]]),
        ({np.str_("a"): np.arange(2)}, {"a": [0, 1]}),
    ],
)
def test_other_values_become_what_json_makes_of_them(value: Any, expected: Any, missing: list[None]) -> None:
    assert same(decode(encode([value, *missing])), [expected, *missing])


circle: list[Any] = []
circle.append(circle)


@pytest.mark.parametrize("value", [1j, object(), {(1, 2): 3}, "\ud800", circle, [None, 1j]])
def test_what_json_cannot_hold_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode(value)


def test_a_text_that_is_not_json_is_a_store_error() -> None:
    with pytest.raises(StoreError) as caught:
        decode("[1,")
    assert str(caught.value) == "the store holds a value that is not JSON: '[1,'"


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_times_come_back_to_the_microsecond_in_utc(time: datetime) -> None:
    assert moment(microseconds(time.astimezone(UTC))) == time.astimezone(UTC)


@given(st.datetimes(timezones=st.just(UTC)), st.timedeltas())
def test_packed_times_sort_as_times_do(time: datetime, delta: timedelta) -> None:
    try:
        other = time + delta
    except OverflowError:
        return
    assert (microseconds(time) < microseconds(other)) == (time < other)


def asked(**changes: Any) -> Prediction:
    return Prediction("ada", "d1", "BTC", T0, T0, 3600.0, **changes)


def said_of(keep: Callable[[], object]) -> str:
    with pytest.raises(StoreError) as caught:
        keep()
    return str(caught.value)


def test_what_cannot_be_kept_is_named() -> None:
    naive = datetime(2024, 1, 1)  # noqa: DTZ001
    advice = "give numbers, texts, lists and dicts"
    assert said_of(lambda: microseconds(naive)) == f"{naive!r} has no time zone; a store keeps aware times"
    assert said_of(lambda: pack_prediction(asked(value=1j))) == (
        f"ada: BTC: the answer cannot be kept: JSON has no place for a complex; {advice}"
    )
    assert said_of(lambda: pack_rows([Row(T0, {"n": 1j})])) == (
        f"the row of 2024-01-01T00:00:00+00:00: the data cannot be kept: JSON has no place for a complex; {advice}"
    )
    for value in (math.nan, math.inf, "high"):
        score: Any = Score("ada", "BTC", T0, T0, value)  # type: ignore[arg-type]
        assert said_of(lambda score=score: pack_score(score)) == (
            f"ada: BTC: the score must be a finite number, got {value!r}"
        )
    assert said_of(lambda: pack_model(ModelRecord("\ud83d", "", "", ""))) == (
        "'\\ud83d' holds half a character and cannot be kept as a name"
    )
    assert said_of(lambda: pack_model(ModelRecord("a\0b", "", "", ""))) == (
        "'a\\x00b' holds a NUL character and cannot be kept as a name"
    )


def test_broken_text_for_people_is_mended() -> None:
    assert pack_prediction(asked(error="half \ud83d of \0 it é")).error == "half \\ud83d of \\x00 it é"


@pytest.mark.parametrize(
    "record",
    [
        Row(T0, {"n": [1, None]}, T0),
        Row(T0, {}),
        Arrival(Row(T0, {"n": 1.5}, T0), 3, "it is odd"),
        asked(value=[1.5, {"a": None}], status=Status.OK, asked_at=T0, arguments={"asset": "BTC"}),
        asked(status=Status.TIMEOUT, error="no answer within 1 s", excused=True, seen=T0),
        Score("ada", "BTC", T0, T0, 0.5, outcome=[1], metrics={"a": None}),
        ScoredRound("BTC", T0, T0, 60.0, {"asset": "BTC"}, 3, {"score": {"entry": 0.5}}),
        ModelRecord("ada", "Ada", "d1", "ready", "why"),
        Session(1, T0, T0, None),
        Lease("predict", "t", "alpha", 1, T0, T0, "b/1"),
    ],
)
def test_a_record_comes_back_from_its_document_as_from_json(record: Any) -> None:
    back = from_document(type(record), json.loads(json.dumps(as_document(record))))
    assert back == record
    assert getattr(back, "arrived", None) == getattr(record, "arrived", None)
    assert type(getattr(back, "status", None)) is type(getattr(record, "status", None))


def test_a_document_is_what_every_store_returns_of_a_record() -> None:
    local = T0.astimezone(timezone(timedelta(hours=5)))
    document = as_document(asked(value=(1, np.float64(2.5)), seen=local, error="half \ud83d"))
    assert (document["value"], document["seen"], document["error"]) == ([1, 2.5], T0.isoformat(), "half \\ud83d")
    assert said_of(lambda: as_document(Score("ada", "BTC", T0, T0, math.nan))) == (
        "ada: BTC: the score must be a finite number, got nan"
    )


def test_a_document_of_something_else_is_no_record() -> None:
    with pytest.raises(TypeError):
        from_document(Session, {"number": 1, "colour": "red"})
    with pytest.raises(ValueError, match="isoformat"):
        from_document(Session, {"number": 1, "started": "noon", "heartbeat": "noon"})
