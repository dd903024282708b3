"""The fork server: it ends what models leave behind, gives them nothing of its own, and none outlives the game."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from crunch_game import ModelRunner, Policy, ProcessHost, Sandbox, TrackerBase

PATIENCE = 30.0
"""Seconds after which what a test waits for is taken to never come."""

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="the process host needs Linux")
pytestmark = [needs_linux, pytest.mark.processes]

MODEL = """
import ctypes, gc, os, signal, sys, time
from crunch_game import TrackerBase


def sleeps(session):
    if session:
        os.setsid()
    time.sleep(600)
    os._exit(0)


class Model(TrackerBase):
    def predict(self, what, *arguments):
        return getattr(self, what)(*arguments)

    def pids(self):
        return [os.getppid(), os.getpid()]

    def child(self, session=False):
        pid = os.fork()
        if pid == 0:
            sleeps(session)
        return pid

    def orphan(self, session=False):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            orphan = os.fork()
            if orphan == 0:
                sleeps(session)
            os.write(write, b"%d" % orphan)
            os._exit(0)
        os.waitpid(pid, 0)
        return int(os.read(read, 20))

    def traitor(self):
        ctypes.CDLL(None).prctl(36, 0)  # PR_SET_CHILD_SUBREAPER: its orphans are the fork server's at once
        return self.orphan(session=True)

    def joins(self, group):
        os.setpgid(0, group)
        return self.orphan()

    def family(self):
        return [self.child(), self.child(session=True), self.orphan(), self.orphan(session=True)]

    def chain(self, link):
        "A process that forks another and ends, again and again, so that no number is good for long."
        until, seen = time.monotonic() + 60, os.open(link, os.O_WRONLY | os.O_APPEND)
        if os.fork() == 0:
            while time.monotonic() < until:
                if os.fork():
                    os._exit(0)
                os.setsid()
                os.write(seen, b"%d " % os.getpid())
            os._exit(0)

    def dies(self):
        self.family()
        os._exit(3)

    def descriptors(self):
        opened = {int(name): os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}
        return sorted(number for number, path in opened.items() if not path.startswith("/proc/") or ":" in path)

    def handlers(self):
        return [int(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1)] + [
            signal.set_wakeup_fd(-1)
        ]

    def memory(self):
        gc.unfreeze()
        frame, seen = sys._getframe(), []
        while frame:
            seen += [type(value).__name__ for value in frame.f_locals.values()]
            frame = frame.f_back
        return [sys.argv, [name for name in seen + [type(each).__name__ for each in gc.get_objects()]
                           if name in ("_Server", "Boot", "Spawn", "epoll", "Worker")]]
"""


@pytest.fixture
def anyio_backend() -> str:
    """One is enough here: processes end alike whatever loop waits for them; the runner's tests play on both."""
    return "asyncio"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return path


@pytest.fixture(params=[False, True], ids=["without a sandbox", "in a sandbox"])
def playing(request, model):
    """A runner of models that may start processes."""

    def make(*models: Path, **opened) -> ModelRunner:
        host = ProcessHost(sandbox=Sandbox(processes=True, **opened) if request.param else None)
        return ModelRunner(TrackerBase, models or [model], host=host, policy=Policy(timeout=PATIENCE))

    return make


async def ask(runner: ModelRunner, what: str, *arguments, of: str = "model"):
    outcome = (await runner.call("predict", what, *arguments, models=[of]))[of]
    outcome.raise_for_status()
    return outcome.value


def state(pid: int) -> str:
    """As in /proc: "R", "S", "Z" for a zombie; "" when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def worked(pid: int) -> int:
    """Ticks of processor time."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


async def until(look) -> None:
    """Wait for what no event tells of: the end of a process that is not our child."""
    with anyio.fail_after(PATIENCE):
        while not look():  # noqa: ASYNC110
            await anyio.sleep(0.01)


# What models leave behind.


@pytest.mark.anyio
async def test_what_a_model_starts_lives_as_long_as_it_and_no_longer(playing):
    async with playing() as runner:
        server, pid = await ask(runner, "pids")
        family = await ask(runner, "family")
        assert {parent(each) for each in family} == {pid}, "orphans too are the model's, not the fork server's"
        assert await ask(runner, "pids") == [server, pid]
        assert not {state(each) for each in family} & {"", "Z"}
        await runner.stop("model", "enough")
        await until(lambda: not children(server))  # nobody lives, and nobody is left unreaped
        assert [state(each) for each in family] == [""] * 4


@pytest.mark.anyio
async def test_what_a_model_leaves_that_ends_by_itself_is_ended_and_the_model_is_started_again(playing):
    async with playing() as runner:
        server, pid = await ask(runner, "pids")
        assert (await runner.predict("dies"))["model"].error.exit == 3
        await until(lambda: runner.models["model"].state == "ready" and len(children(server)) == 1)
        [again] = children(server)
        assert await ask(runner, "pids") == [server, again]
        assert again != pid


