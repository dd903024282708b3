"""Leaving: nothing that a runner started outlives it, whatever happens; and what happens to its fork server."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from crunch_game import Contract, ContractError, CrunchGameError, ModelRunner, Policy, Sandbox, Status
from crunch_game.events import ModelLoadFailed, ModelReady, ModelRestarted
from crunch_game.hosts import InlineHost
from crunch_game.hosts.process import ProcessHost
from crunch_game.policy import State

PID = "def predict(self, number):\n    return os.getpid()\n"
HANGS = "def predict(self, number):\n    time.sleep(600)\n"


class Boom(Exception):
    pass


def forkserver(processes, *models: int) -> int:
    [server] = processes() - set(models)
    return server


@pytest.mark.anyio
async def test_nothing_is_left_after_leaving(submit, running, processes, alive):
    models = [submit("a", PID), submit("hangs", HANGS), submit("joins", above="time.sleep(600)")]
    async with running(models, policy=Policy(timeout=0.5), ready_timeout=1.0) as runner:
        await runner.predict(1)
        pids = processes()
        assert len(pids) == 4
    assert not [pid for pid in pids if alive(pid)]
    assert not processes()


@pytest.mark.anyio
async def test_nor_when_the_body_raises_and_the_very_exception_comes_out(submit, running, processes):
    boom = Boom()
    with pytest.raises(Boom) as caught:  # noqa: PT012
        async with running([submit("a", PID), submit("hangs", HANGS)]) as runner:
            await runner.call("predict", 1, models=["a"])
            raise boom
    assert caught.value is boom
    assert not processes()


@pytest.mark.anyio
async def test_nor_when_the_body_is_cancelled(submit, running, processes):
    with anyio.move_on_after(30) as scope:
        async with running([submit("hangs", HANGS)], policy=Policy(timeout=60)) as runner:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(runner.predict, 1)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
            raise AssertionError("not cancelled")
    assert scope.cancelled_caught
    assert not processes()


@pytest.mark.anyio
async def test_nor_when_the_roster_breaks_and_its_very_exception_comes_out(submit, running, processes, snapshots):
    from crunch_game import Submission

    boom, gate = Boom(), anyio.Event()

    class Breaks:
        async def follow(self):
            yield {"a": Submission("a", path)}
            await gate.wait()
            raise boom

        def host(self):
            return None

    path = submit("a", PID)
    with pytest.raises(Boom) as caught:  # noqa: PT012
        async with running(Breaks()) as runner:
            await runner.predict(1)
            gate.set()
            await anyio.sleep_forever()
    assert caught.value is boom
    assert not processes()


@pytest.mark.anyio
async def test_a_base_class_that_no_other_process_can_import_is_the_authors_error(tmp_path, submit, processes):
    (tmp_path / "onlyhere.py").write_text(
        f"import os\nif os.getpid() != {os.getpid()}:\n    raise RuntimeError('not here')\nclass Base:\n    pass\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        runner = ModelRunner("onlyhere.Base", [submit("a")])
        with pytest.raises(ContractError) as caught:
            async with runner:
                raise AssertionError
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("onlyhere", None)
    assert str(caught.value).startswith(
        "the base class onlyhere.Base cannot be imported in another process: RuntimeError: not here"
    )
    assert not processes()


@pytest.mark.anyio
async def test_who_still_waits_for_a_call_when_the_runner_is_left_is_answered(submit, running):
    outcomes = []
    async with anyio.create_task_group() as tasks, running([submit("hangs", HANGS)]) as runner:

        async def ask():
            outcomes.append((await runner.call("predict", 1, timeout=600))["hangs"])

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
    assert outcomes[0].status is not Status.OK
    assert outcomes[0].error.message == "its process was ended during predict: the runner was left"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_host_that_cancels_its_caller_does_not_end_the_game_in_silence(submit, running):
    class Cancels(InlineHost):
        async def start(self, submission, timeout):
            raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled by one of its own tasks"):
        async with running([submit("a", PID)], host=Cancels(), ready_timeout=0):
            await anyio.sleep(30)


@pytest.mark.anyio
async def test_the_fork_server_may_be_killed_models_go_on_and_the_next_one_joins(submit, running, processes, gone, log):
    async with running([submit("a", PID), submit("b", PID)]) as runner:
        before = {model_id: outcome.value for model_id, outcome in (await runner.predict(1)).items()}
        server = forkserver(processes, *before.values())
        os.kill(server, signal.SIGKILL)
        await gone(server)
        after = {model_id: outcome.value for model_id, outcome in (await runner.predict(2)).items()}
        assert after == before
        os.kill(before["a"], signal.SIGKILL)  # and its end is seen all the same
        told = await log.until(ModelRestarted, "a")
        assert told.fault.message == "its process ended between two calls: how is not known"
        await log.until(ModelReady, "a", 2)
        last = {model_id: outcome.value for model_id, outcome in (await runner.predict(3)).items()}
        assert last["b"] == before["b"]
        assert last["a"] not in before.values()
        await runner.stop("b", "enough")
        await gone(before["b"])
    await gone(*last.values(), *processes())


@pytest.mark.anyio
async def test_what_a_model_started_ends_with_it_without_the_fork_server_too(submit, running, processes, gone, files):
    starts = "def predict(self, number):\n    return [os.getpid(), subprocess.Popen(['sleep', '600']).pid]\n"
    host = ProcessHost(sandbox=Sandbox(write=[files], processes=True))
    async with running([submit("a", starts, above="import subprocess")], host=host) as runner:
        model, started = (await runner.predict(1))["a"].value
        server = forkserver(processes, model, started)
        os.kill(server, signal.SIGKILL)
        await gone(server)
        await runner.stop("a", "enough")
        await gone(model, started)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """All that this process may have are taken, but for those that it closes meanwhile."""
    before, held = resource.getrlimit(resource.RLIMIT_NOFILE), []
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in held:
            os.close(descriptor)


@pytest.mark.anyio
async def test_models_whose_fork_server_is_gone_are_watched_and_ended_without_a_descriptor_too(
    submit, running, processes, gone, seen, log
):
    closes = f"{PID}def tick(self, data=None):\n    os.closerange(3, 1000)\n    time.sleep(600)\n"
    async with running([submit(name, closes) for name in "abcd"]) as runner:
        pids = {model_id: outcome.value for model_id, outcome in (await runner.predict(1)).items()}
        server = forkserver(processes, *pids.values())
        with no_descriptor_left():
            os.kill(server, signal.SIGKILL)
            await seen(lambda: runner._host._server.lost)
            after = {model_id: outcome.value for model_id, outcome in (await runner.predict(2)).items()}
        assert after == pids
        assert [process.link.pidfd is None for process in runner._host._instances.values()].count(True) >= 3
        await runner.stop("a", "enough")
        await gone(pids["a"])
        os.kill(pids["b"], signal.SIGKILL)
        await log.until(ModelReady, "b", 2)
        assert log.of(ModelRestarted, "b")[0].fault.message == "its process ended between two calls: how is not known"
        ended = (await runner.call("tick", models=["c"]))["c"].error
        assert ended.message == "its process was ended during tick: it closed its connection to the game"
        await gone(pids["c"])
        assert (await runner.predict(3))["d"].value == pids["d"]
    await gone(*pids.values(), *processes())


ENGINE = "the thread that speaks to the models failed (OSError: boom); leave this runner and begin another"


def boom():
    raise OSError("boom")


@pytest.mark.anyio
async def test_who_waits_for_a_call_when_the_engine_fails_gets_a_sentence_and_so_does_who_calls_later(
    submit, running, processes, gone, caplog
):
    async def call(runner):
        with pytest.raises(CrunchGameError) as told:
            await runner.predict(1)
        assert str(told.value) == ENGINE

    async with running([submit("hangs", HANGS)]) as runner:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, runner)
                await anyio.wait_all_tasks_blocked()
                runner._host._engine.do(boom)
            await call(runner)
    assert "the engine of crunch_game failed" in caplog.text
    await gone(*processes())


@pytest.mark.anyio
async def test_when_the_engine_fails_between_two_calls_the_game_ends_with_a_sentence(submit, running, processes, gone):
    async def play():
        async with running([submit(name, PID) for name in "abcd"]) as runner:
            runner._host._engine.do(boom)
            await anyio.sleep(20)

    with pytest.raises(CrunchGameError) as told:
        await play()
    assert str(told.value) == ENGINE
    await gone(*processes())


@pytest.mark.anyio
async def test_leaving_right_after_the_fork_server_was_killed_leaves_nothing(submit, running, processes, alive):
    busy = f"{PID}def tick(self, data=None):\n    time.sleep(600)\n"
    async with running([submit("a", PID), submit("busy", busy)]) as runner:
        pids = [outcome.value for outcome in (await runner.predict(1)).values()]
        await runner.call("tick", models=["busy"], timeout=0.05)
        os.kill(forkserver(processes, *pids), signal.SIGKILL)
    assert {model.state for model in runner.models.values()} == {State.READY, State.BUSY}
    assert not [pid for pid in pids if alive(pid)]


@pytest.mark.anyio
async def test_a_fork_server_killed_while_a_model_is_on_its_way_is_not_that_models_fault(
    submit, running, processes, log
):
    async with running([submit("a", PID), submit("b", PID)]) as runner:
        pids = [outcome.value for outcome in (await runner.predict(1)).values()]
        os.kill(forkserver(processes, *pids), signal.SIGKILL)
        await runner.readmit("a")
        await runner.readmit("b")
        for model_id in "ab":
            await log.until(ModelReady, model_id, 2)
        assert not log.of(ModelLoadFailed)


@pytest.mark.anyio
async def test_a_model_that_cannot_be_started_for_want_of_descriptors_fails_alone(submit, running, monkeypatch, log):
    def open_none():
        raise OSError(24, "Too many open files")

    async with running([submit("a", PID), submit("b", PID)]) as runner:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socketpair", open_none)
            await runner.readmit("b")
            told = await log.until(ModelLoadFailed)
        assert told.fault.message == "its process cannot be started: [Errno 24] Too many open files"
        assert (await runner.predict(1))["a"].status is Status.OK


@pytest.mark.anyio
async def test_logs_are_kept_where_the_author_wants_them_and_nowhere_else(submit, running, tmp_path):
    loud = submit(
        "loud", "def predict(self, number):\n    print('out', flush=True)\n    print('err', file=sys.stderr)\n"
    )
    logs = tmp_path / "logs"
    async with running([loud], host=ProcessHost(logs=logs)) as runner:
        await runner.predict(1)
    assert {path.name: path.read_text() for path in logs.iterdir()} == {
        "loud.out.log": "out\n",
        "loud.err.log": "err\n",
    }


# Scripts.


def script(tmp_path: Path, text: str) -> subprocess.Popen[str]:
    file = tmp_path / "mygame.py"
    file.write_text(textwrap.dedent(text))
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


GAME = """
import anyio
from crunch_game import ModelRunner


