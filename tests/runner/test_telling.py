"""What a model's end, its silence and its output tell: frames, last words, the likely cause, and logs within limits."""

from __future__ import annotations

import signal
import tempfile
import threading

import pytest

from crunch_game import GameError, Policy, ProcessHost, Sandbox, Status, Submission
from crunch_game.events import ModelLoadFailed, ModelRestarted, ModelStopped
from crunch_game.policy import State

pytestmark = pytest.mark.anyio

SANDBOXES = pytest.mark.parametrize("sandbox", [None, Sandbox()], ids=["free", "sandbox"])
FIELD = {"field_fault_min": 1000}
OK = "def predict(self, number):\n    return number\n"


@pytest.fixture
def anyio_backend() -> str:
    """One is enough here: what is told of a model is the same whatever loop asked it."""
    return "asyncio"


@pytest.fixture
def logs(tmp_path):
    return tmp_path / "logs"


# A crash.

SEGFAULT = """
def predict(self, number):
    print("last words", file=sys.stderr)
    return self.native(number)
def native(self, number):
    import ctypes
    return ctypes.string_at(number)
"""


@SANDBOXES
async def test_a_crash_tells_where_it_was_and_what_it_most_likely_is(submit, running, sandbox):
    async with running([submit("a", SEGFAULT)], host=ProcessHost(sandbox=sandbox)) as runner:
        outcome = (await runner.predict(0))["a"]

    assert (outcome.status, outcome.error.kind, outcome.error.exit) == (Status.DIED, "died", -signal.SIGSEGV)
    assert outcome.error.message.startswith("its process ended during predict: signal 11 (SIGSEGV); it used memory")
    assert outcome.error.stderr == "last words\nFatal Python error: Segmentation fault"
    first, *frames, last = outcome.error.traceback.splitlines()
    assert (first, last) == ("Traceback (most recent call last):", "Segmentation fault")
    assert frames[0].endswith('/a.py", line 10, in predict')
    assert frames[1].endswith('/a.py", line 13, in native')
    assert "crunch_game/" not in outcome.error.traceback


async def test_a_limit_that_ends_a_model_is_named(submit, running):
    eats = """
def predict(self, number):
    import ctypes
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    while True:
        ctypes.memset(libc.malloc(1 << 20), 1, 1 << 20)
"""
    spins = "def predict(self, number):\n    while True:\n        number += 1\n"
    host = ProcessHost(sandbox=Sandbox(memory=300 << 20, cpu=1))
    policy = Policy(timeout=60, **FIELD)
    async with running([submit("eats", eats), submit("spins", spins)], host=host, policy=policy) as runner:
        outcomes = await runner.predict(0)

    eaten, spun = outcomes["eats"].error, outcomes["spins"].error
    assert eaten.exit == -signal.SIGSEGV
    assert "the sandbox lets a model use 300 MiB of memory (Sandbox(memory=...))" in eaten.message
    assert spun.exit == -signal.SIGXCPU
    assert spun.message.endswith("the sandbox gives a model's process 1 s of processor time (Sandbox(cpu=...))")
    assert 'spins.py", line' in spun.traceback


async def test_a_model_that_closes_what_is_not_its_own_is_told_so(submit, running):
    models = [
        submit("hangs", "def predict(self, number):\n    os.closerange(3, 1000)\n    time.sleep(600)\n"),
        submit("returns", "def predict(self, number):\n    os.closerange(3, 1000)\n    return number\n"),
    ]
    async with running(models, policy=Policy(timeout=30, **FIELD)) as runner:
        outcomes = await runner.predict(0)

    hangs, returns = outcomes["hangs"].error, outcomes["returns"].error
    assert hangs.message == "its process was ended during predict: it closed its connection to the game"
    assert (hangs.kind, hangs.exit) == ("protocol", -signal.SIGKILL)
    # It ends by itself, unless that is forestalled.
    assert returns.message in (
        hangs.message,
        "its process ended during predict: exit code 70; its end of the connection to the game broke; "
        "most often it closed open files that are not its own",
    )


async def test_an_exception_between_two_calls_is_told_by_its_name_and_frames(submit, running, log):
    alarms = """
    def predict(self, number):
        def ring(*_):
            raise TimeoutError("my own time\\nis up")
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        return number
    """
    async with running([submit("a", alarms)]) as runner:
        assert (await runner.predict(1))["a"].value == 1
        fault = (await log.until(ModelRestarted, "a")).fault

    assert (fault.kind, fault.exit, fault.stderr) == ("died", 70, None)
    assert fault.message == (
        "its process ended between two calls: exit code 70; "
        "its code raised an exception outside of a call, as a signal's handler may: TimeoutError: my own time is up"
    )
    assert 'a.py", line 10, in ring' in fault.traceback
    assert fault.traceback.endswith("TimeoutError: my own time\nis up")


