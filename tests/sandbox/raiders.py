"""What a model tries that has read the source of its host: further attacks, and how all are made from inside a model.

A copy of this file and of `attacks.py` is the attacker's submission; `raid.py` is the coordinator that it attacks.
"""

from __future__ import annotations

import ctypes
import gc
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

from attacks import SECRET, attack, play, play_in_a_child

from crunch_game import TrackerBase

# Other processes than the coordinator: what is tried on the fork server and on another model.
ON_OTHERS = (
    "memory_map_in_proc", "entries_in_proc", "folders_through_proc", "descriptors_in_proc", "look_where_it_works",
    "ptrace", "kill", "kill_with_zero", "kill_a_thread", "kill_by_descriptor", "limit_the_victim", "pin_the_victim",
)  # fmt: skip


# ---- what belongs to the game ---------------------------------------------------------------------------------------


@attack()
def read_the_command_line(scene):
    assert SECRET in Path(f"/proc/{scene.victim}/cmdline").read_bytes()


@attack()
def look_where_it_works(scene):
    assert Path(f"/proc/{scene.victim}/cwd").readlink()


@attack()
def read_the_store(scene):
    assert SECRET in (scene.ground / "game.db").read_bytes()


@attack()
def write_to_the_store(scene):
    with (scene.ground / "game.db").open("ab"):
        pass


@attack()
def list_the_models(scene):
    assert os.listdir(scene.rival.parent)  # noqa: PTH208


@attack()
def replace_a_rival(scene):
    with (scene.rival / "main.py").open("r+b"):
        pass


@attack()
def add_a_model(scene):
    path = scene.rival.parent / "_mine.py"
    path.write_text("")
    path.unlink()


@attack()
def read_a_rivals_log(scene):
    assert SECRET in (scene.ground / "logs" / "alice.out.log").read_bytes()


@attack()
def write_to_a_rivals_log(scene):
    with (scene.ground / "logs" / "alice.out.log").open("ab") as file:
        file.write(b"")


@attack()
def replace_a_log_with_a_pipe(scene):
    log = scene.ground / "logs" / "mallory.err.log"
    kept = log.rename(log.with_name("kept"))
    os.mkfifo(log)
    kept.rename(log)


@attack()
def read_a_rivals_temporary_folder(scene):
    assert SECRET in (scene.rivals_home / "notes").read_bytes()


@attack()
def write_to_a_rivals_temporary_folder(scene):
    (scene.rivals_home / "planted").write_bytes(b"")


@attack()
def list_the_hosts_folder(scene):
    assert os.listdir(scene.rivals_home.parent)  # noqa: PTH208


@attack()
def read_the_fork_servers_log(scene):
    (scene.rivals_home.parent / "forkserver.log").read_bytes()


@attack()
def replace_its_own_temporary_folder(scene):
    moved = scene.own.with_name("moved")
    scene.own.rename(moved)
    moved.rename(scene.own)


@attack("root")
def write_to_the_lifeline(scene):
    """Control: it may be opened for writing. (A byte would end all models.)"""
    os.close(os.open(scene.rivals_home.parent / "lifeline", os.O_WRONLY | os.O_NONBLOCK))


@attack("root")
def write_to_the_lifeline_by_its_descriptor(scene):
    os.close(os.open("/proc/self/fd/257", os.O_WRONLY | os.O_NONBLOCK))


@attack()
def read_its_own_log(scene):
    """Others may have written it: its earlier versions, of which it may be a rival's work."""
    os.close(os.open("/proc/self/fd/1", os.O_RDONLY))


@attack("root")
def plant_code_in_the_libraries(scene):
    folder = next(entry for entry in sys.path if entry.endswith("site-packages"))
    path = Path(folder, f"raid_{os.getpid()}.pth")
    path.write_text("")
    path.unlink()


@attack("root")
def plant_code_in_the_interpreter(scene):
    path = Path(os.__file__).with_name(f"raid_{os.getpid()}.py")
    path.write_text("")
    path.unlink()


@attack()
def write_to_shared_memory(scene):
    path = Path(f"/dev/shm/raid_{os.getpid()}")
    path.write_bytes(b"x")
    path.unlink()


@attack()
def write_where_all_may(scene):
    path = Path(f"/tmp/raid_{os.getpid()}")
    path.write_bytes(b"x")
    path.unlink()


# ---- how they are made ----------------------------------------------------------------------------------------------


def _scene(told: dict) -> SimpleNamespace:
    """The coordinator's scene, as far as it can be told."""
    paths = {name: Path(told[name]) for name in ("ground", "rival", "home", "secret", "submission", "rivals_home")}
    memory = (ctypes.c_char * len(SECRET)).from_address(told["memory"])  # in the victim's process
    places = {
        name: SimpleNamespace(getsockname=lambda name=name: _place(told[name])) for name in ("tcp", "udp", "abstract")
    }
    return SimpleNamespace(**paths, **places, own=Path(os.environ["TMPDIR"]), victim=told["victim"], memory=memory)


def _place(told):
    return tuple(told) if isinstance(told, list) else bytes.fromhex(told)


def _kind(descriptor: int) -> str:
    mode = os.fstat(descriptor).st_mode
    if (target := Path(f"/proc/self/fd/{descriptor}").readlink()).is_relative_to("/proc"):
        return str(target)
    return next(name for name in ("CHR", "REG", "SOCK", "FIFO", "DIR", "LNK") if getattr(stat, f"S_IS{name}")(mode))


class Mallory(TrackerBase):
    def predict(self, what, *arguments):
        return getattr(self, what)(*arguments)

    def try_(self, name, told, alone):
        """What became of an attack; in a child of its own where there is nothing to stop it."""
        make = play if alone else play_in_a_child
        return make(name, _scene(told), sandboxed=False)

    def who(self):
        return [os.getpid(), os.getppid(), os.environ["TMPDIR"]]

    def environment(self):
        return dict(os.environ)

    def descriptors(self):
        found = {}
        for number in range(1024):
            try:
                found[str(number)] = _kind(number)
            except OSError:
                continue
        return found

    def objects(self, backwards):
        """Whether the text is in what the interpreter holds, or anywhere in the memory of this process."""
        gc.unfreeze()
        needle = backwards[::-1]
        held = sum(
            isinstance(value, str) and needle in value
            for each in gc.get_objects()
            for value in (each.values() if isinstance(each, dict) else each if isinstance(each, list | tuple) else ())
        )
        main = repr(vars(sys.modules["__main__"])) + repr(sys.argv)
        return [held, needle in main, _in_memory(needle)]


def _in_memory(needle: str) -> int:
    """How often the text is in this process's memory, apart from where it is looked for."""
    sought = needle.encode()
    mine = [range(id(each), id(each) + 200) for each in (needle, sought)]
    count = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, *_ = line.split()
        begin, end = (int(part, 16) for part in span.split("-"))
        if rights.startswith("rw") and "[v" not in line:
            held = ctypes.string_at(begin, end - begin)
            at = held.find(sought)
            while at >= 0:
                count += not any(begin + at in span for span in mine)
                at = held.find(sought, at + 1)
            del held
    return count
