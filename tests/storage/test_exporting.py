"""What is kept as DataFrames and as files: the same values in each, from either database and from any store."""

from __future__ import annotations

import csv
import json
import re
import resource
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow.parquet
import pytest

from crunch_game.errors import MissingExtra, ResourceError, StoreError, UsageError
from crunch_game.feeds.base import Row
from crunch_game.outcomes import Status
from crunch_game.storage import (
    MemoryStore,
    ModelRecord,
    Prediction,
    Score,
    ScoredRound,
    Session,
    SQLStore,
    Store,
    export,
)
from crunch_game.storage.exporting._columns import columns_of

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
WHATS = ("predictions", "scores", "rows", "rounds", "models")
FORMATS = ("parquet", "csv", "jsonl")


def asked(model_id: str, n: int = 0, key: str = "BTC", **changes: Any) -> Prediction:
    at = T0 + n * HOUR
    fields: dict[str, Any] = {"arguments": {"asset": key}, "value": 1.5, "elapsed": 0.25}
    return Prediction(model_id, "d1", key, at, at + HOUR, 3600.0, **(fields | changes))


def score_of(each: Prediction, value: float | None = 0.5, **changes: Any) -> Score:
    return Score(each.model_id, each.key, each.at, each.resolves_at, value, **changes)


ADA = asked("ada", value={"loc": 1.5, "scale": float("nan")}, asked_at=T0 + SECOND, seen=T0)
BOB = asked("bob", value=2, elapsed=0.5)
CY = asked("cy", status=Status.TIMEOUT, value=None, error="no answer within 1 s", excused=True)
LATER, ETH = asked("ada", 1), asked("ada", 1, "ETH", value='"a",\n=é')


def fill(store: Store) -> Store:
    """Three models in the first hour; one in the second, of which nothing is scored yet."""
    store.save(
        [Row(T0, {"BTC": 1.5}, T0 + SECOND), Row(T0 + HOUR, {"BTC": None})],
        [ADA, BOB, CY, LATER, ETH],
        [ModelRecord("bob", "Bob", "d1", "ready"), ModelRecord("ada", "Ada", "d1", "stopped", "it was late")],
        aside=[(Row(T0 + 2 * HOUR, {"BTC": 9.0}, T0 + HOUR), "it is ahead")],
        session=Session(3, T0, T0),
    )
    store.settle(
        [
            score_of(ADA, 0.125, outcome=[1.5, 2.0]),
            score_of(BOB, outcome=3, metrics={"a": 0.5, "b": None}),
            score_of(CY, 2.0, outcome=3, absent=True),
            score_of(asked("aaa"), None, reason="no price"),  # a score whose prediction is not there
        ],
        [ScoredRound("BTC", T0, T0 + HOUR, 3600.0, {"asset": "BTC"}, 2, {"score": {"entry": 0.5}})],
    )
    return store


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.processes)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield fill(MemoryStore())
        return
    url = (
        f"sqlite:///{tmp_path / 'game.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres").fresh()
    )
    with SQLStore(url) as opened:
        yield fill(opened)


