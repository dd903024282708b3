"""What a process died of is said in a sentence, as far as its end tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crunch_game import Sandbox
from crunch_game.hosts.process.child import FAILED, NOT_STARTED
from crunch_game.hosts.process.diagnosis import ExitDiagnosis
from crunch_game.hosts.process.diagnosis._stderr import Dump, FatalError

FREE = ExitDiagnosis(None)
LIMITED = ExitDiagnosis(Sandbox(memory=300 << 20, cpu=5, file_size=8 << 20))
MEMORY = "the sandbox lets a model use 300 MiB of memory (Sandbox(memory=...))"
SEGFAULT = "it used memory that is not its own; most often a bug in a native library, or endless recursion"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "how is not known"),
        (0, "exit code 0; something in it called os._exit, or native code called exit"),
        (3, "exit code 3; something in it called os._exit, or native code called exit"),
        (-signal.SIGSEGV, f"signal 11 (SIGSEGV); {SEGFAULT}"),
        (-signal.SIGABRT, "signal 6 (SIGABRT); native code gave up, and mostly says on stderr why"),
        (-signal.SIGTERM, "signal 15 (SIGTERM); it came from outside the game, or from the model itself"),
        (-signal.SIGXCPU, "signal 24 (SIGXCPU); its processor time was used up"),
        (-signal.SIGXFSZ, "signal 25 (SIGXFSZ); a file that it wrote got larger than its limit"),
        (-signal.SIGUSR1, "signal 10 (SIGUSR1)"),
        (-signal.SIGRTMIN - 5, f"signal {signal.SIGRTMIN + 5}"),
        (
            -signal.SIGKILL,
            "signal 9 (SIGKILL); the game did not send it: "
            "most often memory ran out, of the machine or of its control group",
        ),
    ],
)
def test_every_end_has_its_sentence(code, said):
    assert FREE.explain(code) == said


def test_our_own_codes_are_explained_where_they_are_ours():
    assert FREE.explain(FAILED) == (
        "exit code 70; its end of the connection to the game broke; "
        "most often it closed open files that are not its own"
    )
    broke = FatalError("OSError: [Errno 9] Bad file descriptor", None)
    assert FREE.explain(FAILED, fatal_error=broke) == FREE.explain(FAILED)
    assert FREE.explain(FAILED, fatal_error=FatalError("OSError: [Errno 28] No space left on device", None)) == (
        "exit code 70; the game's own code in it could not go on: OSError: [Errno 28] No space left on device"
    )
    assert FREE.explain(FAILED, fatal_error=FatalError("BrokenPipeError: mine", "...")) == (
        "exit code 70; its code raised an exception outside of a call, as a signal's handler may: BrokenPipeError: mine"
    )
    assert FREE.explain(NOT_STARTED, started=False) == (
        "exit code 127; the system gives no process: there are too many, or memory or descriptors are used up"
    )
    assert FREE.explain(NOT_STARTED) == "exit code 127; something in it called os._exit, or native code called exit"


def test_the_sandboxs_limits_are_named_where_they_may_be_the_cause():
    codes = (9, 11, 6, signal.SIGXCPU, signal.SIGXFSZ)
    said = {code: LIMITED.explain(-code, peak=200 << 20).partition("; ")[2] for code in codes}

    assert said[9].endswith("; or it went on after its 5 s of processor time (Sandbox(cpu=...))")
    assert said[11] == f"{SEGFAULT}; or native code did not check that it was refused memory: {MEMORY}"
    assert LIMITED.explain(-11, peak=100 << 20).endswith(f"; {SEGFAULT}")
    assert "sandbox" not in said[6]
    assert said[signal.SIGXCPU] == "the sandbox gives a model's process 5 s of processor time (Sandbox(cpu=...))"
    assert said[signal.SIGXFSZ] == "the sandbox lets a file have 8 MiB (Sandbox(file_size=...))"


@pytest.mark.parametrize(
    "words",
    [
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "memory allocation of 204800000 bytes failed",
        "OpenBLAS : Program is Terminated. Because you tried to allocate too many memory regions.\nmalloc failed",
        "ImportError: libx.so: cannot allocate memory in static TLS block",
    ],
)
def test_native_code_that_says_it_got_no_memory_is_believed(words):
    assert FREE.explain(-6, stderr=words) == "signal 6 (SIGABRT); native code got no more memory"
    assert LIMITED.explain(-6, stderr=words) == f"signal 6 (SIGABRT); native code got no more memory: {MEMORY}"


def test_recursion_that_is_too_deep_is_known_by_its_frames():
    deep, flat = Dump("...", True, "Segmentation fault"), Dump("...", False, "Segmentation fault")

    assert FREE.explain(-11, dump=deep) == "signal 11 (SIGSEGV); its recursion went too deep for native code"
    assert FREE.explain(-11, dump=flat).endswith(SEGFAULT)


def test_what_the_kernel_counted_is_told():
    assert FREE.explain(-9, oom_killed=True) == (
        "signal 9 (SIGKILL); memory ran out, of the machine or of its control group: "
        "the kernel counts one more that it ended so"
    )
    assert FREE.explain(-9, oom_killed=True, peak=300 << 20).endswith("that it ended so; it had used 300 MiB")
    assert FREE.explain(-9, peak=300 << 20).endswith("of its control group; it had used 300 MiB")


@pytest.mark.processes
@pytest.mark.parametrize("signal_", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL])
def test_a_code_is_what_the_system_gives(signal_):
    process = subprocess.run([sys.executable, "-c", f"import os; os.kill(os.getpid(), {signal_})"], check=False)

    assert FREE.explain(process.returncode).startswith(f"signal {int(signal_)} ({signal_.name});")


# Memory that runs out.


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A control group whose processes get 100 MiB together."""
    root = Path("/sys/fs/cgroup")
    parent, limit = (root / "memory", "memory.limit_in_bytes") if (root / "memory").exists() else (root, "memory.max")
    group = parent / f"crunch_game_test_{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(100 << 20))
    except OSError as error:
        pytest.skip(f"needs a control group with the memory controller: {error}")
    yield group
    group.rmdir()


OUT_OF_MEMORY = """
import os, sys
from crunch_game.hosts.process.diagnosis._exits import ExitDiagnosis
with open(sys.argv[1], "w") as file:
    file.write(str(os.getpid()))
memory = ExitDiagnosis(None)
def died(program):
    pid = os.fork()
    if not pid:
        program()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), memory.claim_oom_kill()
def killed():
    os.kill(os.getpid(), 9)
def grows():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    bytearray(b"x") * (400 << 20)
print(died(killed), died(grows), died(killed), died(grows))
"""


@pytest.mark.processes
def test_who_was_ended_because_memory_ran_out_is_told_from_who_was_killed(control_group):
    command = [sys.executable, "-c", OUT_OF_MEMORY, str(control_group / "cgroup.procs")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})

    assert done.stdout == "(-9, False) (-9, True) (-9, False) (-9, True)\n"
