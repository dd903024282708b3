"""replay: failing calls of real games, played again here, with the code that the capsule has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from crunch_game import CapsuleError, CapsuleSaved, Policy, ProcessHost, Sandbox
from crunch_game.capsules import play, read
from crunch_game.sync import ModelRunner

pytestmark = pytest.mark.processes

PROGRAM = Path(sys.executable).parent / "crunch-game"
GAMES = Path(__file__).parents[1] / "games"
EXIT_3 = "exit code 3; something in it called os._exit, or native code called exit"
COUNTING = "self.n = getattr(self, 'n', 0) + 1"


@pytest.fixture
def submit(tmp_path):
    """Write a submission: what `predict` does, and what `tick` does."""

    def write(name: str, predict: str, tick: str = COUNTING, above: str = "", base: str = "walk.Walk") -> Path:
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.py"
        module, _, cls = base.rpartition(".")
        path.write_text(
            f"import os, sys, time\nfrom {module} import {cls}\n{above}\n\nclass Mine({cls}):\n"
            f"    def tick(self, prices):\n{textwrap.indent(textwrap.dedent(tick), ' ' * 8)}\n\n"
            f"    def predict(self, asset, horizon):\n{textwrap.indent(textwrap.dedent(predict), ' ' * 8)}\n"
        )
        return path

    return write


@pytest.fixture
def failing(tmp_path):
    """Play a submission for some rows, in a process; the last capsule that this left."""

    def play(source, rows: int = 1, base="walk.Walk", per_model=None, host=None, **policy) -> Path:
        told: list = []
        given = {"timeout": 20.0, "capsules": tmp_path / "capsules", "max_consecutive_failures": 0, **policy}
        options = {"policy": Policy(**given), "host": host, "on_event": told.append, "ready_timeout": 30}
        with ModelRunner(base, [source], **options) as runner:
            for number in range(rows):
                runner.tick({"BTC": float(number)})
                runner.call("predict", "BTC", **({"per_model": per_model} if per_model else {"horizon": 3600}))
        return next(event.path for event in reversed(told) if isinstance(event, CapsuleSaved))

    return play


def remade(path: Path, change) -> Path:
    """The capsule with its members changed: a function of a dict of their contents."""
    other = path.with_name("other.zip")
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    change(members)
    with zipfile.ZipFile(other, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    return other


def shown(ended) -> str:
    """What a person sees, without the frames and the line breaks of an 80 columns' terminal."""
    return " ".join(word for word in ended.stdout.replace("│", " ").split())


# It reproduces


def test_a_folder_is_played_again_with_its_relative_imports_and_what_was_pickled_as_main(failing, tmp_path, command):
    ada = tmp_path / "models" / "ada"
    ada.mkdir(parents=True)
    (ada / "helper.py").write_text("def worst(scaler):\n    return scaler.factor / 0\n")
    (ada / "main.py").write_text(
        "import pickle\nfrom pathlib import Path\nfrom walk import Walk\nfrom ada.helper import worst as again\n"
        "from .helper import worst\n\n\nclass Scaler:\n    factor = 3\n\n\nclass Mine(Walk):\n"
        "    def tick(self, prices):\n"
        "        self.scaler = pickle.loads(Path(__file__).with_name('weights.pkl').read_bytes())\n\n"
        "    def predict(self, asset, horizon):\n        return worst(self.scaler) if worst is again else 1.0\n"
    )
    (ada / "weights.pkl").write_bytes(b"c__main__\nScaler\n(tR.")
    capsule = failing(ada)

    ended = command("replay", capsule)

    text = shown(ended)
    assert "✗ it reproduces: ZeroDivisionError: division by zero" in text
    assert "❱ 2 return scaler.factor / 0" in text