async def test_a_signal_from_outside_is_no_exception_of_the_models(submit, running):
    asks = submit("a", "def predict(self, number):\n    os.kill(os.getpid(), number)\n    time.sleep(600)\n")
    async with running([asks]) as runner:
        error = (await runner.predict(signal.SIGINT))["a"].error

    assert (error.kind, error.exit) == ("died", -signal.SIGINT)
    assert error.message.endswith("signal 2 (SIGINT); it came from outside the game, or from the model itself")


# Silence.

HANGS = {
    "python": "def predict(self, number):\n    while number >= 0: pass\n",
    "native": "def predict(self, number):\n    import re\n    re.match('(a+)+$', 'a' * 60 + 'b')\n",
    "sleeps": "def predict(self, number):\n    time.sleep(600)\n",
    "deaf": "def predict(self, number):\n    signal.signal(signal.SIGWINCH, signal.SIG_DFL)\n    time.sleep(600)\n",
    "good": OK,
}
LINES = {"python": 8, "native": 9, "sleeps": 8}


@SANDBOXES
async def test_a_model_that_hangs_tells_in_which_line(field, running, log, logs, sandbox):
    host = ProcessHost(sandbox=sandbox, logs=logs)
    policy = Policy(timeout=1, timeouts={"tick": 20}, **FIELD)
    async with running(field(**HANGS), host=host, policy=policy) as runner:
        await runner.tick(1)
        rounds = [await runner.predict(1) for _ in range(3)]
        stops = {model_id: (await log.until(ModelStopped, model_id)).fault for model_id in ["deaf", *LINES]}

    for model_id, line in LINES.items():
        faults = [played[model_id].error for played in rounds]
        assert faults[0].message == "no answer within 1 s"
        assert faults[2] == stops[model_id]
        for fault in faults[1:]:  # by the first deadline a machine under load may not have come to it
            assert f'/{model_id}.py", line {line}, in predict' in fault.traceback
            assert "crunch_game/" not in fault.traceback
            assert "(here after 0.9" in fault.traceback or "(here after 1" in fault.traceback
        written = (logs / f"{model_id}.err.log").read_text()
        assert written.startswith("[crunch_game] predict has taken ")
        assert written.count("[crunch_game]") == written.count("(most recent call first)") == 1
        assert not any(fault.stderr for fault in faults)
    assert stops["deaf"].traceback is None
    assert all(played["good"].status is Status.OK for played in rounds)
    assert (logs / "good.err.log").read_text() == ""


async def test_a_load_that_hangs_tells_in_which_line(submit, running, log):
    hangs = submit("hangs", "def __init__(self):\n    time.sleep(600)\ndef predict(self, number):\n    return 1\n")
    async with running([hangs], policy=Policy(setup_timeout=3)):
        fault = (await log.until(ModelLoadFailed)).fault

    assert fault.message == "loading it took longer than 3 s (setup_timeout)"
    first, *frames, last = fault.traceback.splitlines()
    assert first == "Traceback (most recent call last):"
    assert [frame.rpartition("/")[2] for frame in frames] == ['hangs.py", line 8, in __init__']
    assert last.startswith("(here after ")


async def test_what_a_late_model_was_doing_is_not_told_of_a_later_call(submit, running, seen):
    slow = "def predict(self, number):\n    time.sleep(number)\n    return number\n"
    host, release = ProcessHost(), threading.Event()
    async with running([submit("a", slow)], host=host, policy=Policy(timeout=1)) as runner:
        late = (await runner.predict(2))["a"]
        await seen(lambda: runner.models["a"].state is State.READY)
        healthy = (await runner.predict(0))["a"]
        host._rotator.do(release.wait)  # so that nobody comes to look at the next
        unseen = (await runner.predict(600))["a"]
        release.set()

    assert [outcome.status for outcome in (late, healthy, unseen)] == [Status.TIMEOUT, Status.OK, Status.TIMEOUT]
    assert "in predict" in late.error.traceback
    assert unseen.error.traceback is None


# Output.


async def test_a_fault_has_what_was_written_since_the_last_one_even_without_an_end_of_line(submit, running):
    loud = """
def predict(self, number):
    sys.stderr.write(f"{number}...")
    if number % 2:
        raise ValueError
    return number
"""
    async with running([submit("a", loud)]) as runner:
        faults = [(await runner.predict(number))["a"].error for number in range(1, 6)]

    assert [fault and fault.stderr for fault in faults] == ["1...", None, "2...3...", None, "4...5..."]


async def test_what_a_model_printed_before_it_crashed_is_in_its_log(submit, running, logs):
    crashes = """
def predict(self, number):
    import ctypes
    print("python's out")
    print("python's err", file=sys.stderr)
    ctypes.CDLL(None).printf(b"native out\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    async with running([submit("a", crashes)], host=ProcessHost(logs=logs)) as runner:
        assert (await runner.predict(1))["a"].error.stderr == "python's err"

    assert (logs / "a.out.log").read_text() == "python's out\nnative out\n"


PRINTS = """
def predict(self, number):
    print(number, end=" ")
    if number in (4, 5):
        print("and that was it")
        os._exit(3) if number == 4 else time.sleep(60)
    if number % 2:
        raise ValueError("no")
    return number
