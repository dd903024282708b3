"""The rooms of the house: imports point one way, heavy libraries stay in their rooms, models pay for nothing."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import crunch_game

PACKAGE = Path(crunch_game.__file__).parent
TESTS = Path(__file__).parent

FLOORS = [
    {"_public", "errors", "_quantities", "_status", "tracker"},
    {"outcomes", "faults", "contract", "sources"},
    {"sandbox", "encoding"},
    {"policy", "models", "events"},
    {"_importing", "loading"},
    {"feeds", "storage", "scoring", "resolving", "datasets"},
    {"ranking"},
    {"game", "_asks", "_slots"},
    {"hosts", "rosters"},
    {"crunchdao"},
    {"lineup", "_rounds", "_retelling", "capsules", "runner"},
    {"workers", "_backtest", "sync", "testing"},
    {"cli"},
]
"""From the ground up: a room uses those of its own floor, and of the floors below."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

ONLY_IN = {
    "httpx": ("feeds._polling",),
    "typer": ("cli",),
    "rich": ("cli",),
    "watchfiles": ("rosters._directory",),
    "sqlalchemy": ("storage",),
    "psycopg": ("storage.sql._postgres",),
    "pytest": ("testing.suites",),
    "hypothesis": ("testing.suites",),
    "scoringrules": ("scoring",),
    "grpc": ("crunchdao",),
    "grpc_health": ("crunchdao",),
    "google": ("crunchdao",),
    "websockets": ("crunchdao",),
    "cryptography": ("crunchdao",),
    "base58": ("crunchdao",),
    "trio": ("hosts",),
}

MODULES = {
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip("."): file
    for file in sorted(PACKAGE.rglob("*.py"))
    if "examples" not in file.relative_to(PACKAGE).parts  # the demo game is shipped, but is no part of the house
}
"""Every module but the face of the package, by its name within it."""
del MODULES[""]


def imports(tree: ast.AST, *, for_types: bool = False) -> Iterator[str]:
    """What a module imports, inside functions too; what only type checkers import is left out unless asked for."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
            yield from imports(ast.Module(node.orelse, []))
        else:
            yield from imports(node, for_types=for_types)


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


@cache
def imported(module: str, *, for_types: bool = False) -> set[str]:
    return set(imports(parsed(MODULES[module]), for_types=for_types))


@cache
def own_imports(module: str, *, for_types: bool = False) -> set[str]:
    """The modules of the package that a module imports."""
    names = imported(module, for_types=for_types)
    inside = {name.removeprefix("crunch_game.") for name in names if name.startswith("crunch_game.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in inside}


def room(module: str) -> str:
    return module.partition(".")[0]


def is_private_to_others(module: str, target: str) -> bool:
    """Whether a module is none of another's business: private, and neither of its folder nor of one around that."""
    folder, _, name = target.rpartition(".")
    own = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    return name.startswith("_") and not f"{own}.".startswith(f"{folder}." if folder else "")


def test_the_imports_are_read_as_python_reads_them():
    assert {"crunch_game.capsules.Recorder", "anyio"} <= imported("runner")  # the first inside a function
    assert "crunch_game.contract._checking.Check" in imported("contract._method")
    assert set(
        imports(ast.parse("if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    from c import d"))
    ) == {
        "b",
        "c.d",
    }


def test_every_module_has_its_place():
    assert {room(module) for module in MODULES} - FLOOR.keys() == set(), "say in FLOORS where they belong"


def test_imports_point_downwards():
    pairs = {(module, target) for module in MODULES for target in own_imports(module, for_types=True) if target}
    upwards = {f"{module} imports {target}" for module, target in pairs if FLOOR[room(target)] > FLOOR[room(module)]}

    assert upwards == set()


def test_a_folder_is_entered_by_its_face():
    pairs = {(module, target) for module in MODULES for target in own_imports(module, for_types=True) if target}

    assert {f"{module} imports {target}" for module, target in pairs if is_private_to_others(module, target)} == set()


def test_every_path_is_a_face_or_says_that_it_is_private():
    """A public path is the package's, a folder's, or a module's whose names are all of its `__all__`."""
    public = {module for module in MODULES if not any(part.startswith("_") for part in module.split("."))}
    faceless = {module for module in public if not hasattr(importlib.import_module(f"crunch_game.{module}"), "__all__")}

    assert faceless == set()


def test_nobody_but_the_command_line_comes_in_by_the_front_door():
    through_the_face = {m for m in MODULES if "crunch_game" in imported(m) or "" in own_imports(m)}

    assert {module for module in through_the_face if room(module) != "cli"} == set()


def circles(after: Mapping[str, set[str]]) -> set[str]:
    """One circle for each import that closes one, each written from its first module in the alphabet."""
    found: set[str] = set()
    done: set[str] = set()

    def follow(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            around = path[path.index(module) :]
            first = around.index(min(around))
            found.add(" → ".join((*around[first:], *around[:first], around[first])))
        elif module not in done:
            for target in sorted(after.get(module, ())):
                follow(target, (*path, module))
            done.add(module)

    for module in sorted(after):
        follow(module, ())
    return found


def test_a_circle_is_found_wherever_it_is_entered():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}) == {"b → c → b", "d → d"}
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()


def test_nobody_imports_whom_it_is_imported_by():
    """Modules of one room too: no circle, wherever the import stands, and be it for type checkers only."""
    found = circles({module: own_imports(module, for_types=True) & MODULES.keys() for module in MODULES})

    assert found == set()