class Base:
    def predict(self, number: int) -> int: ...


class Own(Base):
    def predict(self, number):
        return number + 1


async def main():
    async with ModelRunner(Base, [Own, "theirs.py"], ready_timeout=30) as runner:
        for outcome in (await runner.predict(1)).values():
            print(outcome.model_id, outcome.status, outcome.value, outcome.error)
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_base_class_in_a_script_plays_with_submissions_in_it_and_such_that_import_it(tmp_path, backend):
    (tmp_path / "theirs.py").write_text(
        "from mygame import Base\n\nclass Theirs(Base):\n    def predict(self, number):\n        return number + 2\n"
    )
    game = script(tmp_path, f"{GAME}\n\nif __name__ == '__main__':\n    anyio.run(main, backend={backend!r})\n")
    out, err = game.communicate(timeout=60)
    assert (out, err, game.returncode) == ("Own ok 2 None\ntheirs ok 3 None\n", "", 0)


def test_a_script_without_its_guard_gives_the_sentence(tmp_path):
    (tmp_path / "theirs.py").write_text("from mygame import Base\n\nclass T(Base):\n    def predict(self, n): pass\n")
    game = script(tmp_path, f"{GAME}\n\nanyio.run(main)\n")
    _, err = game.communicate(timeout=60)
    assert game.returncode == 1
    assert (
        "a script that runs models starts its runner under: if __name__ == '__main__':  "
        "(the models' processes import the script)"
    ) in err
    assert err.rstrip().rpartition("\nTraceback")[2]  # it ends, and says why


