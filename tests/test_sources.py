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


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "is empty; give it a main.py"),
        ([".gitkeep", "__pycache__/model.pyc"], "is empty; give it a main.py"),
        (["Main.py", "utils.py"], "has no main.py; rename Main.py to main.py"),
        (["main.PY"], "has no main.py; rename main.PY to main.py"),
        (["main.py.txt"], "has no main.py; rename main.py.txt to main.py"),
        (["__main__.py"], "has no main.py; rename __main__.py to main.py"),
        (["model.py", "weights.json"], "has no main.py; rename model.py to main.py"),
        (["model.py", "setup.py", "tests/__init__.py", "_old.py"], "has no main.py; rename model.py to main.py"),
        (["setup.py"], "has no main.py; rename setup.py to main.py"),
        (
            ["model.py", "utils.py", "train.py"],
            "has no main.py, but model.py, train.py and utils.py; rename the one that has the model to main.py",
        ),
        (
            ["a.py", "b.py", "c.py", "d.py", "e.py", "f.py", "g.py"],
            "has no main.py, but a.py, b.py, c.py, d.py, e.py and 2 more; rename the one that has the model to main.py",
        ),
        (
            ["one/__init__.py", "two/__init__.py", "model.py"],
            "has no main.py and 2 packages (one and two); give it a main.py, or exactly one package",
        ),
        (["fay.ipynb"], "has no main.py, but fay.ipynb; notebooks cannot be loaded yet, save it as main.py"),
        (["submission/main.py"], "has no main.py; move what is in fay/submission up into fay"),
        (["README.md", "a/b/main.py"], "has no main.py; move what is in fay/a/b up into fay"),
        (["src/fay/__init__.py", "pyproject.toml"], "has no main.py; move what is in fay/src up into fay"),
        (
            ["one/main.py", "two/deep/main.py", "data/x.csv"],
            "has no main.py, but folders that have (one and two/deep); each of these is a submission of its own",
        ),
        (["fay.zip", "README.md"], "has no main.py; unpack fay.zip in it"),
        (["x.csv"], "has no main.py and no package; give it a main.py, or exactly one package"),
        (["a/x.csv", "b/y.csv"], "has no main.py and no package; give it a main.py, or exactly one package"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_a_folder_that_is_no_submission_says_what_to_change(tmp_path, files, said):
    (tmp_path / "fay").mkdir()
    for name in files:
        touch(tmp_path / "fay" / name)

    assert no_entry(tmp_path / "fay") == f"the folder fay {said}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("alice.ipynb", "is a notebook; notebooks cannot be loaded yet, save it as a .py file"),
        ("alice.zip", "is an archive; unpack it: a submission is a .py file, or a folder with a main.py"),
        ("alice.tar.GZ", "is an archive; unpack it: a submission is a .py file, or a folder with a main.py"),
        ("alice.PY", "is no .py file by its name; rename it alice.py"),
        ("alice.py.txt", "is no .py file by its name; rename it alice.py"),
        ("alice.txt", "is no Python file; a submission is a .py file, or a folder with a main.py"),
    ],
)
def test_a_file_that_is_no_submission_says_what_to_change(tmp_path, name, said):
    touch(tmp_path / name)

    assert no_entry(tmp_path / name) == f"{name} {said}"


def test_a_place_with_nothing_there_is_told(tmp_path):
    assert no_entry(tmp_path / "nobody") == f"there is no submission at {tmp_path / 'nobody'}"


@pytest.mark.parametrize("beside", ["tests/__init__.py", "test/__init__.py", "_old/__init__.py", "setup.py"])
def test_what_lies_beside_the_one_package_is_none(tmp_path, beside):
    touch(tmp_path / "kim/tracker/__init__.py")
    touch(tmp_path / "kim" / beside)

    assert entry_of(tmp_path / "kim") == tmp_path / "kim/tracker/__init__.py"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_folder_that_may_not_be_read_is_told(tmp_path):
    (tmp_path / "kim").mkdir(mode=0)

    assert no_entry(tmp_path / "kim").startswith("the folder kim cannot be read: ")


@given(st.from_regex(r"[a-z0-9.-]+|[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,7}", fullmatch=True), st.integers(1, 65_535))
def test_an_address_is_read_as_it_is_written(host, port):
    node = NodeSource(host, port)

    assert host_and_port(str(node)) == (host, port)
    assert source_of(str(node)) == node