def test_a_call_that_raises_is_shown_with_the_participants_own_lines(submit, failing, command):
    path = failing(submit("alice", "return {}[asset]"), rows=2)
    ended = command("replay", path)
    assert ended.code == 1
    text = shown(ended)
    assert "alice (deployment " in text
    assert "): predict('BTC', horizon=3600.0) in the game, 20" in text
    assert " UTC: KeyError: 'BTC' playing the 2 calls before it, then the call itself, in a process of its own" in text
    assert "this runs the participant's code in the sandbox that the game had" in text
    assert "❱ 10 return {}[asset]" in text
    assert "alice.py:10 in predict" in text
    assert "crunch_game/" not in text
    assert text.endswith("KeyError: 'BTC' ✗ it reproduces: KeyError: 'BTC'")


def test_as_json_it_is_one_document(submit, failing, command):
    path = failing(submit("alice", "print('noise')\nraise ValueError('no')"))
    ended = command("replay", path, "--json")
    assert ended.code == 1
    document = ended.document
    assert document["reproduces"] is True
    assert (document["model_id"], document["method"], document["calls"]) == ("alice", "predict", 1)
    assert (document["game"]["status"], document["game"]["message"]) == ("raised", "ValueError: no")
    here = document["here"]
    assert (here["status"], here["kind"], here["message"]) == ("raised", "ValueError", "ValueError: no")
    assert here["traceback"] == (
        "Traceback (most recent call last):\n"
        '  File "alice.py", line 11, in predict\n'
        "    raise ValueError('no')\n"
        "ValueError: no"
    )
    assert (document["notes"], document["missing"]) == ([], [])


def test_what_an_exception_came_from_is_shown_too(submit, failing, command):
    path = failing(
        submit("alice", "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError from error")
    )
    text = shown(command("replay", path))
    first, second = text.split("The above exception was the direct cause of the following exception:")
    assert first.endswith("ZeroDivisionError: division by zero ")
    assert "ValueError ✗ it reproduces: ValueError" in second


def test_a_failure_that_depends_on_what_the_model_was_told_reproduces_with_that_only(submit, failing, command):
    path = failing(submit("moody", "if self.n >= 3: raise ValueError(f'tired after {self.n}')\nreturn 1.0"), rows=3)
    assert "✗ it reproduces: ValueError: tired after 3" in shown(command("replay", path))

    def forget(members: dict[str, bytes]) -> None:
        import msgspec

        from crunch_game.capsules import Values

        values = msgspec.msgpack.decode(members["values.msgpack"], type=Values)
        members["values.msgpack"] = msgspec.msgpack.encode(msgspec.structs.replace(values, calls=values.calls[:2]))
        members["capsule.json"] = json.dumps({**json.loads(members["capsule.json"]), "calls_before": 1}).encode()

    ended = command("replay", remade(path, forget))
    assert ended.code == 0
    text = shown(ended)
    assert "✓ it does not reproduce: it answered within " in text
    assert "the 1 calls before those that the capsule has are not in it" in text
    assert text.endswith("chance, the clock, the sandbox, other versions of libraries, a machine under load")


def test_an_answer_that_breaks_the_contract_is_shown_where_it_is_returned(submit, failing, command):
    path = failing(submit("invalid", "answer = 'much'\nreturn answer"))
    ended = command("replay", path)
    assert ended.code == 1
    text = shown(ended)
    assert "❱ 11 return answer" in text
    sentence = "the answer does not fit predict's contract: Input should be a valid number, not 'much'"
    assert text.endswith(f"✗ it reproduces: {sentence}")


def test_an_answer_that_cannot_be_sent(submit, failing, command):
    ended = command("replay", failing(submit("invalid", "return {1j}")), "--json")
    assert ended.code == 1
    assert ended.document["here"]["message"].startswith("the answer cannot be sent: ")


@pytest.mark.parametrize(
    ("body", "how", "line"),
    [
        ("os._exit(3)", EXIT_3, "❱ 10 os._exit(3)"),
        ("import ctypes; ctypes.string_at(0)", "signal 11 (SIGSEGV); ", "❱ 10 import ctypes; ctypes.string_at(0)"),
        ("import signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9 (SIGKILL); ", ""),
    ],
)
def test_a_call_that_ends_its_process_does_so_again_and_leaves_this_one(submit, failing, installed, body, how, line):
    ended = installed("replay", failing(submit("dies", body)))
    assert ended.code == 1
    text = shown(ended)
    assert "then the call itself, in a process of its own" in text
    assert line in text
    assert f"✗ it reproduces: its process ended during predict: {how}" in text