def test_a_limit_of_open_files_that_no_model_can_be_started_with_is_refused_at_once(tmp_path):
    few = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))\nanyio.run(main)\n"
    game = script(tmp_path, f"{GAME}\n\nif __name__ == '__main__':\n{textwrap.indent(few, '    ')}")
    _, err = game.communicate(timeout=60)
    assert err.splitlines()[-1] == (
        "crunch_game.ResourceError: this process may have no more than 96 files open, and a model's process needs 258; "
        "raise the hard limit (ulimit -Hn)"
    )


def test_it_plays_on_plain_asyncio_too_where_deaths_between_calls_are_heard(tmp_path):
    (tmp_path / "theirs.py").write_text(
        "import os, threading\nfrom mygame import Base\n\n\nclass T(Base):\n    def predict(self, number):\n"
        "        threading.Timer(0.1, os._exit, (4,)).start()\n        return 1\n"
    )
    game = script(
        tmp_path,
        """
        import asyncio
        from crunch_game import ModelRunner
        from crunch_game.events import ModelReady, ModelRestarted

        class Base:
            def predict(self, number: int) -> int: ...

        async def main():
            restarted = asyncio.Event()
            def on_event(record):
                if isinstance(record, ModelRestarted):
                    print(record.fault.message)
                    restarted.set()
            async with ModelRunner(Base, ["theirs.py"], ready_timeout=30, on_event=on_event) as runner:
                print((await runner.predict(1))["theirs"].value)
                await asyncio.wait_for(restarted.wait(), 30)

        if __name__ == "__main__":
            asyncio.run(main())
        """,
    )
    out, err = game.communicate(timeout=60)
    assert out.startswith("1\nits process ended between two calls: exit code 4;")
    assert err == ""


