"""What people write for a submission's code is understood once, and written again as they would write it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.errors import LoadError
from crunch_game.sources import (
    ClassSource,
    FileSource,
    FolderSource,
    NameSource,
    NodeSource,
    entry_of,
    host_and_port,
    place_of,
    resolve,
    source_of,
)


class Alice:
    class Inner:
        pass


def make():
    return Alice()


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Alice(), "an instance of Alice is not where a model comes from; give the class: Alice"),
        (os, 'the module os is not where a model comes from; give a class of it, or "os:Class"'),
        (make, f'the function make is not where a model comes from; give a class, or "{__name__}:make"'),
        (7, "7 is not where a model comes from; give the class: int"),
    ],
)
def test_what_no_code_comes_from_is_told(thing, message):
    with pytest.raises(LoadError) as caught:
        source_of(thing)
    assert str(caught.value) == message


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("mygame.examples:Steady", NameSource("mygame.examples:Steady")),
        ("mygame.examples", NameSource("mygame.examples")),
        ("mygame:Outer.Inner", NameSource("mygame:Outer.Inner")),
        ("localhost:50051", NodeSource("localhost", 50051)),
        ("[::1]:50051", NodeSource("::1", 50051)),
        ("models/alice", FileSource(Path("models/alice"))),
        ("alice.py", FileSource(Path("alice.py"))),
        # What looks like an address, and is none, is what it is written as.
        ("localhost:0", NameSource("localhost:0")),
        ("::1:50051", NameSource("::1:50051")),
    ],
)
def test_what_is_written_is_understood(here, text, source):
    assert source_of(text) == source
    assert str(source_of(text)) == text


def test_what_exists_is_a_path_whatever_it_looks_like(here):
    Path("10.0.0.1:50051").mkdir()
    Path("mygame:alice").touch()

    assert source_of("10.0.0.1:50051") == FolderSource(Path("10.0.0.1:50051"))
    assert source_of("mygame:alice") == FileSource(Path("mygame:alice"))


def test_a_path_is_a_path_even_where_there_is_nothing(here):
    assert source_of(Path("mygame:alice")) == FileSource(Path("mygame:alice"))
    assert source_of(Path("mygame")) == FileSource(Path("mygame"))


def test_a_source_is_understood_already():
    source = NameSource("mygame:Alice")

    assert source_of(source) is source


def test_a_path_can_be_used_as_one(tmp_path):
    file = FileSource(tmp_path / "alice.py")

    assert os.fspath(file) == str(file) == str(tmp_path / "alice.py")
    assert Path(file) == tmp_path / "alice.py"
    assert FileSource(tmp_path) != FolderSource(tmp_path)


def test_a_class_is_written_as_others_would_import_it():
    assert source_of(Alice.Inner) == ClassSource(Alice.Inner)
    assert str(source_of(Alice.Inner)) == f"{__name__}:Alice.Inner"


def test_where_the_code_lies(here):
    Path("alice.py").touch()
    Path("bob").symlink_to(".")

    assert source_of("alice.py").place == here / "alice.py"
    assert source_of("bob").place == here
    assert source_of("carol.py").place is None
    assert source_of(Alice).place == Path(__file__)
    assert source_of(type("Made", (), {"__module__": "nowhere"})).place is None
    assert source_of("crunch_game.tracker:TrackerBase").place == place_of("crunch_game")
    assert source_of("localhost:50051").place is None


def test_a_package_is_found_without_running_it(here, monkeypatch):
    monkeypatch.syspath_prepend(here)
    Path("quietly").mkdir()
    Path("quietly/__init__.py").write_text("raise RuntimeError")
    Path("module_alone.py").write_text("raise RuntimeError")

    assert place_of("quietly.deeper:Model") == here / "quietly"
    assert place_of("module_alone:Model") == here / "module_alone.py"
    assert place_of("sys:path") is place_of("nothing.at:all") is place_of("") is None


def test_a_name_leads_to_what_it_names(here, monkeypatch):
    monkeypatch.syspath_prepend(here)
    Path("my-game.py").write_text("class Outer:\n    class Inner: pass\n")

    assert resolve("crunch_game.sources") is sys.modules["crunch_game.sources"]
    assert resolve("crunch_game.sources:resolve") is resolve
    assert resolve("my-game:Outer.Inner").__qualname__ == "Outer.Inner"
    del sys.modules["my-game"]
    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing'"):
        resolve("nothing:at.all")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        resolve("crunch_game.sources:nothing")


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_the_entry_is_the_file_or_main_or_the_init(tmp_path):
    for name in [
        "alice.py",
        "bob/main.py",
        "bob/__init__.py",
        "carol/__init__.py",
        "carol/model.py",
        "dave/tracker/__init__.py",
        "dave/_old/__init__.py",
        "dave/tests/test_it.py",
    ]:
        touch(tmp_path / name)

    entries = {name: entry_of(tmp_path / name) for name in ("alice.py", "bob", "carol", "dave")}

    assert entries == {
        "alice.py": tmp_path / "alice.py",
        "bob": tmp_path / "bob/main.py",
        "carol": tmp_path / "carol/__init__.py",
        "dave": tmp_path / "dave/tracker/__init__.py",
    }


def no_entry(path: Path) -> str:
    with pytest.raises(LoadError) as caught:
        entry_of(path)
    return str(caught.value)


def test_what_is_no_submission_says_what_one_is(tmp_path):
    (tmp_path / "empty").mkdir()
    touch(tmp_path / "two/one/__init__.py")
    touch(tmp_path / "two/other/__init__.py")
    (tmp_path / "alice.ipynb").touch()
    (tmp_path / "alice.txt").touch()

    assert no_entry(tmp_path / "empty") == (
        "the folder empty has no main.py and no package; give it a main.py, or exactly one package"
    )
    assert no_entry(tmp_path / "two") == (
        "the folder two has no main.py and 2 packages; give it a main.py, or exactly one package"
    )
    assert no_entry(tmp_path / "alice.ipynb") == (
        "alice.ipynb is a notebook; notebooks cannot be loaded yet, save it as a .py file"
    )
    assert no_entry(tmp_path / "alice.txt") == (
        "alice.txt is no Python file; a submission is a .py file, or a folder with a main.py"
    )
    assert no_entry(tmp_path / "nobody") == f"there is no submission at {tmp_path / 'nobody'}"


@given(st.from_regex(r"[a-z0-9.-]+|[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}", fullmatch=True), st.integers(1, 65_535))
def test_an_address_is_read_as_it_is_written(host, port):
    node = NodeSource(host, port)

    assert host_and_port(str(node)) == (host, port)
    assert source_of(str(node)) == node