PREDICTIONS: dict[str, list[Any]] = {
    "model_id": ["ada", "bob", "cy", "ada", "ada"],
    "key": ["BTC", "BTC", "BTC", "BTC", "ETH"],
    "at": [T0, T0, T0, T0 + HOUR, T0 + HOUR],
    "resolves_at": [T0 + HOUR, T0 + HOUR, T0 + HOUR, T0 + 2 * HOUR, T0 + 2 * HOUR],
    "deployment_id": ["d1"] * 5,
    "horizon": [3600.0] * 5,
    "arguments": ['{"asset":"BTC"}'] * 4 + ['{"asset":"ETH"}'],
    "status": ["ok", "ok", "timeout", "ok", "ok"],
    "answer": ['{"loc":1.5,"scale":NaN}', "2", None, "1.5", '"\\"a\\",\\n=é"'],
    "answer_number": [None, 2.0, None, 1.5, None],
    "error": [None, None, "no answer within 1 s", None, None],
    "elapsed": [0.25, 0.5, 0.25, 0.25, 0.25],
    "asked_at": [T0 + SECOND, None, None, None, None],
    "seen": [T0, None, None, None, None],
    "excused": [False, False, True, False, False],
    "score": [0.125, 0.5, 2.0, None, None],
    "score_kind": [None, None, "absent", None, None],
    "score_reason": [None] * 5,
    "outcome": ["[1.5,2.0]", "3", "3", None, None],
    "outcome_number": [None, 3.0, 3.0, None, None],
    "metrics": [None, '{"a":0.5,"b":null}', None, None, None],
}
OTHERS: dict[str, dict[str, list[Any]]] = {
    "scores": {
        "model_id": ["aaa", "ada", "bob", "cy"],
        "at": [T0] * 4,
        "score": [None, 0.125, 0.5, 2.0],
        "score_kind": ["aside", None, None, "absent"],
        "score_reason": ["no price", None, None, None],
    },
    "rows": {
        "time": [T0, T0 + HOUR, T0 + 2 * HOUR],
        "arrived": [T0 + SECOND, None, T0 + HOUR],
        "session": [3, 3, 3],
        "aside": [None, None, "it is ahead"],
        "data": ['{"BTC":1.5}', '{"BTC":null}', '{"BTC":9.0}'],
    },
    "rounds": {
        "key": ["BTC"],
        "at": [T0],
        "resolves_at": [T0 + HOUR],
        "horizon": [3600.0],
        "arguments": ['{"asset":"BTC"}'],
        "answers": [2],
        "facts": ['{"score":{"entry":0.5}}'],
    },
    "models": {
        "model_id": ["ada", "bob"],
        "name": ["Ada", "Bob"],
        "deployment_id": ["d1", "d1"],
        "state": ["stopped", "ready"],
        "reason": ["it was late", None],
    },
}


