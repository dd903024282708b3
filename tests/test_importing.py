"""A submission's entry is found and run; what it imports is its own, and the process stays as it was."""

from __future__ import annotations

import json
import os
import pickle  # noqa: F401 - which submissions import, and which stays
import queue
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import crunch_game.tracker
from crunch_game._importing import Scope, import_code
from crunch_game.contract import Contract
from crunch_game.errors import LoadError
from crunch_game.hosts import Callee
from crunch_game.loading import AutoLoader, make_model

PACKAGE = crunch_game.__file__


class Tracker:
    pass


def write(folder: Path, **files: str) -> Path:
    """A folder of modules; `a__b` is a/b.py."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / re.sub("(?<=[a-z])__(?=[a-z]|__)", "/", f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def refusal(source: object) -> LoadError:
    with pytest.raises(LoadError) as caught:
        import_code(source)
    return caught.value


def fresh(program: str, *arguments: object, **environment: str) -> str:
    """What a program prints in an interpreter of its own, which may write bytecode."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | environment
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


@pytest.fixture(autouse=True)
def same_process(tmp_path):
    """Whatever is imported in a test, the process must be left as it was found."""
    path, modules, writes, finders = sys.path[:], dict(sys.modules), sys.dont_write_bytecode, sys.meta_path[:]
    yield
    assert sys.path == path
    assert sys.meta_path == finders
    assert {name: module for name, module in sys.modules.items() if modules.get(name) is not module} == {}
    assert sys.modules.keys() == modules.keys()
    assert sys.dont_write_bytecode is writes


# Running it


def test_a_class_is_its_own_code():
    code = import_code(Tracker)

    assert (code.name, code.modules, code.named) == ("Tracker", (), Tracker)


def test_a_reference_names_an_object():
    assert import_code("crunch_game.tracker:TrackerBase").named.__name__ == "TrackerBase"
    assert import_code("crunch_game.tracker:TrackerBase.predict").named.__name__ == "predict"
    assert import_code("crunch_game.tracker").named is None


def test_a_node_has_nothing_to_import():
    assert str(refusal("10.0.0.3:50051")) == (
        "10.0.0.3:50051 is the address of a model node, which has the code; play it with a NodeHost"
    )


def test_a_reference_that_leads_nowhere_is_told():
    assert str(refusal("crunch_game.tracker:Tracker")) == (
        "crunch_game.tracker:Tracker: importing it raised "
        "AttributeError: module 'crunch_game.tracker' has no attribute 'Tracker'"
    )
    assert str(refusal("no_such_package.models:Tracker")) == (
        "no_such_package.models:Tracker: importing it raised ModuleNotFoundError: No module named 'no_such_package'"
    )


def test_the_entry_comes_first_then_what_it_imported(tmp_path):
    write(tmp_path / "alice", main="import zeta, alpha", zeta="import beta", alpha="", beta="", unused="1 / 0")

    code = import_code(tmp_path / "alice")

    assert code.name == "alice"
    assert [module.__name__ for module in code.modules] == ["main", "beta", "zeta", "alpha"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("raise SystemExit", "SystemExit"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def broken(:", "SyntaxError: invalid syntax (alice.py, line 1)"),
        ("class Evil(BaseException): pass\nraise Evil('ha')", "Evil: ha"),
        ("from crunch_game import helper", f"ImportError: cannot import name 'helper' from 'crunch_game' ({PACKAGE})"),
    ],
)
def test_an_import_that_fails_is_told_with_its_cause(tmp_path, text, said):
    write(tmp_path, alice=text)

    error = refusal(tmp_path / "alice.py")

    assert str(error) == f"alice.py: importing it raised {said}"
    assert type(error.__cause__).__name__ == said.partition(":")[0]


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "alice.py").write_bytes(b"x = '\xff'")

    assert str(refusal(tmp_path / "alice.py")).startswith("alice.py: importing it raised SyntaxError: ")