def test_what_a_model_prints_in_a_process_of_its_own_is_no_part_of_the_document(submit, failing, installed):
    ended = installed("replay", failing(submit("dies", "print('noise', flush=True)\nos._exit(3)")), "--json")
    assert (ended.code, ended.document["here"]["message"]) == (1, f"its process ended during predict: {EXIT_3}")
    assert ended.stderr == "noise\n"


def test_everything_that_a_model_logs_in_a_process_of_its_own_is_shown(submit, failing, installed):
    chatty = "for number in range(50):\n    print(f'line {number}', file=sys.stderr)\nos._exit(3)"
    ended = installed("replay", failing(submit("dies", chatty)), "--json")
    assert ended.stderr.splitlines() == [f"line {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("body", "sandbox", "kind"),
    [
        ("return float(len(bytes(200 << 20)))", {"memory": 150 << 20}, "MemoryError"),
        ("return float(len(os.listdir('/var')))", {}, "PermissionError"),
        ("for each in [os.dup(1) for _ in range(90)]: os.close(each)\nreturn 1.0", {"descriptors": 80}, "OSError"),
    ],
)
def test_what_a_model_failed_at_in_the_games_sandbox_fails_again(submit, failing, command, body, sandbox, kind):
    path = failing(submit("held", body), host=ProcessHost(sandbox=Sandbox(**sandbox)))
    ended = command("replay", path, "--json")
    assert (ended.code, ended.document["here"]["kind"]) == (1, kind)
    here, game = (re.sub(r"crunch_game-\w+/\d+", "...", ended.document[where]["message"]) for where in ("here", "game"))
    assert here == game

    def free(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["capsule.json"])
        members["capsule.json"] = json.dumps({**manifest, "isolation": None}).encode()

    ended = command("replay", remade(path, free), "--json")  # as capsules were before that was in them
    assert (ended.code, ended.document["here"]["status"]) == (0, "ok")


def test_an_answer_that_was_too_long_for_the_game_is_so_again(submit, failing, command):
    path = failing(submit("long", "return ['x' * 50_000]"), host=ProcessHost(answer_limit=10_000))
    ended = command("replay", path, "--json")
    assert (ended.code, ended.document["here"]["message"]) == (1, ended.document["game"]["message"])
    assert ended.document["here"]["message"].startswith("the answer cannot be sent: it takes ")


def test_variables_that_the_game_set_are_named_and_taken_from_here(submit, failing, command, monkeypatch):
    body = "raise ValueError(os.environ.get('PLACE'))"
    path = failing(submit("placed", body), host=ProcessHost(env={"PLACE": "secret"}))
    with zipfile.ZipFile(path) as capsule:
        manifest = json.loads(capsule.read("capsule.json"))
    assert manifest["isolation"]["env"] == ["PLACE"], "not what it was set to"
    monkeypatch.setenv("PLACE", "here")
    assert command("replay", path, "--json").document["here"]["message"] == "ValueError: here"
    mended = submit("mended", "return float('PLACE' in os.environ)")
    assert command("replay", path, "--code", mended, "--json").document["missing"][0].startswith("what may differ here")
    monkeypatch.delenv("PLACE")
    ended = command("replay", path, "--json")
    assert ended.document["here"]["message"] == "ValueError: None"
    missing = command("replay", path, "--code", mended, "--json").document["missing"]
    assert missing[0] == "the game set these variables, which are not set here: PLACE"