def plain(frame: Any) -> dict[str, list[Any]]:
    """The values of a DataFrame, as Python has them; None for what is missing."""
    if isinstance(frame, pl.DataFrame):
        return frame.to_dict(as_series=False)
    found = {}
    for name, column in frame.items():
        values = [None if pd.isna(value) else value for value in column]
        found[name] = [value.to_pydatetime() if isinstance(value, pd.Timestamp) else value for value in values]
    return found


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file, as whoever knows only the format reads them."""
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return found
    with path.open(encoding="utf-8", newline="") as file:
        return [json.loads(line) for line in file] if path.suffix == ".jsonl" else list(csv.DictReader(file))


def written(value: Any, suffix: str) -> Any:
    """What a file of this format has of a value."""
    if suffix == ".parquet":
        return value
    if isinstance(value, datetime):
        value = value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if suffix == ".jsonl":
        return value
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_has_every_value_in_its_column(store: Store, library: Any) -> None:
    assert plain(store.to_frame(library=library)) == PREDICTIONS
    for what, expected in OTHERS.items():
        found = plain(store.to_frame(what, library=library))  # type: ignore[arg-type]
        assert {name: found[name] for name in expected} == expected, what


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_has_every_value_in_its_column(store: Store, tmp_path: Path, kind: str) -> None:
    done = export(store, tmp_path / f"found.{kind}")
    names = list(PREDICTIONS)
    expected = [dict(zip(names, values, strict=True)) for values in zip(*PREDICTIONS.values(), strict=True)]
    assert (done.path, done.what, done.records) == ((tmp_path / f"found.{kind}").resolve(), "predictions", 5)
    assert read(done.path) == [
        {name: written(value, done.path.suffix) for name, value in each.items()} for each in expected
    ]
    for what, columns in OTHERS.items():
        done = export(store, tmp_path, what, format=kind)  # type: ignore[arg-type]
        found = read(done.path)
        assert done.path.name == f"{what}.{kind}"
        assert done.records == len(found)
        for name, values in columns.items():
            assert [each[name] for each in found] == [written(value, done.path.suffix) for value in values], what


def test_parquet_has_times_as_times_of_utc_and_says_what_columns_mean(store: Store, tmp_path: Path) -> None:
    schema = pyarrow.parquet.read_schema(export(store, tmp_path / "a.parquet").path)
    assert str(schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert str(schema.field("score").type) == "double"
    assert schema.field("elapsed").metadata == {b"description": b"seconds that the model took"}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_of_nothing_has_the_columns_and_types_of_one_with_records(store: Store, library: Any) -> None:
    empty = MemoryStore()
    for what in WHATS:
        none, some = (each.to_frame(what, library=library) for each in (empty, store))  # type: ignore[arg-type]
        assert len(none) == 0
        assert len(some) > 0
        assert list(none.columns) == list(some.columns)
        types = [[str(kind).partition("(categories")[0] for kind in each.dtypes] for each in (none, some)]
        assert types[0] == types[1], what
    found = dict(zip(some.columns, types[1], strict=True))
    assert found["model_id"].lower().startswith("categor")


def test_the_types_of_pandas_are_right() -> None:
    types = {name: str(kind) for name, kind in MemoryStore().to_frame().dtypes.items()}
    assert (types["at"], types["score"], types["excused"]) == ("datetime64[us, UTC]", "float64", "bool")
    assert (types["model_id"], types["answer"]) == ("category", "string")
    assert str(MemoryStore().to_frame("rows").dtypes["session"]) == "Int64"


WHICH: list[tuple[str, dict[str, Any], list[tuple[Any, ...]]]] = [
    ("predictions", {"since": T0 + 2 * HOUR}, [("ada", "BTC"), ("ada", "ETH")]),
    ("predictions", {"until": T0 + 2 * HOUR}, [("ada", "BTC"), ("bob", "BTC"), ("cy", "BTC")]),
    ("predictions", {"model_id": "bob"}, [("bob", "BTC")]),
    ("predictions", {"model_id": "ada", "key": "BTC", "until": T0 + 2 * HOUR}, [("ada", "BTC")]),
    ("predictions", {"key": "ETH"}, [("ada", "ETH")]),
    ("predictions", {"since": (T0 + 2 * HOUR).astimezone(timezone(5 * HOUR)), "key": "BTC"}, [("ada", "BTC")]),
    ("scores", {"model_id": "cy"}, [("cy", "BTC")]),
    ("scores", {"since": T0 + 2 * HOUR}, []),
    ("scores", {"key": "ETH"}, []),
]


@pytest.mark.parametrize(("what", "which", "found"), WHICH)
def test_what_is_asked_for_is_there_and_nothing_else(
    store: Store, what: Any, which: dict[str, Any], found: list[tuple[Any, ...]]
) -> None:
    frame = plain(store.to_frame(what, **which))
    assert list(zip(frame["model_id"], frame["key"], strict=True)) == found


def test_rows_are_asked_for_by_their_time_and_rounds_by_when_they_resolve(store: Store) -> None:
    rows = plain(store.to_frame("rows", T0 + HOUR, T0 + 2 * HOUR))
    assert rows["data"] == ['{"BTC":null}']
    assert len(store.to_frame("rounds", T0 + HOUR)) == 1
    assert len(store.to_frame("rounds", until=T0 + HOUR)) == 0
    assert len(store.to_frame("rounds", key="ETH")) == 0
    assert plain(store.to_frame("models", model_id="bob"))["name"] == ["Bob"]


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda s: s.to_frame("boards"), "a store has no 'boards'; it has predictions, scores, rows, rounds, models"),
        (lambda s: s.to_frame("rows", model_id="ada"), "rows are of no model_id; leave out model_id='ada'"),
        (lambda s: s.to_frame("models", key="BTC"), "models are of no key; leave out key='BTC'"),
        (
            lambda s: s.to_frame(since=datetime(2024, 1, 1)),  # noqa: DTZ001
            "since=datetime.datetime(2024, 1, 1, 0, 0) has no time zone; give an aware time, such as one with "
            "timezone.utc",
        ),
        (lambda s: s.to_frame(library="dask"), 'library is \'dask\'; it may be "pandas" or "polars"'),
        (
            lambda s: export(s, "a.xlsx"),
            "a.xlsx does not say which format it is to have; name it .parquet, .csv or .jsonl",
        ),
        (lambda s: export(s, "a.csv", format="xml"), "'xml'; it may be parquet, csv, jsonl"),
        (lambda s: export(s, "."), "a folder says no format; it may be parquet, csv, jsonl"),
        (
            lambda s: export(s, "/dev/null", format="csv"),
            "/dev/null is no ordinary file, and is not replaced; choose another name",
        ),
    ],
)
def test_wrong_questions_get_a_sentence(ask: Callable[[Store], object], sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        ask(fill(MemoryStore()))
    assert str(raised.value) == sentence


class Elsewhere(MemoryStore):
    """A store of somebody's own, whose times are of his zone."""

    def stream(self, what: str, *args: Any, **of: Any) -> Iterator[Any]:
        zone = timezone(5 * HOUR)
        for each in super().stream(what, *args, **of):
            yield replace(each, at=each.at.astimezone(zone), resolves_at=each.resolves_at.astimezone(zone))


