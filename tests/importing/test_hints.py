"""An error that comes of how a submission is laid out says what to change."""

from __future__ import annotations

from pathlib import Path

import pytest

import crunch_game
from crunch_game.errors import LoadError
from crunch_game.loading import load_model

MODEL = "class Model(TrackerBase):\n    def predict(self): return 1\n"
MAIN = f"from crunch_game import TrackerBase\n{MODEL}"
ALONE = (
    "; of a single file nothing that lies beside it is submitted: make a folder, and put into it alice.py, renamed to "
)


def lay(place: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)


def refusal(path: Path, base: type = crunch_game.TrackerBase) -> str:
    with pytest.raises(LoadError) as caught:
        load_model(path, base)
    return str(caught.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"alice.py": "import utils", "utils.py": ""},
            f"ModuleNotFoundError: No module named 'utils'{ALONE}main.py, and utils.py",
        ),
        (
            {"alice.py": "from tools.deep import x", "tools/deep.py": ""},
            f"ModuleNotFoundError: No module named 'tools'{ALONE}main.py, and tools",
        ),
        (
            {"alice.py": "from .helper import x", "helper.py": ""},
            f"ImportError: attempted relative import with no known parent package{ALONE}main.py, and what it imports",
        ),
        (
            {"alice.py": "open('weights.json')", "weights.json": ""},
            f"FileNotFoundError: [Errno 2] No such file or directory: 'weights.json'{ALONE}main.py, and weights.json",
        ),
        ({"alice.py": "import utils", "bob.py": ""}, "ModuleNotFoundError: No module named 'utils'"),
        ({"alice.py": "import data", "data/x.csv": ""}, "ModuleNotFoundError: No module named 'data'"),
        (
            {"alice.py": "open('alice.txt')", "weights.json": ""},
            "FileNotFoundError: [Errno 2] No such file or directory: 'alice.txt'",
        ),
    ],
    ids=["module", "folder", "relative", "data", "absent", "of data", "no data"],
)
def test_a_single_file_that_wants_its_neighbour_is_told_to_be_a_folder(tmp_path, monkeypatch, files, said):
    lay(tmp_path, files)
    monkeypatch.chdir("/")

    assert refusal(tmp_path / "alice.py") == f"alice.py: importing it raised {said}"


def test_what_it_wants_only_when_it_is_made_is_told_too(tmp_path, monkeypatch):
    text = "from crunch_game import TrackerBase\nclass Model(TrackerBase):\n    def __init__(self): import utils\n"
    lay(tmp_path, {"alice.py": text + "    def predict(self): return 1", "utils.py": ""})
    monkeypatch.chdir("/")

    assert refusal(tmp_path / "alice.py") == (
        f"alice.py: Model() raised ModuleNotFoundError: No module named 'utils'{ALONE}main.py, and utils.py"
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"alice/main.py": "import tool", "alice/src/tool.py": ""},
            "ModuleNotFoundError: No module named 'tool'; it lies in alice/src: move alice/src/tool.py up into alice",
        ),
        (
            {"alice/main.py": "import tool", "alice/src/tool/__init__.py": ""},
            "ModuleNotFoundError: No module named 'tool'; it lies in alice/src: move alice/src/tool up into alice",
        ),
        (
            {"alice/main.py": "import tool", "tool.py": ""},
            "ModuleNotFoundError: No module named 'tool'; tool.py lies beside the folder alice, and is no part of it: "
            "put it into alice",
        ),
        (
            {"alice/main.py": "from ..tool import x", "tool.py": ""},
            "ImportError: attempted relative import beyond top-level package; nothing outside of the folder alice is "
            "submitted: put what it imports into alice",
        ),
        ({"alice/main.py": "import tool", "alice/x/y.py": ""}, "ModuleNotFoundError: No module named 'tool'"),
    ],
    ids=["nested module", "nested package", "beside", "above", "absent"],
)
def test_a_folder_that_wants_what_lies_elsewhere_is_told_where_it_must_be(tmp_path, files, said):
    lay(tmp_path, files)

    assert refusal(tmp_path / "alice") == f"alice: importing it raised {said}"