def test_only_the_person_at_the_keyboard_ends_the_program(tmp_path):
    write(tmp_path, alice="raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        import_code(tmp_path / "alice.py")


# Names


def test_a_file_may_be_called_like_any_module(tmp_path):
    write(tmp_path, queue="import queue\nFULL = queue.Full")

    code = import_code(tmp_path / "queue.py")

    assert code.modules[0].FULL is queue.Full
    assert code.modules[0].__name__ == "submission_queue"


def test_a_folders_modules_hide_others_of_their_name_while_it_runs(tmp_path):
    write(tmp_path / "alice", main="import queue\nNAME = queue.NAME", queue="NAME = 'own'")

    code = import_code(tmp_path / "alice")

    assert code.modules[0].NAME == "own"
    assert sys.modules["queue"] is queue
    with code.scope:
        assert sys.modules["queue"].NAME == "own"


@pytest.mark.parametrize("name", ["sys", "os", "builtins", "time"])
def test_what_python_finds_before_any_file_is_left_in_place(tmp_path, name):
    write(tmp_path / "alice", main=f"import {name}", **{name: "1 / 0"})
    before = sys.modules[name]

    code = import_code(tmp_path / "alice")

    assert getattr(code.modules[0], name) is before


def test_a_folder_of_data_hides_nothing(tmp_path):
    folder = write(tmp_path / "alice", main="import json, __main__\nDUMPS = json.dumps", __main__="")
    (folder / "json").mkdir()

    code = import_code(folder)

    assert code.modules[0].DUMPS is json.dumps
    with code.scope:
        assert sys.modules["__main__"] is not None


def test_a_submission_that_is_a_package_may_be_called_like_any_module(tmp_path):
    write(tmp_path / "queue", __init__="from .model import NAME\nfrom model import NAME as AGAIN", model="NAME = 'own'")

    code = import_code(tmp_path / "queue")

    assert (code.modules[0].NAME, code.modules[0].AGAIN) == ("own", "own")
    assert code.modules[0].__name__ == "queue"
    with code.scope:
        assert sys.modules["queue"] is code.modules[0]
    assert sys.modules["queue"] is queue


def test_a_package_imports_its_own_parts(tmp_path):
    write(
        tmp_path / "alice",
        tracker____init__="from .model import NAME\nfrom tracker.deep.parts import PART",
        tracker__model="from . import deep\nNAME = __name__",
        tracker__deep____init__="",
        tracker__deep__parts="from ..model import NAME\nPART = __name__",
    )

    code = import_code(tmp_path / "alice")

    assert [module.__name__ for module in code.modules] == [
        "tracker",
        "tracker.deep",
        "tracker.model",
        "tracker.deep.parts",
    ]
    assert (code.modules[0].NAME, code.modules[0].PART) == ("tracker.model", "tracker.deep.parts")


def test_two_submissions_may_both_have_a_utils(tmp_path):
    for name in ("alice", "bob"):
        write(
            tmp_path / name,
            main="import utils\nfrom tools import more\nNAMES = [utils.NAME, more.NAME]",
            utils=f"NAME = {name!r}",
            tools__more=f"NAME = {name!r}",
        )

    alice, bob = import_code(tmp_path / "alice"), import_code(tmp_path / "bob")

    assert alice.modules[0].NAMES == ["alice", "alice"]
    assert bob.modules[0].NAMES == ["bob", "bob"]


def test_what_is_imported_later_is_its_own_too(tmp_path):
    write(
        tmp_path / "alice",
        main="import tools.first\ndef late():\n    import tools.second\n    return tools.first.X, tools.second.X",
        tools__first="X = 1",
        tools__second="X = 2",
    )
    code = import_code(tmp_path / "alice")

    for _ in range(2):
        with code.scope:
            assert code.modules[0].late() == (1, 2)
            second = sys.modules["tools.second"]
        assert "tools.second" not in sys.modules
    with code.scope:
        assert sys.modules["tools.second"] is second


def test_what_it_adds_to_the_search_path_is_its_own(tmp_path):
    for name in ("alice", "bob"):
        write(
            tmp_path / name,
            main="""
            import sys
            from pathlib import Path
            sys.path.insert(0, str(Path(__file__).parent / "lib"))
            def late():
                import tool
                return tool.NAME
            """,
            lib__tool=f"NAME = {name!r}",
        )
    playing = [import_code(tmp_path / name) for name in ("alice", "bob")]

    for _ in range(2):
        for code in playing:
            with code.scope:
                assert code.modules[0].late() == code.name


def test_a_library_that_it_imports_stays(tmp_path):
    library = write(tmp_path / "site", crunch_game_test_library="")
    write(tmp_path / "alice", main="import crunch_game_test_library as library")
    sys.path.append(str(library))
    try:
        code = import_code(tmp_path / "alice")
        assert sys.modules.pop("crunch_game_test_library") is code.modules[0].library
    finally:
        sys.path.remove(str(library))


def test_modules_of_its_folder_that_were_there_before_are_not_its_own(tmp_path):
    folder = write(tmp_path / "project", main="import arena_of_mine as arena", arena_of_mine="")
    sys.path.append(str(folder))
    try:
        import arena_of_mine

        code = import_code(folder)

        assert code.modules[0].arena is arena_of_mine
        assert [module.__name__ for module in code.modules] == ["main"]
        assert sys.modules.pop("arena_of_mine") is arena_of_mine
    finally:
        sys.path.remove(str(folder))


def test_an_environment_that_lies_in_the_folder_is_not_its_own(tmp_path, monkeypatch):
    folder = write(tmp_path / "project", main="import sys; sys.path.append(VENV); import tool_of_the_environment")
    write(folder / ".venv", tool_of_the_environment="")
    (folder / "main.py").write_text(f"VENV = {str(folder / '.venv')!r}\n" + (folder / "main.py").read_text())
    monkeypatch.setattr(sys, "prefix", str(folder / ".venv"))

    code = import_code(folder)

    assert [module.__name__ for module in code.modules] == ["main"]
    assert sys.modules.pop("tool_of_the_environment")


def test_a_failed_import_leaves_nothing(tmp_path):
    write(tmp_path / "alice", main="import sys, queue, helper\nsys.path.append('x')\n1 / 0", queue="", helper="")

    refusal(tmp_path / "alice")  # the fixture looks at the process


def test_a_scope_is_left_however_its_body_ends(tmp_path):
    code = import_code(write(tmp_path / "alice", main="import queue", queue=""))

    with pytest.raises(ZeroDivisionError), code.scope:
        1 / 0  # noqa: B018


def test_entering_a_scope_costs_next_to_nothing(tmp_path):
    """Once it took milliseconds, because every module of the process was looked at."""
    code = import_code(write(tmp_path / "alice", main="import helper", helper=""))
    looked: list[object] = []
    code.scope._is_inside = lambda module: bool(looked.append(module))

    for _ in range(10):
        with code.scope:
            pass

    assert looked == []


def test_a_module_without_attributes_of_a_module_is_no_trouble(tmp_path):
    class Odd:
        def __getattr__(self, name):
            raise RuntimeError(name)

    sys.modules["odd_one_out"] = Odd()
    try:
        assert len(import_code(write(tmp_path / "alice", main="import helper", helper="")).modules) == 2
    finally:
        del sys.modules["odd_one_out"]


def test_without_a_folder_a_scope_changes_nothing():
    with Scope():
        pass


# Relative imports


def test_a_main_imports_its_neighbours_relatively_and_not_and_gets_the_same(tmp_path):
    folder = write(
        tmp_path / "alice",
        main="""
        import helper, tools.deep
        from .helper import NUMBER
        from . import helper as again
        from .tools import deep
        from .tools.deep import NUMBER as DEEP
        from .bare.part import PART
        import bare.part
        def late():
            from .later import LATER
            import later
            return LATER is later.LATER
        """,
        helper="NUMBER = object()",
        later="LATER = object()",
        tools____init__="",
        tools__deep="from . import sibling\nfrom .. import helper\nfrom ..helper import NUMBER",
        tools__sibling="import helper",
        bare__part="PART = object()",
    )

    code = import_code(folder)

    main = code.modules[0]
    assert main.NUMBER is main.helper.NUMBER is main.DEEP
    assert main.again is main.helper is main.deep.helper is main.deep.sibling.helper
    assert main.deep is main.tools.deep
    assert main.PART is main.bare.part.PART
    names = [module.__name__ for module in code.modules]
    assert sorted(names) == ["bare", "bare.part", "helper", "main", "tools", "tools.deep", "tools.sibling"]
    assert all(sys.modules.get(name) not in code.modules for name in names)
    with code.scope:
        assert main.late()


@pytest.mark.parametrize("init", ["", "NUMBER = 1", "from .main import Model\nNUMBER = 1\nimport helper"])
def test_a_main_beside_an_init_is_the_entry_and_finds_what_is_in_the_init(tmp_path, init):
    folder = write(
        tmp_path / "alice",
        __init__=init,
        main="""
        from .helper import Base
        class Model(Base): pass
        def late():
            from . import NUMBER
            return NUMBER
        """,
        helper="class Base: pass",
    )

    code = import_code(folder)

    assert code.modules[0].__name__ == "main"
    with code.scope:
        if init:
            assert code.modules[0].late() == 1
        else:
            with pytest.raises(ImportError, match="cannot import name 'NUMBER' from 'alice'"):
                code.modules[0].late()


def test_modules_that_import_each_other_relatively_are_one_each(tmp_path):
    folder = write(
        tmp_path / "alice",
        main="from .helper import double\nNUMBER = 3\nclass Model: pass",
        helper="from . import main\ndef double(): return 2 * main.NUMBER",
    )

    code = import_code(folder)

    assert code.modules[0].double() == 6
    assert [module.__name__ for module in code.modules] == ["main", "helper"]


@pytest.mark.parametrize("name", ["time", "os", "sys", "json"])
def test_a_relative_import_never_leads_to_a_library(tmp_path, name):
    folder = write(tmp_path / "alice", main=f"from .{name} import NAME\nimport sys", **{name: "NAME = 'own'"})

    assert import_code(folder).modules[0].NAME == "own"


def test_a_folder_without_an_init_is_found_relatively_though_a_library_has_its_name(tmp_path):
    folder = write(tmp_path / "alice", main="from .queue.part import NAME\nimport queue", queue__part="NAME = 'own'")

    [main, *_] = import_code(folder).modules

    assert main.NAME == "own"
    assert main.queue is queue


def test_a_main_may_call_its_folder_by_its_name(tmp_path):
    folder = write(
        tmp_path / "alice_of_mine",
        main="import helper\nfrom alice_of_mine.helper import X\nimport alice_of_mine.helper as again",
        helper="X = object()",
    )

    main = import_code(folder).modules[0]

    assert main.X is main.helper.X
    assert main.again is main.helper


@pytest.mark.parametrize("name", ["queue", "my model", "my-model", "v1.2", "1st", "class", "größe", "main", "helper"])
def test_a_folder_may_have_any_name(tmp_path, name):
    text = "import queue\nfrom .helper import X\nfrom . import helper\nimport helper as again"
    folder = write(tmp_path / name, main=text, helper="X = 1")

    main = import_code(folder).modules[0]

    assert main.X == 1
    assert main.helper is main.again
    assert main.queue is queue


def test_a_package_may_import_its_parts_in_both_ways(tmp_path):
    folder = write(tmp_path / "alice", __init__="from .model import A\nimport model", model="A = object()")

    [alice, model] = import_code(folder).modules

    assert alice.A is alice.model.A
    assert (alice.__name__, model.__name__, alice.model is model) == ("alice", "model", True)


def test_two_submissions_of_one_name_import_relatively_what_is_their_own(tmp_path):
    codes = []
    for number in (1, 2):
        text = "from .helper import X\ndef late():\n    from .later import Y\n    return X, Y"
        folder = tmp_path / str(number) / "alice"
        codes.append(import_code(write(folder, main=text, helper=f"X = {number}", later=f"Y = {number}")))

    for number, code in enumerate(codes, 1):
        with code.scope:
            assert code.modules[0].late() == (number, number)


def test_what_runs_only_as_a_script_is_not_run(tmp_path):
    folder = write(
        tmp_path / "alice", main="from .helper import X\nif __name__ == '__main__':\n    1 / 0", helper="X = 1"
    )

    assert import_code(folder).modules[0].X == 1


def test_a_relative_import_that_leads_nowhere_is_told(tmp_path):
    assert str(refusal(write(tmp_path / "alice", main="from .nowhere import x"))) == (
        "alice: importing it raised ModuleNotFoundError: No module named 'alice.nowhere'"
    )


# As `__main__`


SCALER = "class Scaler:\n    factor = 3\n"


def weights_of(folder: Path, how: str = "pickle") -> None:
    """Weights that were pickled by running the folder's main.py, or a script beside it."""
    script = "import pickle\nfrom pathlib import Path\nPath('weights.pkl').write_bytes(pickle.dumps(Scaler()))\n"
    subprocess.run([sys.executable, "-c", SCALER + script], cwd=folder, check=True)


LOADS = "import pickle\nfrom pathlib import Path\ndef load():\n    return pickle.loads(Path(PLACE).read_bytes())\n"


@pytest.mark.processes
@pytest.mark.parametrize("where", ["main", "helper"])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_what_was_pickled_by_running_the_entry_loads(tmp_path, where, when):
    scaler = SCALER if where == "main" else "from .helper import Scaler\n"
    loads = LOADS.replace("PLACE", repr(str(tmp_path / "alice" / "weights.pkl")))
    folder = write(tmp_path / "alice", main=scaler + loads + ("W = load()" if when == "at once" else ""), helper=SCALER)
    weights_of(folder)

    code = import_code(folder)

    main = code.modules[0]
    with code.scope:
        weights = main.W if when == "at once" else main.load()
    assert type(weights) is main.Scaler
    assert weights.factor == 3


@pytest.mark.processes
def test_what_was_pickled_by_running_a_single_file_loads(tmp_path):
    write(tmp_path, alice=SCALER + LOADS.replace("PLACE", repr(str(tmp_path / "weights.pkl"))) + "W = load()")
    weights_of(tmp_path)

    [alice] = import_code(tmp_path / "alice.py").modules

    assert type(alice.W) is alice.Scaler


def test_the_script_that_runs_keeps_what_is_its_own(tmp_path, monkeypatch):
    script = sys.modules["__main__"]
    monkeypatch.setattr(script, "ONLY_THE_SCRIPTS", 1, raising=False)
    monkeypatch.setattr(script, "BOTH_HAVE", "script", raising=False)
    folder = write(
        tmp_path / "alice",
        main="""
        import __main__, sys
        BOTH_HAVE = "entry"
        FOUND = __main__.ONLY_THE_SCRIPTS, __main__.BOTH_HAVE, __main__.__name__, __main__.__spec__, vars(__main__)
        __main__.LEFT_BY_ALICE = 1
        """,
    )

    code = import_code(folder)

    assert sys.modules["__main__"] is script
    found = code.modules[0].FOUND
    assert found[:4] == (1, "entry", "__main__", script.__spec__)
    assert found[4] is vars(script)
    assert script.BOTH_HAVE == "script"
    monkeypatch.delattr(script, "LEFT_BY_ALICE")
    with code.scope:
        assert sys.modules["__main__"].BOTH_HAVE == "entry"
    assert sys.modules["__main__"] is script


@pytest.mark.processes
def test_what_was_pickled_elsewhere_says_how_to_save_it(tmp_path):
    loads = LOADS.replace("PLACE", repr(str(tmp_path / "alice" / "weights.pkl")))
    folder = write(tmp_path / "alice", main=loads + "load()")
    weights_of(folder)

    error = refusal(folder)

    assert str(error).endswith(
        "; it was pickled by a script that defined Scaler itself: import Scaler in main.py, or define it in a module "
        "of its own, which the script imports too, and pickle again"
    )


# Bytecode


PROGRAM = """
import sys
from pathlib import Path
from crunch_game._importing import import_code
code = import_code(Path(sys.argv[1]))
with code.scope:
    code.modules[0].late()
print(sys.dont_write_bytecode)
"""


@pytest.mark.processes
@pytest.mark.parametrize("entry", ["main", "__init__"])
def test_no_bytecode_is_written_beside_a_submission(tmp_path, entry):
    folder = write(
        tmp_path / "alice",
        **{entry: "import helper\ndef late():\n    import later"},
        helper="",
        later="",
        lone="def late(): pass",
    )

    assert fresh(PROGRAM, folder) == fresh(PROGRAM, folder / "lone.py") == "False\n"
    assert not list(folder.rglob("__pycache__"))


@pytest.mark.processes
def test_a_redeployment_of_the_same_second_and_size_is_not_stale(tmp_path):
    folder = write(tmp_path / "alice", main="import helper\nX = 1, helper.X", helper="X = 1")
    program = """
    import os, sys
    from pathlib import Path
    from crunch_game._importing import import_code
    folder = Path(sys.argv[1])
    for version in "123":
        for name, text in {"main": f"import helper\\nX = {version}, helper.X", "helper": f"X = {version}"}.items():
            (folder / f"{name}.py").write_text(text)
            os.utime(folder / f"{name}.py", (1e9, 1e9))
        print(import_code(folder).modules[0].X)
    """

    assert fresh(program, folder) == "(1, 1)\n(2, 2)\n(3, 3)\n"


def test_a_module_that_came_a_moment_ago_is_found(tmp_path):
    for i in range(3):
        folder = write(tmp_path / "alice", main=f"from part{i} import X", **{f"part{i}": f"X = {i}"})
        os.utime(folder, (1e9, 1e9))  # a clock that does not tell two moments apart
        [module, part] = import_code(folder).modules
        assert (module.X, part.__name__) == (i, f"part{i}")


# Scripts


SCRIPT = """
import json, sys
from pathlib import Path
from crunch_game._importing import alias_main, import_code, main_of

class Base:
    pass

if __name__ == "__main__":
    alias_main()
    code = import_code(Path(sys.argv[1]))
    print(json.dumps([main_of(), code.modules[0].Model.__mro__[1] is Base]))
"""


@pytest.mark.processes
def test_a_submission_may_import_the_script_that_runs(tmp_path):
    write(tmp_path, game=SCRIPT, alice="from game import Base\nclass Model(Base): pass")
    command = [sys.executable, tmp_path / "game.py", tmp_path / "alice.py"]

    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert json.loads(printed) == [{"path": str(tmp_path / "game.py")}, True]


@pytest.mark.processes
def test_a_script_run_as_a_module_is_known_by_its_name(tmp_path):
    write(tmp_path, game=SCRIPT, alice="from game import Base\nclass Model(Base): pass")
    command = [sys.executable, "-m", "game", "alice.py"]

    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    assert json.loads(printed) == [{"name": "game"}, True]


@pytest.mark.processes
def test_a_prompt_has_no_main_for_others():
    assert fresh("from crunch_game._importing import main_of; print(main_of())") == "{}\n"


RUN_MAIN = """
import json, sys
from crunch_game._importing import run_main
run_main(json.loads(sys.argv[1]))
import __main__, game
print(__main__.__name__, __main__.Base.__module__, game.Base is __main__.Base)
"""


@pytest.mark.processes
def test_another_process_gets_the_script_without_running_its_main_part(tmp_path):
    write(tmp_path, game="class Base: pass\nif __name__ == '__main__':\n    1 / 0")

    by_path = fresh(RUN_MAIN, json.dumps({"path": str(tmp_path / "game.py")}))
    by_name = fresh(RUN_MAIN, json.dumps({"name": "game"}), PYTHONPATH=str(tmp_path))

    assert by_path == by_name == "__mp_main__ __mp_main__ True\n"


@pytest.mark.processes
def test_without_a_main_nothing_is_run():
    assert fresh("from crunch_game._importing import run_main; run_main({}); import __main__; print(__name__)") == (
        "__main__\n"
    )


LATE_IMPORTS = """
import crunch_game

class Tracker(crunch_game.TrackerBase):
    def predict(self):
        import utils
        from parts import late
        return [utils.NAME, late.NAME, late.__name__]
"""


def test_two_submissions_import_their_own_modules_late_and_in_turns(tmp_path):
    contract = Contract("crunch_game.tracker.TrackerBase")
    playing = []
    for name in ("alice", "bob"):
        folder = tmp_path / name
        (folder / "parts").mkdir(parents=True)
        (folder / "main.py").write_text(LATE_IMPORTS)
        (folder / "utils.py").write_text(f"NAME = {name!r}")
        (folder / "parts" / "late.py").write_text(f"NAME = {name + '/late'!r}")
        code = import_code(folder)
        with code.scope:
            playing.append((code.scope, Callee(make_model(code, contract, AutoLoader(), (), {}), contract)))

    answers = []
    for _ in range(3):
        for scope, callee in playing:
            with scope:
                answers.append(callee.call("predict", [], {}))

    assert answers == [["alice", "alice/late", "parts.late"], ["bob", "bob/late", "parts.late"]] * 3
