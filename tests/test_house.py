"""The rooms of the house: imports point one way, heavy libraries stay in their rooms, models pay for nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import crunch_game

PACKAGE = Path(crunch_game.__file__).parent

LEVELS = [
    {"errors", "durations", "tracker", "status", "stubs", "wording"},
    {"outcomes", "faults", "checking", "contract"},
    {"policy", "models", "events"},
    {"importing", "loading"},
    {"hosts", "rosters", "feeds", "storage", "scoring", "datasets"},
    {"seats", "reporting", "lineup", "rounds", "capsules", "runner", "schedule", "game"},
    {"workers", "backtest", "sync", "testing", "crunchdao", "report"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
FOLDERS = LEVELS[4]
"""Rooms of one kind each: they know each other by their `base` only."""

ONLY_IN = {
    "httpx": ("feeds.polling",),
    "typer": ("cli",),
    "rich": ("cli", "report"),
    "watchfiles": ("rosters.directory",),
    "sqlalchemy": ("storage",),
    "scoringrules": ("scoring",),
    "grpc": ("crunchdao",),
    "grpc_health": ("crunchdao",),
    "google": ("crunchdao",),
    "websockets": ("crunchdao",),
    "cryptography": ("crunchdao",),
    "base58": ("crunchdao",),
    "plotly": ("report",),
    "starlette": ("report",),
    "uvicorn": ("report",),
    "trio": ("hosts",),
}

MODULES = {
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): file
    for file in sorted(PACKAGE.rglob("*.py"))
    if "examples" not in file.relative_to(PACKAGE).parts  # the demo game is shipped, but is no part of the house
}
"""Every module but the face of the package, by its name within it."""
del MODULES[""]


def imports(tree: ast.AST) -> Iterator[str]:
    """What a module imports, inside functions too, but not for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imports(ast.Module(node.orelse, []))
        else:
            yield from imports(node)


def imported(module: str) -> set[str]:
    return set(imports(ast.parse(MODULES[module].read_bytes())))


def own_imports(module: str) -> set[str]:
    """The modules of the package that a module imports."""
    names = {name.removeprefix("crunch_game.") for name in imported(module) if name.startswith("crunch_game.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


def room(module: str) -> str:
    return module.partition(".")[0]


def allowed(module: str, target: str) -> bool:
    """Whether a module may import another."""
    own, other = room(module), room(target)
    if own == other:
        return True
    if own in FOLDERS and other in FOLDERS:
        return target.endswith(".base")
    return LEVEL[other] <= LEVEL[own]


def test_the_imports_are_read_as_python_reads_them():
    assert {"crunch_game.hosts.inline.InlineHost", "anyio"} <= imported("runner")  # the first inside a function
    assert "crunch_game.checking.Check" in imported("contract")
    assert set(
        imports(ast.parse("if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    from c import d"))
    ) == {
        "b",
        "c.d",
    }


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_place(module):
    assert room(module) in LEVEL, f"say in LEVELS where {room(module)} belongs"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    assert {target for target in own_imports(module) if not allowed(module, target)} == set()


@pytest.mark.parametrize("module", MODULES)
def test_nobody_but_the_command_line_comes_in_by_the_front_door(module):
    through_the_face = "crunch_game" in imported(module) or "" in own_imports(module)
    assert room(module) == "cli" or not through_the_face


def test_nobody_imports_whom_it_is_imported_by():
    """Modules of one room too: no circle, wherever the import stands."""
    after: dict[str, set[str]] = {}

    def reach(module: str, path: tuple[str, ...] = ()) -> set[str]:
        assert module not in path, f"a circle: {' → '.join((*path[path.index(module) :], module))}"
        if module not in after:
            targets = {target for target in own_imports(module) if target in MODULES}
            after[module] = targets.union(*(reach(target, (*path, module)) for target in targets))
        return after[module]

    for module in MODULES:
        reach(module)


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_room(library):
    users = {module for module in MODULES if library in {name.partition(".")[0] for name in imported(module)}}

    assert {user for user in users if not any(f"{user}.".startswith(f"{home}.") for home in ONLY_IN[library])} == set()


# What a model's process must import


HEAVY = {
    "pydantic",
    "pydantic_core",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "sqlalchemy",
    "httpx",
    "typer",
    "rich",
    "anyio",
    "asyncio",
    "watchfiles",
    "scoringrules",
    "grpc",
    "google.protobuf",
    "websockets",
    "cryptography",
}


def loaded_by(statement: str) -> set[str]:
    program = f"{statement}; import sys; print(*sys.modules)"
    command = [sys.executable, "-I", "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("module", ["crunch_game.hosts.worker", "crunch_game.hosts.forkserver"])
def test_a_models_process_imports_nothing_heavy(module):
    assert loaded_by(f"import {module}") & HEAVY == set()


def test_a_participants_import_loads_the_base_class_and_nothing_else():
    loaded = loaded_by("import crunch_game; crunch_game.TrackerBase")

    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.startswith("crunch_game")} == {"crunch_game", "crunch_game.tracker"}
    assert "msgspec" not in loaded


def test_reading_a_contract_and_loading_a_model_loads_nothing_heavy(tmp_path):
    file = tmp_path / "alice.py"
    file.write_text("import crunch_game\nclass Alice(crunch_game.TrackerBase):\n    def predict(self): return 1\n")
    program = (
        f"from crunch_game.loading import load_model; load_model({str(file)!r}, 'crunch_game.tracker.TrackerBase')"
    )

    assert loaded_by(program) & HEAVY == set()


@pytest.mark.parametrize("name", sorted(crunch_game._HOME))
def test_every_public_name_is_where_it_is_said_to_be(name):
    home = crunch_game._HOME[name]

    found = getattr(__import__(home, fromlist=[name]), name)

    # A module that has the name of its function is called as that, once somebody has imported it.
    assert getattr(crunch_game, name) in (found, sys.modules.get(f"crunch_game.{name}"))


def test_no_public_name_has_two_homes():
    names = [name for names in crunch_game._HOMES.values() for name in names]

    assert len(names) == len(set(names))
    assert all(list(names) == sorted(names) for names in crunch_game._HOMES.values())
    assert list(crunch_game._HOMES) == sorted(crunch_game._HOMES)
