"""A public thing says where it is imported from; a face loads each name on its first use, from where it lives."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import sys
from pathlib import Path
from types import FunctionType

import pytest

import crunch_game
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


def test_a_class_and_a_function_say_where_they_are_imported_from() -> None:
    @public
    class Game:
        pass

    def make() -> Game:
        return Game()

    make.__module__ = "crunch_game.rooms.upstairs._bed"
    assert public(make).__module__ == "crunch_game.rooms.upstairs", "the face, since crunch_game's own has none"
    assert repr(Game).startswith("<class 'crunch_game.")
    assert Game.__module__ == "crunch_game"


def test_whatever_people_may_meet_is_where_it_says_so_that_it_can_be_pickled() -> None:
    elsewhere = set()
    for found in pkgutil.walk_packages(crunch_game.__path__, "crunch_game."):
        for thing in list(vars(importlib.import_module(found.name)).values()):
            module = getattr(thing, "__module__", None) or ""
            if isinstance(thing, type | FunctionType) and module.startswith("crunch_game"):
                whole = "." not in thing.__qualname__
                if whole and getattr(importlib.import_module(module), thing.__name__, None) is not thing:
                    elsewhere.add(f"{module}.{thing.__name__}")
    assert elsewhere == set()


def test_above_other_decorators_it_marks_what_they_made() -> None:
    @public
    @dataclasses.dataclass(frozen=True, slots=True)
    class Row:
        x: int = 0

    assert Row.__module__ == "crunch_game"
    assert dataclasses.replace(Row(), x=1) == Row(1)


def test_a_record_is_a_frozen_dataclass_of_the_package() -> None:
    @record
    class Row:
        x: int = 0

    row = Row(1)
    assert (Row.__module__, repr(row).rpartition(".")[2]) == ("crunch_game", "Row(x=1)")
    assert dataclasses.replace(row, x=2) == Row(2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.x = 3  # type: ignore[misc]
    assert not hasattr(row, "__dict__")


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