@pytest.fixture
def game(tmp_path, monkeypatch) -> type:
    """A game's base class, in a package that is installed."""
    lay(tmp_path / "site", {"prices_game/__init__.py": "class Prices:\n    def predict(self): ...\ndef normal(): ..."})
    monkeypatch.syspath_prepend(tmp_path / "site")
    import prices_game

    yield prices_game.Prices
    import sys

    del sys.modules["prices_game"]


ADA = "from prices_game import Prices\nclass Ada(Prices):\n    def predict(self): return 1\n"
COPY = "class Prices:\n    def predict(self): ...\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"main.py": ADA, "prices_game.py": COPY},
            "ada has no model: Ada extends another Prices than the game's, since ada/prices_game.py hides the game's "
            "module of that name; delete ada/prices_game.py",
        ),
        (
            {"main.py": ADA, "prices_game/__init__.py": "from .base import Prices", "prices_game/base.py": COPY},
            "ada has no model: Ada extends another Prices than the game's, since ada/prices_game hides the game's "
            "module of that name; delete ada/prices_game",
        ),
        (
            {"main.py": f"from helper import Prices\n{ADA.partition(chr(10))[2]}", "helper.py": COPY},
            "ada has no model: Ada extends another Prices than the game's, which ada defines itself; delete that, and "
            "extend prices_game.Prices",
        ),
        (
            {"main.py": COPY + ADA.partition("\n")[2]},
            "ada has no model: Ada extends another Prices than the game's, which ada defines itself; delete that, and "
            "extend prices_game.Prices",
        ),
        (
            {"main.py": f"from prices_game import normal\n{ADA}", "prices_game.py": COPY},
            "ada: importing it raised ImportError: cannot import name 'normal' from 'prices_game' "
            "(PLACE/ada/prices_game.py); ada/prices_game.py hides the module prices_game that is installed: delete it "
            "if it is a copy, or rename it",
        ),
        (
            {"main.py": "import prices_game.game", "prices_game.py": COPY},
            "ada: importing it raised ModuleNotFoundError: No module named 'prices_game.game'; 'prices_game' is not a "
            "package; ada/prices_game.py hides the module prices_game that is installed: delete it if it is a copy, or "
            "rename it",
        ),
        (
            {"main.py": "import random\nrandom.gauss(0, 1)", "random.py": ""},
            "ada: importing it raised AttributeError: module 'random' has no attribute 'gauss'; ada/random.py hides "
            "the module random that is installed: delete it if it is a copy, or rename it",
        ),
        (
            {"main.py": "import helper\nhelper.gauss(0, 1)", "helper.py": ""},
            "ada: importing it raised AttributeError: module 'helper' has no attribute 'gauss'",
        ),
    ],
    ids=["file", "package", "own module", "own main", "import", "sub-module", "library", "own"],
)
def test_what_hides_the_games_module_is_named(tmp_path, game, files, said):
    lay(tmp_path / "ada", files)

    assert refusal(tmp_path / "ada", game) == said.replace("PLACE", str(tmp_path))


def test_a_model_beside_the_one_package_is_told_of(tmp_path):
    lay(tmp_path / "kim", {"helpers/__init__.py": "class Tool: pass", "model.py": MAIN, "setup.py": ""})

    assert refusal(tmp_path / "kim") == (
        "kim has no model: define a subclass of crunch_game.TrackerBase with predict, or a create_model(); passed "
        "over: Tool (no subclass of TrackerBase) in the package helpers; if it is in model.py, rename that to main.py"
    )


def test_an_exception_that_cannot_be_looked_at_is_told_without_a_hint(tmp_path):
    text = "class Evil(ImportError):\n    name = property(lambda self: 1 / 0)\nraise Evil('ha')"
    lay(tmp_path, {"alice.py": text, "bob/main.py": text})

    assert refusal(tmp_path / "alice.py") == "alice.py: importing it raised Evil: ha"
    assert refusal(tmp_path / "bob") == "bob: importing it raised Evil: ha"


@pytest.mark.parametrize(
    ("line", "name"),
    [("get_ipython().run_line_magic('matplotlib', 'inline')", "get_ipython"), ("display(1)", "display")],
)
def test_what_only_a_notebook_has_is_told(tmp_path, line, name):
    lay(tmp_path, {"alice.py": line})

    assert refusal(tmp_path / "alice.py") == (
        f"alice.py: importing it raised NameError: name '{name}' is not defined; only a notebook has {name}: delete "
        "the lines with it"
    )