@pytest.mark.parametrize("kind", FORMATS)
def test_times_are_of_utc_whatever_zone_a_store_gives(tmp_path: Path, kind: str) -> None:
    found = read(export(fill(Elsewhere()), tmp_path / f"a.{kind}").path)
    assert [each["at"] for each in found] == [written(at, f".{kind}") for at in PREDICTIONS["at"]]


class Cut(MemoryStore):
    """A store whose database goes away after the first record."""

    def stream(self, what: str, *args: Any, **of: Any) -> Iterator[Any]:
        yield next(super().stream(what, *args, **of))
        if what == "predictions":
            raise StoreError("the server is gone")


@pytest.mark.parametrize("kind", FORMATS)
def test_under_the_final_name_there_is_a_whole_file_or_the_one_before(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crunch_game.storage.exporting._files._MOST_RECORDS", 1)
    path, seen = tmp_path / f"a.{kind}", []
    whole = fill(MemoryStore())
    export(whole, path, on_progress=lambda records, time: seen.append((records, time, path.exists())))
    assert seen == [(n + 1, at, False) for n, at in enumerate(PREDICTIONS["resolves_at"])]
    before = path.read_bytes()
    with pytest.raises(StoreError, match="the server is gone"):
        export(fill(Cut()), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_link_leads_to_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    link.symlink_to(real)
    assert export(fill(MemoryStore()), link, "models").path == real.resolve()
    assert link.is_symlink()
    assert real.read_text().splitlines()[1:] == ["ada,Ada,d1,stopped,it was late", "bob,Bob,d1,ready,"]


def test_a_file_that_cannot_be_written_is_the_machines_fault(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.csv"
    with pytest.raises(ResourceError) as raised:
        export(fill(MemoryStore()), path)
    assert str(raised.value) == (
        f"{path} cannot be written: No such file or directory; make room, or choose another place"
    )


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process grows beyond this: as on a full disk, but for the number of the error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", FORMATS)
def test_on_a_full_disk_the_file_from_before_stays_and_nothing_else(tmp_path: Path, kind: str) -> None:
    path, store = tmp_path / f"a.{kind}", fill(MemoryStore())
    export(store, path)
    before = path.read_bytes()
    with pytest.raises(ResourceError) as raised, files_of_at_most(100):
        export(store, path)
    assert str(raised.value) == f"{path} cannot be written: File too large; make room, or choose another place"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pandas", "polars"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    store = fill(MemoryStore())
    with pytest.raises(MissingExtra, match=r"^pyarrow is not installed; from a clone.*'\.\[tables\]'$"):
        export(store, tmp_path / "a.parquet")
    with pytest.raises(MissingExtra, match=r"^pandas is not installed; from a clone.*'\.\[tables\]'$"):
        store.to_frame()
    with pytest.raises(UsageError, match=r"^polars is not installed; pip install polars$"):
        store.to_frame(library="polars")
    assert export(store, tmp_path / "a.csv").records == 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_few_records_are_in_memory_at_once(url: str, tmp_path: Path, kind: str) -> None:
    """Answers of 100 kB: one batch, of 16 MiB of text, is a small part of them."""
    answer = ["x" * 1000] * 100
    with SQLStore(url) as store:
        for n in range(0, 1000, 50):
            store.save(predictions=[asked("ada", n + k, value=answer) for k in range(50)])
        export(store, tmp_path / f"warm.{kind}", until=T0 + HOUR)  # libraries are imported
        tracemalloc.start()
        try:
            assert export(store, tmp_path / f"a.{kind}").records == 1000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 70 << 20, f"{peak >> 20} MiB of 100"


def test_the_page_says_what_every_column_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "storage.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\w+) \| (.+) \|$", page, re.MULTILINE)
    assert told == [(what, *column) for what in WHATS for column in columns_of(what)]
