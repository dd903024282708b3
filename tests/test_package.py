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


FACES = [
    file.parent
    for file in sorted(Path(crunch_game.__file__).parent.rglob("__init__.py"))
    if "lazy_face(" in file.read_text()
]


def face(folder: Path) -> dict[str, str]:
    """The module of each name of a package's face, as type checkers read it."""
    tree = ast.parse((folder / "__init__.py").read_text())
    [typed] = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    homes: dict[str, str] = {}
    for node in typed.body:
        assert isinstance(node, ast.ImportFrom)
        [alias] = node.names
        assert alias.asname == alias.name, "without the alias mypy takes it for a private import"
        assert alias.name not in homes
        homes[alias.name] = node.module or ""
    return homes


def test_the_faces_are_found() -> None:
    assert {folder.name for folder in FACES} >= {"crunch_game", "hosts", "scoring", "storage"}


def test_every_name_of_a_face_is_exported_and_leads_to_what_type_checkers_read() -> None:
    for folder in FACES:
        homes = face(folder)
        package = importlib.import_module(".".join(folder.relative_to(Path(crunch_game.__file__).parents[1]).parts))
        assert package.__all__ == sorted(homes)
        assert set(package.__all__) <= set(dir(package))
        for name, home in homes.items():
            assert getattr(package, name) is getattr(importlib.import_module(home), name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'crunch_game' has no attribute 'Modelrunner'"):
        _ = crunch_game.Modelrunner  # type: ignore[attr-defined]


BY_REFERENCE = """
import importlib, pickle, pickletools, sys
homes, first = eval(sys.argv[1]), sys.argv[2]
for name, home in homes.items():
    thing = getattr(importlib.import_module(home if first == "home" else "crunch_game"), name)
    pickled = pickle.dumps(thing)
    said = [argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str)]
    assert said == ["crunch_game", name], said
    assert pickle.loads(pickled) is thing
"""


@pytest.mark.processes
@pytest.mark.parametrize("first", ["home", "face"])
def test_public_things_are_pickled_by_the_name_that_users_import(first: str) -> None:
    """Whoever was asked for them first: their own module, or the face of the package."""
    homes = face(Path(crunch_game.__file__).parent)
    del homes["Density"]  # a union of types, with no name of its own
    run = subprocess.run([sys.executable, "-c", BY_REFERENCE, repr(homes), first], capture_output=True, text=True)
    assert run.stderr == ""


def test_users_see_public_things_where_they_import_them_from() -> None:
    others = {name for name in crunch_game.__all__ if getattr(crunch_game, name).__module__ != "crunch_game"}
    assert others == {"Density"}


@pytest.mark.processes
def test_what_is_read_by_its_annotations_is_read_by_any_name() -> None:
    """A fault comes out of a capsule's manifest: msgspec looks its annotations up where its class says it lives."""
    program = (
        "import msgspec; from crunch_game.outcomes import Fault; "
        'print(repr(msgspec.json.decode(b\'{"kind": "timeout", "message": "late", "exit": -9}\', type=Fault)))'
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "Fault(kind='timeout', message='late', traceback=None, stderr=None, exit=-9, stdout=None)\n"


@pytest.mark.processes
def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, crunch_game; crunch_game.TrackerBase; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in LIGHT if name in loaded}


def test_the_event_and_the_error_called_model_stopped_stand_apart() -> None:
    errors, events = importlib.import_module("crunch_game.errors"), importlib.import_module("crunch_game.events")
    assert crunch_game.ModelStopped is events.ModelStopped
    assert crunch_game.ModelUnavailable is errors.ModelStopped


def test_every_extra_that_the_design_names_is_there() -> None:
    assert set(metadata("crunch-game").get_all("Provides-Extra")) == {
        "all",
        "crunchdao",
        "dask",
        "postgres",
        "scoring",
        "tables",
        "testing",
    }


MODULES_OF = {"grpcio": "grpc", "grpcio-health-checking": "grpc_health", "protobuf": "google.protobuf"}
"""What libraries are imported as that have another name than their distribution."""


@pytest.mark.slow
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