def test_a_library_stays_in_its_room():
    users = {(name.partition(".")[0], module) for module in MODULES for name in imported(module)}
    strays = {
        f"{module} imports {library}"
        for library, module in users
        if library in ONLY_IN and not any(f"{module}.".startswith(f"{home}.") for home in ONLY_IN[library])
    }

    assert strays == set()


# What is read at a glance


MOST_MODULES = {"": 20}
"""Of a folder, its face not counted; FOLDER_IS_FULL where nothing is said."""
FOLDER_IS_FULL = 15
MOST_LINES = 400
LONGEST_FUNCTION = 60


def test_a_folder_is_read_at_a_glance():
    modules = Counter(
        ".".join(file.parent.relative_to(PACKAGE).parts) for file in MODULES.values() if file.name != "__init__.py"
    )
    full = {f"{folder}/" for folder, count in modules.items() if count > MOST_MODULES.get(folder, FOLDER_IS_FULL)}

    assert full == set()


def test_a_module_and_a_function_end_before_their_beginning_is_forgotten():
    lines = {module: file.read_bytes().count(b"\n") for module, file in MODULES.items()}
    functions = {
        f"{module}.{node.name}": node.end_lineno - node.lineno + 1
        for module, file in MODULES.items()
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    }
    long = {module for module, count in lines.items() if count > MOST_LINES}
    long |= {function for function, count in functions.items() if count > LONGEST_FUNCTION}

    assert long == set()


# Names


TWO_THINGS = {
    "ModelRunner",  # crunch_game.sync's blocks, and is otherwise the same
    "ModelStopped",  # the event, and what the error was called once
}
"""Class names that stand for two things, and may."""


def test_a_class_name_stands_for_one_thing():
    """Whether it is private or not: a reader who knows `Round` reads `_Round` as that."""
    homes: dict[str, set[str]] = {}
    for module, file in MODULES.items():
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name.lstrip("_"), set()).add(module.rpartition(".")[0] or module)
    twice = {name for name, folders in homes.items() if len(folders) > 1}

    assert twice - TWO_THINGS == set()


PRIVATE_NAME = re.compile(r"\bcrunch_game((?:\.[a-z]\w*)*)\.(_[a-z]\w*)(?!\w)")
"""A private module or attribute, and the folder or module that it belongs to."""


def private_names(file: Path) -> Iterator[tuple[str, str]]:
    """Those that a test imports, or names in a text: a program that it runs, or what it patches."""
    tree = parsed(file)
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for text in [*imports(tree), *texts]:
        for owner, name in PRIVATE_NAME.findall(text):
            if not name.startswith("__"):
                yield owner.removeprefix("."), name


def test_a_private_name_is_recognised():
    package = "crunch_game"
    found = PRIVATE_NAME.findall(f"import {package}._a; {package}.hosts.process._engine._lines; {package}.Model")

    assert found == [("", "_a"), (".hosts.process", "_engine")]


def test_no_test_reaches_into_another_room():
    """A test file has the place in `tests/` that its subject has in the package."""
    reaches = {
        f"{file.relative_to(TESTS)} names {owner or 'crunch_game'}.{name}"
        for file in TESTS.rglob("*.py")
        if file.name != "test_house.py"  # whose subject is all of them
        if TESTS / "submissions" / "models" not in file.parents  # strangers' code
        for owner, name in private_names(file)
        if not _is_of(owner, file)
    }

    assert reaches == set()


def _is_of(owner: str, file: Path) -> bool:
    """Whether a test file tests the room that this module or folder is in; the runner's room is the package itself."""
    *folders, _ = file.relative_to(TESTS).parts
    home = folders[0] if folders and folders[0] != "runner" else ""
    if home == "world":  # what happens to workers and to their stores
        return room(owner) in ("workers", "storage")
    return home == (room(owner) if (PACKAGE / room(owner)).is_dir() else "")


def test_a_test_without_the_mark_starts_no_process():
    with pytest.raises(RuntimeError, match="a test that starts a process has the mark `processes`"):
        subprocess.run([sys.executable, "-c", ""], check=True)


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


@pytest.mark.processes
@pytest.mark.parametrize(
    "module", ["crunch_game.hosts.process.child._worker", "crunch_game.hosts.process.child._forkserver"]
)
def test_a_models_process_imports_nothing_heavy(module):
    assert loaded_by(f"import {module}") & HEAVY == set()


@pytest.mark.processes
def test_a_participants_import_loads_the_base_class_and_nothing_else():
    loaded = loaded_by("import crunch_game; crunch_game.TrackerBase")

    assert loaded & HEAVY == set()
    own = {name for name in loaded if name.startswith("crunch_game")}
    assert own == {"crunch_game", "crunch_game._public", "crunch_game.tracker"}
    assert "msgspec" not in loaded


@pytest.mark.processes
def test_reading_a_contract_and_loading_a_model_loads_nothing_heavy(tmp_path):
    file = tmp_path / "alice.py"
    file.write_text("import crunch_game\nclass Alice(crunch_game.TrackerBase):\n    def predict(self): return 1\n")
    program = (
        f"from crunch_game.loading import load_model; load_model({str(file)!r}, 'crunch_game.tracker.TrackerBase')"
    )

    assert loaded_by(program) & HEAVY == set()