@pytest.mark.anyio
async def test_orphans_that_a_model_pushes_off_end_with_it_and_do_not_stay_as_zombies(playing, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(MODEL)
    async with playing(tmp_path / "model.py", other) as runner:
        server, pid = await ask(runner, "pids")
        orphan = await ask(runner, "traitor")
        assert parent(orphan) == server
        await runner.stop("model", "enough")
        await until(lambda: pid not in children(server) and orphan not in children(server))
        assert len(children(server)) == 1
        await ask(runner, "pids", of="other")


@pytest.mark.anyio
async def test_who_joins_the_group_of_another_takes_nobody_along(playing, tmp_path):
    """Models share a session, so that each may; what is killed is killed with its group, but for models."""
    other = tmp_path / "other.py"
    other.write_text(MODEL)
    async with playing(tmp_path / "model.py", other) as runner:
        server, there = await ask(runner, "pids", of="other")
        orphan = await ask(runner, "joins", there)
        await runner.stop("model", "enough")
        await until(lambda: children(server) == {there} and state(orphan) == "")
        assert await ask(runner, "pids", of="other") == [server, there]


@pytest.mark.anyio
async def test_a_chain_of_processes_that_fork_and_end_is_caught(playing, tmp_path):
    (tmp_path / "seen").mkdir()
    link = tmp_path / "seen" / "link"
    link.touch()
    async with playing(write=[tmp_path / "seen"]) as runner:
        server, _ = await ask(runner, "pids")
        await ask(runner, "chain", str(link))
        await until(link.read_text)
        await runner.stop("model", "enough")
        await until(lambda: not children(server))
        last = int(link.read_text().split()[-1])
    assert state(last) == ""


@pytest.mark.anyio
async def test_leaving_ends_everything_below(playing):
    async with playing() as runner:
        server, pid = await ask(runner, "pids")
        family = await ask(runner, "family")
        orphan = await ask(runner, "traitor")
    assert [state(each) for each in (server, pid, orphan, *family)] == [""] * 7


# Nothing outlives its coordinator.

GAME = """
import json, os, sys
import anyio
from crunch_game import ModelRunner, Policy, ProcessHost, Sandbox, TrackerBase

SANDBOX = {"none": None, "all": Sandbox(), "processes": Sandbox(processes=True)}


async def main():
    host, policy = ProcessHost(sandbox=SANDBOX[sys.argv[1]]), Policy(timeout=600)
    async with ModelRunner(TrackerBase, ["model.py"], host=host, policy=policy, ready_timeout=30) as runner:
        for what in sys.argv[2:]:
            print(json.dumps((await runner.predict(what))["model"].value), flush=True)


if __name__ == "__main__":
    anyio.run(main)
"""

SPINS = """
    def spin(self):
        while True:
            pass

    def closes_all_and_spins(self):
        while not os.path.exists(os.path.join(os.path.dirname(__file__), "gate")):
            time.sleep(0.005)
        os.closerange(0, 1000)
        self.spin()
"""


@pytest.fixture
def game(tmp_path: Path):
    """A coordinator in a process of its own, whose model does one thing after another."""
    (tmp_path / "model.py").write_text(MODEL + SPINS)
    (tmp_path / "game.py").write_text(GAME)
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        # Where all are killed who could, nobody tidies up.
        environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)}
        command = [sys.executable, str(tmp_path / "game.py"), *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("sandbox", ["none", "processes"])
def test_when_the_coordinator_is_killed_everything_below_it_ends(game, sandbox):
    process = game(sandbox, "pids", "family", "spin")
    server, pid = json.loads(process.stdout.readline())
    family = json.loads(process.stdout.readline())
    process.kill()
    process.wait()
    anyio.run(until, lambda: all(state(each) in ("", "Z") for each in (server, pid, *family)))


@pytest.mark.parametrize("sandbox", ["none", "all"])
def test_a_model_that_spins_ends_when_both_the_fork_server_and_the_coordinator_were_killed(game, sandbox):
    process = game(sandbox, "pids", "spin")
    server, pid = json.loads(process.stdout.readline())
    before = worked(pid)
    os.kill(server, signal.SIGKILL)
    anyio.run(until, lambda: state(server) in ("", "Z") and worked(pid) > before + 10)  # and goes on spinning
    process.kill()
    process.wait()
    anyio.run(until, lambda: state(pid) in ("", "Z"))


def test_the_control_it_is_the_lifeline_that_ends_it(game, tmp_path):
    process = game("none", "pids", "closes_all_and_spins")
    server, pid = json.loads(process.stdout.readline())
    try:
        os.kill(server, signal.SIGSTOP)  # or it would end its models
        anyio.run(until, lambda: state(server) == "T")
        (tmp_path / "gate").touch()
        anyio.run(until, lambda: not os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
        process.kill()
        process.wait()
        assert state(pid) == "R"
    finally:
        os.kill(server, signal.SIGCONT)
    anyio.run(until, lambda: state(pid) in ("", "Z"))  # the fork server sees to it


@pytest.mark.anyio
async def test_a_models_hand_on_the_lifeline_pulls_nobody(model, tmp_path):
    """Who can write to the pipe, ends all models that hang on it."""
    model.write_text(
        MODEL
        + "    def pull(self, how):\n        import fcntl\n"
        + "        with open(how, 'wb', buffering=0) as pipe:\n            pipe.write(b'!')\n"
        + "    def place(self):\n        return os.readlink('/proc/self/fd/257')\n"
    )
    other = tmp_path / "other.py"
    other.write_text(MODEL)
    host = ProcessHost(sandbox=Sandbox())
    async with ModelRunner(TrackerBase, [model, other], host=host, policy=Policy(timeout=PATIENCE)) as runner:
        before = await ask(runner, "pids", of="other")
        pipe = host._folder / "lifeline"
        for how in ("/proc/self/fd/257", str(pipe)):
            assert (await runner.predict("pull", how))["model"].error.kind == "PermissionError"
        assert await ask(runner, "pids", of="other") == before
        victim = (await runner.predict("pids"))["model"].value[1]
        os.write(host._lifeline._end, b"!")  # the control: whoever can, does
        await until(lambda: state(victim) == "")


# What a model is given.


@pytest.fixture
def author(tmp_path: Path) -> Iterator[Path]:
    """A folder of the author's, on sys.path."""
    folder = tmp_path / "author"
    folder.mkdir()
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.mark.anyio
async def test_a_model_has_its_channel_its_lifeline_and_three_streams(playing):
    async with playing(read=["/proc"]) as runner:
        assert await ask(runner, "descriptors") == [0, 1, 2, 256, 257]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("held", range(250, 256))
@pytest.mark.anyio
async def test_whatever_the_numbers_of_its_descriptors_were_its_output_goes_to_its_logs(tmp_path, author, held):
    """The channel's number is fixed; in a server that has many open, any of a model's others may have it at first."""
    (author / "hoarder.py").write_text(
        "import os\nfrom crunch_game import TrackerBase\nclass Base(TrackerBase):\n    pass\n"
        f"highest = 0\nwhile highest < {held}:\n    highest = os.open('/dev/null', os.O_RDONLY)\n"
    )
    sys.modules.pop("hoarder", None)
    model = tmp_path / "model.py"
    model.write_text(
        "import sys\nfrom hoarder import Base\nclass Model(Base):\n    def predict(self):\n"
        "        print('out')\n        print('err', file=sys.stderr)\n        return 1\n"
    )
    host = ProcessHost(logs=tmp_path / "logs")
    async with ModelRunner("hoarder.Base", [model], host=host, policy=Policy(timeout=PATIENCE)) as runner:
        (await runner.predict())["model"].raise_for_status()
    written = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert written == {"model.out.log": "out\n", "model.err.log": "err\n"}


@pytest.mark.anyio
async def test_what_an_import_makes_of_signals_is_neither_the_fork_servers_nor_the_models(model, author):
    (author / "signalling.py").write_text(
        textwrap.dedent(
            f"""
            import os, signal
            from crunch_game import TrackerBase
            class Base(TrackerBase):
                pass
            if os.getpid() != {os.getpid()}:
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # which would reap the models behind the server's back
                signal.signal(signal.SIGUSR1, lambda *_: None)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                read, write = os.pipe()
                os.set_blocking(write, False)
                signal.set_wakeup_fd(write)
            """
        )
    )
    model.write_text(MODEL.replace("from crunch_game import TrackerBase", "from signalling import Base as TrackerBase"))
    async with ModelRunner(
        "signalling.Base", [model], host=ProcessHost(sandbox=None), policy=Policy(timeout=PATIENCE)
    ) as runner:
        assert await ask(runner, "handlers") == [0, 0, 0, -1]
        assert (await runner.predict("dies"))["model"].error.exit == 3


@pytest.mark.anyio
async def test_a_coordinator_that_ignores_the_ends_of_its_children_hears_of_its_models(model):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        host = ProcessHost(sandbox=None)
        async with ModelRunner(TrackerBase, [model], host=host, policy=Policy(timeout=PATIENCE)) as runner:
            assert (await runner.predict("dies"))["model"].error.exit == 3
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.anyio
async def test_nothing_of_the_fork_server_is_in_a_models_memory(playing):
    async with playing() as runner:
        argv, found = await ask(runner, "memory")
    assert argv == ["-c"]
    assert set(found) == {"Worker"}, "what serves it is there to be found, and nothing else"
