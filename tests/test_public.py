"""A public thing says where it is imported from; a face loads each name on its first use, from where it lives."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from crunch_game._public import public, record

FACE = """
from typing import TYPE_CHECKING
from crunch_game._public import lazy_face
if TYPE_CHECKING:
    from house_of_tests.rooms.deep import Chair as Chair
    from house_of_tests.table import Table as Table
    from house_of_tests.table import lay as lay
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package with a lazy face."""
    for name, text in {
        "__init__": FACE,
        "rooms/__init__": "",
        "rooms/deep": "class Chair: pass",
        "table": "class Table: pass\ndef lay(): pass",
    }.items():
        path = tmp_path / "house_of_tests" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("house_of_tests")
    for name in [name for name in sys.modules if name.partition(".")[0] == "house_of_tests"]:
        del sys.modules[name]


def test_a_class_and_a_function_say_that_they_are_the_packages() -> None:
    @public
    class Thing:
        pass

    @public
    def make() -> Thing:
        return Thing()

    assert repr(Thing).startswith("<class 'crunch_game.")
    assert (Thing.__module__, make.__module__) == ("crunch_game", "crunch_game")
    assert isinstance(make(), Thing)


def test_above_other_decorators_it_marks_what_they_made() -> None:
    @public
    @dataclasses.dataclass(frozen=True, slots=True)
    class Point:
        x: int = 0

    assert Point.__module__ == "crunch_game"
    assert dataclasses.replace(Point(), x=1) == Point(1)


def test_a_record_is_a_frozen_dataclass_of_the_package() -> None:
    @record
    class Point:
        x: int = 0

    point = Point(1)
    assert (Point.__module__, repr(point).rpartition(".")[2]) == ("crunch_game", "Point(x=1)")
    assert dataclasses.replace(point, x=2) == Point(2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 3  # type: ignore[misc]
    assert not hasattr(point, "__dict__")


def test_a_face_loads_each_name_on_its_first_use(house) -> None:
    assert "house_of_tests.table" not in sys.modules

    assert house.Table is sys.modules["house_of_tests.table"].Table
    assert "house_of_tests.rooms" not in sys.modules
    assert house.Chair is sys.modules["house_of_tests.rooms.deep"].Chair
    assert vars(house)["Chair"] is house.Chair, "the second use costs nothing"


def test_a_face_lists_its_names_before_they_are_loaded(house) -> None:
    assert house.__all__ == ["Chair", "Table", "lay"]
    assert {"Chair", "Table", "lay", "__name__"} <= set(dir(house))
    assert "house_of_tests.table" not in sys.modules


def test_a_name_that_a_face_does_not_have_is_an_attribute_error(house) -> None:
    with pytest.raises(AttributeError, match=r"^module 'house_of_tests' has no attribute 'Bed'$"):
        _ = house.Bed