def test_paths_that_the_game_let_models_read_and_are_not_here_are_left_out(submit, failing, command, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    host = ProcessHost(sandbox=Sandbox(read=[data]))
    path = failing(submit("reads", f"return float(len(os.listdir({str(data)!r})) / 0)"), host=host)
    assert command("replay", path, "--json").document["here"]["kind"] == "ZeroDivisionError"
    data.rmdir()
    assert command("replay", path, "--json").document["here"]["kind"] == "FileNotFoundError"


def test_a_late_answer_says_how_late_it_is(submit, failing, installed):
    path = failing(submit("late", "time.sleep(0.6)\nreturn 1.0"), timeout=0.3)
    ended = installed("replay", path, "--json")
    assert (ended.code, ended.document["game"]["message"]) == (1, "no answer within 0.3 s")
    here = ended.document["here"]
    assert (here["status"], ended.document["budget"]) == ("timeout", 0.3)
    assert here["elapsed"] > 0.6
    assert here["message"].startswith("it answered after 0.")
    assert here["message"].endswith(" s; the budget is 0.3 s")


def test_what_never_ends_is_interrupted_and_shown_where_it_was(submit, failing, installed):
    path = failing(submit("spins", "n = 0\nwhile True:\n    n += 1"), timeout=0.1)
    ended = installed("replay", path)
    assert ended.code == 1
    text = shown(ended)
    assert "spins.py:1" in text
    assert "while True:" in text
    assert text.endswith("✗ it reproduces: no answer within 1 s; the budget is 0.1 s")


def test_what_cannot_be_interrupted_is_ended(submit, failing, installed):
    path = failing(submit("spins", "return sum(range(10**15))"), timeout=0.1)
    ended = installed("replay", path)
    assert ended.code == 1
    text = shown(ended)
    assert "❱ 10 return sum(range(10**15))" in text
    assert text.endswith("✗ it reproduces: no answer within 1 s; the budget is 0.1 s")


def test_a_submission_that_cannot_be_loaded(submit, failing, command, tmp_path):
    told: list = []
    policy = Policy(capsules=tmp_path / "capsules")
    source = submit("broken", "return 1.0", above="import nothing_like_it")
    with ModelRunner("walk.Walk", [source], policy=policy, on_event=told.append):
        pass
    [path] = [event.path for event in told if isinstance(event, CapsuleSaved)]
    ended = command("replay", path)
    assert ended.code == 1
    text = shown(ended)
    assert ": its load in the game, 20" in text
    assert "❱ 3 import nothing_like_it" in text
    sentence = "broken.py: importing it raised ModuleNotFoundError: No module named 'nothing_like_it'"
    assert text.endswith(f"✗ it reproduces: {sentence}")


def test_a_models_own_arguments_are_played_too(submit, failing, command):
    path = failing(submit("alice", "raise ValueError(horizon)"), per_model=lambda model: {"horizon": 77})
    assert command("replay", path, "--json").document["here"]["message"] == "ValueError: 77.0"


# The code


def test_a_submission_that_is_gone_since_is_played_from_the_capsules_copy(submit, failing, installed):
    source = submit("alice", "raise ValueError('still here')")
    path = failing(source)
    source.unlink()
    ended = installed("replay", path)
    assert ended.code == 1
    assert "✗ it reproduces: ValueError: still here" in shown(ended)


def test_a_folder_is_played_with_its_modules_and_its_files(submit, failing, command, tmp_path):
    folder = tmp_path / "models" / "deep"
    folder.mkdir(parents=True)
    submit("deep/main", "import late\nraise ValueError(f'{weight()} {late.WORD}')", above="from utils import weight")
    (folder / "late.py").write_text("WORD = 'kg'\n")
    (folder / "weights.bin").write_bytes(b"\x2a")
    (folder / "utils.py").write_text(
        "from pathlib import Path\ndef weight():\n    return Path('weights.bin').read_bytes()[0]\n"
    )
    path = failing(folder)
    for file in folder.iterdir():
        file.unlink() if file.is_file() else None
    ended = command("replay", path)
    assert ended.code == 1
    assert "deep/main.py:1" in shown(ended)
    assert "✗ it reproduces: ValueError: 42 kg" in shown(ended)


def test_a_class_of_a_module_is_played_from_the_capsule_where_there_is_no_such_module(failing):
    path = failing("walk:Moody", rows=5)
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([PROGRAM, "replay", path], capture_output=True, text=True, env=bare, check=False)
    assert done.returncode == 1
    text = shown(done)
    assert "walk.py:" in text
    assert "✗ it reproduces: RuntimeError: not in the mood after 5 rows" in text


def test_a_class_and_a_base_class_of_a_script(installed, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        from crunch_game import Policy
        from crunch_game.sync import ModelRunner

        class Base:
            def predict(self) -> float: ...

        class Bad(Base):
            def predict(self):
                raise ValueError("from a script")

        if __name__ == "__main__":
            with ModelRunner(Base, [Bad], policy=Policy(timeout=20, capsules="capsules")) as runner:
                runner.predict()
        """)
    )
    subprocess.run([sys.executable, script], check=True, cwd=tmp_path)
    [path] = (tmp_path / "capsules").iterdir()
    script.unlink()
    ended = installed("replay", path)
    assert ended.code == 1
    assert "✗ it reproduces: ValueError: from a script" in shown(ended)


def test_code_that_is_mended_no_longer_fails(submit, failing, command, tmp_path):
    path = failing(submit("alice", "raise ValueError"), rows=2)
    fixed = submit("fixed", "return float(self.n)")
    ended = command("replay", path, "--code", fixed)
    assert ended.code == 0
    assert f"with {fixed} instead of the capsule's copy" in ended.stdout.replace("\n", "")
    assert "✓ it does not reproduce: it answered within " in shown(ended)
    assert "may differ" not in shown(ended)  # it is the code that does


def test_another_failure_is_not_the_games(submit, failing, command):
    path = failing(submit("alice", "raise ValueError"))
    ended = command("replay", path, "--code", submit("other", "raise KeyError('x')"))
    assert ended.code == 0
    assert "! it does not reproduce: KeyError: 'x'" in shown(ended)


def test_what_went_otherwise_before_is_told(submit, failing, command):
    path = failing(submit("alice", "raise ValueError", "if prices['BTC'] == 1: raise KeyError('dear')"), rows=3)
    other = submit("other", "raise ValueError", "if prices['BTC'] == 0: raise TypeError('cheap')")
    document = command("replay", path, "--code", other, "--json").document
    assert document["notes"] == [
        "call 1 of the 3 before, tick, succeeded in the game; here it raised TypeError: cheap",
        "call 2 of the 3 before, tick, raised in the game; here it did not",
    ]


PANIC = "class Panic(BaseException): pass"
PANICS = f"{COUNTING}\nif self.n == 1: raise Panic('now')"


@pytest.mark.parametrize(
    ("body", "message"),
    [("raise ValueError('no')", "ValueError: no"), ("os._exit(3)", f"its process ended during predict: {EXIT_3}")],
)
def test_a_tick_that_raised_what_is_no_exception_does_so_again_and_the_call_is_played(
    submit, failing, installed, body, message
):
    path = failing(submit("alice", f"print('asked', file=sys.stderr, flush=True)\n{body}", PANICS, PANIC))
    ended = installed("replay", path)
    assert (ended.code, ended.stderr) == (1, "asked\n")
    assert shown(ended).endswith(f"✗ it reproduces: {message}")
    assert "! call" not in shown(ended)


def test_a_model_that_interrupts_itself_does_so_again_and_not_the_replay(submit, failing, installed):
    ended = installed("replay", failing(submit("alice", "raise KeyboardInterrupt")))
    assert ended.code == 1
    assert shown(ended).endswith("✗ it reproduces: KeyboardInterrupt")


def test_who_ends_its_process_in_a_call_before_has_died(submit, failing, installed):
    path = failing(submit("dies", "os._exit(3)"), rows=1)
    other = submit("other", "return 1.0", "os._exit(4)")
    ended = installed("replay", path, "--code", other)
    assert ended.code == 1
    assert "✗ it reproduces: its process ended during tick: exit code 4; " in shown(ended)


def test_a_tick_that_raises_what_is_no_exception_here_only_is_told(submit, failing, command):
    path = failing(submit("alice", "raise ValueError"))
    other = submit("other", "raise ValueError", PANICS, PANIC)
    note = "call 1 of the 1 before, tick, succeeded in the game; here it raised Panic: now"
    assert command("replay", path, "--code", other, "--json").document["notes"] == [note]


def test_a_load_that_raises_what_is_no_exception_here_only(submit, failing, installed):
    path = failing(submit("alice", "os._exit(3)"))
    other = submit("other", "os._exit(3)", above=PANIC)
    other.write_text(f"{other.read_text()}\n    def __init__(self):\n        raise Panic('here')\n")
    ended = installed("replay", path, "--code", other)
    assert ended.code == 2
    sentence = "alice cannot be loaded here, although in the game it could: other.py: Mine() raised Panic: here"
    assert sentence in " ".join(ended.stderr.split())


def test_a_submission_that_is_not_there_is_not_taken_for_the_models_death(submit, failing):
    capsule = read(failing(submit("alice", "os._exit(3)")))
    with pytest.raises(CapsuleError, match=r"alice cannot be loaded here, .* there is no submission at "):
        play(capsule, Path("nowhere.py"), Path(), apart=True)


def test_a_model_that_lost_a_method_loses_it_again(submit, failing, command):
    ended = command("replay", failing(submit("loses", "return 1.0", "self.predict = None")))
    assert ended.code == 1
    sentence = "it says that it has no method predict, which walk.Walk requires and which it had when it was loaded"
    assert shown(ended).endswith(f"✗ it reproduces: {sentence}")


# The debugger


def debugged(path: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "replay", path, "--pdb"]
    env = os.environ | {"PYTHONPATH": str(GAMES), "COLUMNS": "120"}
    return subprocess.run(
        command, input="\n".join([*lines, "q", ""]), capture_output=True, text=True, env=env, check=False
    )


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("here = asset + '!'\nraise ValueError", "-> raise ValueError"),
        ("here = asset + '!'\nreturn here", "-> return here"),
        ("here = asset + '!'\nos._exit(3)", "-> os._exit(3)"),
        ("here = asset + '!'\nimport json; json.loads('{')", "-> import json; json.loads('{')"),
    ],
)
def test_the_debugger_stands_in_the_participants_frame(submit, failing, body, line):
    done = debugged(failing(submit("alice", body)), "p 'it is ' + here", "w")
    assert done.returncode == 1
    stopped = done.stdout.partition("✗ it reproduces: ")[2]
    assert "alice.py(" in stopped.splitlines()[1]
    assert stopped.splitlines()[2] == line
    assert "(Pdb) 'it is BTC!'" in stopped
    assert "crunch_game/capsules" not in stopped
    assert "crunch_game/hosts" not in stopped


def test_the_debugger_stops_what_never_ends(submit, failing):
    done = debugged(failing(submit("spins", "n = 0\nwhile True:\n    n += 1"), timeout=0.1), "p n > 1000")
    assert done.returncode == 1
    assert "it was interrupted after " in done.stdout
    assert "(Pdb) True" in done.stdout


def test_there_is_nothing_to_debug_where_nothing_fails(submit, failing, command):
    path = failing(submit("alice", "raise ValueError"))
    assert command("replay", path, "--pdb", "--code", submit("fixed", "return 1.0")).code == 0


# Wrong usage


def wrong(ended, sentence: str) -> None:
    assert (ended.code, ended.document) == (2, {"error": sentence})


def test_a_file_that_is_no_capsule(command, tmp_path, submit, failing):
    wrong(command("replay", "nothing.zip", "--json"), "there is no file 'nothing.zip'")
    (tmp_path / "text.zip").write_text("hello")
    sentence = "text.zip is no fault capsule, or only a part of one: File is not a zip file"
    wrong(command("replay", "text.zip", "--json"), sentence)
    part = tmp_path / "part.zip"
    part.write_bytes(failing(submit("alice", "raise ValueError")).read_bytes()[:-40])
    wrong(command("replay", "part.zip", "--json"), sentence.replace("text", "part"))


def test_a_base_class_that_cannot_be_imported_here(submit, failing, installed, tmp_path, monkeypatch):
    games = tmp_path / "games"
    games.mkdir()
    (games / "distant.py").write_text(
        "class Base:\n    def tick(self, prices): ...\n    def predict(self, asset, horizon): ...\n"
    )
    monkeypatch.syspath_prepend(games)
    path = failing(submit("alice", "raise ValueError", base="distant.Base"), base="distant.Base")
    wrong(
        installed("replay", path, "--json"),
        "the game's base class distant:Base cannot be imported here: ModuleNotFoundError: No module named 'distant'; "
        "install the game's package, or run this in the folder that it is imported from",
    )
    (tmp_path / "distant.py").write_text("class Base:\n    def tick(self, prices): ...\n")
    wrong(
        installed("replay", path, "--json"),
        "the game's base class here is another: distant.Base has no method 'predict'",
    )


def test_a_submission_that_needs_what_is_not_here(submit, failing, command, tmp_path, monkeypatch):
    libraries = tmp_path / "site-packages"
    libraries.mkdir()
    (libraries / "rare.py").touch()
    with monkeypatch.context() as patch:
        patch.syspath_prepend(libraries)
        path = failing(submit("alice", "raise ValueError", above="import rare"))
    sentence = "alice.py: importing it raised ModuleNotFoundError: No module named 'rare'"
    wrong(command("replay", path, "--json"), f"alice cannot be loaded here, although in the game it could: {sentence}")


def test_a_capsule_without_code_needs_some(submit, failing, command, tmp_path):
    path = failing(submit("alice", "raise ValueError"))

    def strip(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["capsule.json"])
        manifest["code"]["name"] = None
        members["capsule.json"] = json.dumps(manifest).encode()

    bare = remade(path, strip)
    sentence = "has no copy of the submission: it was gone when the call failed; give one with --code PATH"
    wrong(command("replay", bare, "--json"), f"{bare} {sentence}")
    wrong(command("replay", bare, "--code", "nope.py", "--json"), "there is no submission at 'nope.py'")
    assert command("replay", bare, "--code", tmp_path / "models" / "alice.py").code == 1


def test_hostile_names_are_not_written_and_nothing_is_run(submit, failing, command, tmp_path):
    path = failing(submit("alice", "raise ValueError"))
    evil = remade(path, lambda members: members.update({"code/../../evil.py": b"open('ran', 'w')"}))
    name = "'../../evil.py'"
    wrong(
        command("replay", evil, "--json"),
        f"the capsule holds a file {name}, which would lead out of its folder; it is not opened",
    )
    assert not list(tmp_path.rglob("evil.py"))


def test_forged_values_are_refused_before_anything_is_run(submit, failing, command, tmp_path):
    import msgspec

    from crunch_game.capsules import Values

    path = failing(submit("alice", f"open({str(tmp_path / 'ran')!r}, 'w')\nraise ValueError"))
    for raw in (b"\xd4\x05\x00", b"\xc1", b"\x05", b"\x92\x05\x05", b"\x92\x90\x90"):

        def forge(members: dict[str, bytes], raw=raw) -> None:
            values = msgspec.msgpack.decode(members["values.msgpack"], type=Values)
            failing = msgspec.structs.replace(values.failing, args=msgspec.Raw(raw))
            members["values.msgpack"] = msgspec.msgpack.encode(msgspec.structs.replace(values, failing=failing))

        ended = command("replay", remade(path, forge), "--json")
        assert ended.code == 2
        assert "other.zip" in ended.document["error"]
    assert not (tmp_path / "ran").exists()


def test_the_debugger_and_json_exclude_each_other(submit, failing, command):
    path = failing(submit("alice", "raise ValueError"))
    ended = command("replay", path, "--pdb", "--json")
    sentence = "Invalid value: --pdb talks with you, and --json is for programs; use one of them"
    wrong(ended, sentence)