"""


async def test_what_it_printed_since_the_last_fault_is_in_the_fault(submit, running):
    """Whether it raises, ends or hangs: prints are what participants use."""
    told = {}
    async with running([submit("a", PRINTS)], policy=Policy(timeout=0.5)) as runner:
        for number in (1, 2, 3, 5):
            error = (await runner.predict(number))["a"].error
            told[number] = error and (error.kind, error.stdout, error.stderr)
    async with running([submit("a", PRINTS)]) as runner:
        error = (await runner.predict(4))["a"].error
        told[4] = (error.kind, error.stdout, error.stderr)

    assert told == {
        1: ("ValueError", "1 ", None),
        2: None,
        3: ("ValueError", "2 3 ", None),
        4: ("died", "4 and that was it", None),
        5: ("timeout", "5 and that was it", None),
    }


FLOOD = b"for _ in range(100): os.write({}, b'x' * ((1 << 20) - 1) + b'\\n')"
FLOODS = {
    "out": f"def predict(self, number):\n    {FLOOD.decode().format(1)}\n    return number\n",
    "err": f"def predict(self, number):\n    {FLOOD.decode().format(2)}\n    return number\n",
    "grandchild": (
        "def predict(self, number):\n    import subprocess\n"
        "    subprocess.run(['head', '-c', str(100 << 20), '/dev/zero'], check=True)\n    return number\n"
    ),
    "good": OK,
}


async def test_a_hundred_megabytes_leave_no_more_than_the_limit(field, running, logs, seen):
    limit = 100_000

    def on_disk(model_id):
        return sum(path.stat().st_size for path in logs.glob(f"{model_id}.*"))

    host = ProcessHost(logs=logs, log_limit=limit, sandbox=None)
    async with running(field(**FLOODS), host=host, policy=Policy(timeout=60)) as runner:
        outcomes = await runner.predict(1)
        assert all(outcome.status is Status.OK for outcome in outcomes.values())
        assert outcomes["good"].elapsed < min(outcomes[name].elapsed for name in ("out", "err", "grandchild"))
        await seen(lambda: all(on_disk(model_id) <= limit for model_id in FLOODS))
        await runner.predict(1)

    for model_id, name in (("out", "out"), ("err", "err"), ("grandchild", "out")):
        assert on_disk(model_id) <= limit
        kept = (logs / f"{model_id}.{name}.log.1").read_bytes()
        assert kept[:14] == b"[crunch_game] "
        assert len(kept) > limit / 5


async def test_a_model_may_print_for_ever_in_a_sandbox_of_small_files(submit, running, logs, seen):
    chatty = "def predict(self, number):\n    print('x' * 9_000)\n    return number\n"
    host = ProcessHost(logs=logs, sandbox=Sandbox(file_size=40_000))
    async with running([submit("a", chatty)], host=host) as runner:
        for _ in range(12):
            assert (await runner.predict(1))["a"].status is Status.OK
            await seen(lambda: (logs / "a.out.log").stat().st_size <= 20_000)


async def test_ids_that_look_alike_have_logs_of_their_own(submit, running, logs):
    says = "def predict(self, number):\n    print('I am', self.name)\n    return number\n"
    ids = ["a b", "a_b", "a/b", "é" * 300, "é" * 299 + "è"]
    models = [
        Submission(id=model_id, source=submit(f"m{number}", f"name = {number}\n{says}"))
        for number, model_id in enumerate(ids)
    ]
    async with running(models, host=ProcessHost(logs=logs)) as runner:
        await runner.predict(1)

    assert sorted(path.read_text() for path in logs.glob("*.out.log")) == [f"I am {number}\n" for number in range(5)]
    assert (logs / "a%20b.out.log").read_text() == "I am 0\n"
    assert (logs / "a_b.out.log").read_text() == "I am 1\n"


async def test_what_the_authors_import_prints_is_in_no_models_log(submit, running, logs, seen, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = submit("a", OK, base="noisy.Base")
    async with running([model], base="noisy.Base", host=ProcessHost(logs=logs, log_limit=100_000)) as runner:
        assert (await runner.predict(1))["a"].value == 1
        [theirs] = tmp_path.glob("crunch_game-*/forkserver.log")
        cut = theirs.with_name("forkserver.log.1")
        await seen(cut.exists)
        assert theirs.stat().st_size <= 50_000
        assert 25_000 < cut.stat().st_size <= 50_000

    assert (logs / "a.out.log").read_text() == ""
    assert list(tmp_path.glob("crunch_game-*")) == []


def test_a_limit_that_leaves_no_room_is_refused():
    with pytest.raises(
        GameError, match=r"^ProcessHost\(log_limit=100\) is too little; it must be bytes, 4096 or more$"
    ):
        ProcessHost(log_limit=100)
