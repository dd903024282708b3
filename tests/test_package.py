"""What is installed is what was promised: the wheel, its public names, and an import that costs nothing."""

import ast
import importlib
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest

import crunch_game

LIGHT = ("pydantic", "numpy", "pandas", "sqlalchemy", "typer", "rich", "httpx", "anyio", "msgspec")


def test_the_tests_import_the_installed_wheel() -> None:
    if "CRUNCH_GAME_TEST_WHEEL" not in os.environ:
        pytest.skip("run by hand on an editable install; make test builds and installs the wheel")
    assert "site-packages" in Path(crunch_game.__file__).parts


def test_every_public_name_is_exported_and_leads_somewhere() -> None:
    assert crunch_game.__all__ == sorted(crunch_game.__all__)
    for name in crunch_game.__all__:
        assert getattr(crunch_game, name) is not None
    assert set(crunch_game.__all__) <= set(dir(crunch_game))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'crunch_game' has no attribute 'Modelrunner'"):
        _ = crunch_game.Modelrunner  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["ModelRunner", "Policy", "Game", "Predict", "MemoryStore", "InvalidAnswer", "backtest"]
)
def test_users_see_public_things_where_they_import_them_from(name: str) -> None:
    assert getattr(crunch_game, name).__module__ == "crunch_game"


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, crunch_game; crunch_game.TrackerBase; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in LIGHT if name in loaded}


def test_the_events_and_the_error_called_model_stopped_stand_apart() -> None:
    errors, events = importlib.import_module("crunch_game.errors"), importlib.import_module("crunch_game.events")
    assert crunch_game.ModelStopped is events.ModelStopped
    assert issubclass(errors.ModelStopped, errors.ModelError)


def test_every_extra_that_the_design_names_is_there() -> None:
    assert set(metadata("crunch-game").get_all("Provides-Extra")) == {
        "all",
        "crunchdao",
        "scoring",
        "tables",
        "testing",
    }


MODULES_OF = {"grpcio": "grpc", "grpcio-health-checking": "grpc_health", "protobuf": "google.protobuf"}
"""What libraries are imported as that have another name than their distribution."""


def test_every_library_of_an_extra_is_imported_somewhere() -> None:
    """By the package; by the tests what the extra `testing` brings."""
    package, tests = (
        {name for file in root.rglob("*.py") for name in imported_by(file)}
        for root in (Path(crunch_game.__file__).parent, Path(__file__).parent)
    )
    extras: dict[str, set[str]] = defaultdict(set)
    for requirement in metadata("crunch-game").get_all("Requires-Dist"):
        library, extra = re.match(r"[\w-]+", requirement)[0], re.search(r"extra == ['\"](\w+)", requirement)
        if extra is not None:
            extras[extra[1]].add(MODULES_OF.get(library, library))
    brought = extras.pop("testing")
    assert extras.pop("all") == brought.union(*extras.values())
    assert brought - tests == set()
    assert set().union(*extras.values()) - package == set()


def imported_by(file: Path) -> Iterator[str]:
    """Every module that the file imports, with the packages that it lies in."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def test_the_package_is_typed() -> None:
    assert (Path(crunch_game.__file__).parent / "py.typed").exists()