def test_nothing_is_left_of_a_coordinator_that_was_killed(tmp_path, alive, monkeypatch):
    from anyio.from_thread import start_blocking_portal

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "hangs.py").write_text(
        "import time\nfrom mygame import Base\n\n\nclass T(Base):\n    def predict(self, number):\n"
        "        time.sleep(600 if number else 0)\n"
    )
    game = script(
        tmp_path,
        """
        import anyio, os
        from crunch_game import ModelRunner, Policy

        class Base:
            def predict(self, number: int): ...

        class Idle(Base):
            def predict(self, number):
                return os.getppid() * 10**8 + os.getpid()

        async def main():
            async with ModelRunner(Base, [Idle, "hangs.py"], policy=Policy(timeout=600), ready_timeout=30) as runner:
                print((await runner.predict(0))["Idle"].value, flush=True)
                await runner.predict(1)

        if __name__ == "__main__":
            anyio.run(main)
        """,
    )
    told = int(game.stdout.readline())
    server, model = divmod(told, 10**8)
    # The other model is a child of the fork server too.
    pids = {int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()} | {server, model}
    assert len(pids) == 3
    assert len(list(tmp_path.glob("crunch_game-*/*.err.log"))) == 2
    game.kill()
    game.communicate()
    with start_blocking_portal() as portal:
        portal.call(gone_soon, pids, alive)
    assert list(tmp_path.glob("crunch_game-*")) == []


async def gone_soon(pids, alive):
    with anyio.fail_after(10):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110
            await anyio.sleep(0.01)


def test_a_notebooks_base_class_gives_a_sentence_in_processes(monkeypatch):
    from crunch_game.hosts.process import reference_of

    class Cell:
        pass

    Cell.__qualname__, Cell.__module__ = "Cell", "__main__"
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    with pytest.raises(ContractError) as caught:
        reference_of(Contract(Cell).base)
    assert str(caught.value) == (
        "Cell is defined in a notebook cell or a prompt, so no other process can import it; "
        'save it in a file and import it, or use host="inline"'
    )
