"""Fault capsules: what is saved of a failing call and what is not, and that saving it costs the game nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crunch_game import (
    CapsuleError,
    CapsuleLost,
    CapsuleSaved,
    FactoryLoader,
    Fault,
    InlineHost,
    ModelReady,
    ModelRedeployed,
    ModelRunner,
    Policy,
    ProcessHost,
    Status,
    Submission,
)
from crunch_game.capsules import LOAD, legible, read, unpack
from crunch_game.capsules import _history as tapes
from crunch_game.capsules import _packing as packing
from crunch_game.capsules import _recorder as recorder
from crunch_game.capsules import _writing as writing
from crunch_game.capsules._capsule import PackedCode
from crunch_game.capsules._history import CallHistory
from crunch_game.capsules._packing import pack
from crunch_game.encoding import decode
from crunch_game.hosts.base import Instance, Reply
from crunch_game.policy import Trigger

PATIENCE = 30.0
BASE = "walk.Walk"
LENIENT = {"max_consecutive_failures": 0, "max_consecutive_timeouts": 0}
asynchronous = pytest.mark.anyio
both = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


@pytest.fixture
def anyio_backend():
    """Most of it is the same on both; what waits for threads and tasks is tried on both."""
    return "asyncio"


@pytest.fixture
def submit(tmp_path):
    """Write a submission: what `predict` does, and what `tick` does."""

    def write(name: str, predict: str = "return 1.0", tick: str = "pass", above: str = "") -> Path:
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.py"
        path.write_text(
            f"import os, sys, time\nfrom walk import Walk\n{above}\n\nclass Mine(Walk):\n"
            f"    def tick(self, prices, **more):\n{textwrap.indent(textwrap.dedent(tick), ' ' * 8)}\n\n"
            f"    def predict(self, asset, horizon):\n{textwrap.indent(textwrap.dedent(predict), ' ' * 8)}\n"
        )
        return path

    return write


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "capsules"


@pytest.fixture
def running(folder):
    """A runner that saves capsules; what it told is in `runner.told`."""

    def make(models, base=BASE, policy=None, **options) -> ModelRunner:
        told = Ear()
        options.setdefault("on_event", told)
        options.setdefault("ready_timeout", PATIENCE)
        given = {"timeout": 10.0, "capsules": folder, **LENIENT, **(policy or {})}
        runner = ModelRunner(base, models, policy=Policy(**given), **options)
        runner.told = told
        return runner

    return make


class Ear(list):
    """What a runner told; what is still to come can be awaited."""

    def __init__(self):
        self._news = anyio.Event()

    def __call__(self, event):
        self.append(event)
        self._news.set()

    async def until(self, kind, count=1):
        with anyio.fail_after(PATIENCE):
            while sum(isinstance(event, kind) for event in self) < count:
                self._news = anyio.Event()
                await self._news.wait()


async def rounds(runner: ModelRunner, count: int = 1) -> None:
    for number in range(count):
        await runner.tick({"BTC": float(number)})
        await runner.predict("BTC", 3600)


def saved(runner: ModelRunner, model_id: str | None = None) -> list[Path]:
    """The capsules, in the order in which they were written; complete once the runner is left."""
    return [e.path for e in runner.told if isinstance(e, CapsuleSaved) and model_id in (None, e.model_id)]


def lost(runner: ModelRunner) -> list[str]:
    return [event.reason for event in runner.told if isinstance(event, CapsuleLost)]


def told(path: Path) -> list:
    """The calls before the failing one: method, arguments, how it ended."""
    return [(call.method, decode(call.args), call.status) for call in read(path).values.calls]


# What is saved


FAILURES = {
    "raises": ("raise ValueError('no idea')", Status.RAISED, "ValueError: no idea"),
    "invalid": ("return 'much'", Status.INVALID, "the answer does not fit predict's contract"),
    "unsendable": ("return object()", Status.INVALID, "the answer cannot be sent: a object cannot be sent"),
    "dies": ("os._exit(3)", Status.DIED, "its process ended during predict: exit code 3"),
    "late": ("time.sleep(60)", Status.TIMEOUT, "no answer within 1 s"),
}


@pytest.mark.processes
@both
@asynchronous
async def test_every_kind_of_failing_call_is_saved_and_no_other(submit, running):
    models = [submit(name, body) for name, (body, _, _) in FAILURES.items()]
    policy = {"timeout": 1.0, "timeouts": {"tick": 10.0}}
    async with running([*models, submit("fine")], policy=policy) as runner:
        await rounds(runner)
    assert lost(runner) == []
    assert {read(path).manifest.model_id for path in saved(runner)} == set(FAILURES)
    for name, (_, status, message) in FAILURES.items():
        [path] = saved(runner, name)
        capsule = read(path)
        manifest = capsule.manifest
        assert (manifest.status, manifest.method, manifest.budget) == (status, "predict", 1.0)
        assert manifest.fault.message.startswith(message)
        assert manifest.call == "predict('BTC', 3600.0)"
        assert decode(capsule.values.failing.args) == [["BTC", 3600], {}]
        assert told(path) == [("tick", [[{"BTC": 0.0}], {}], "ok")]
        assert path.name.startswith(f"{name}-predict-{status}-")
    assert list(running([]).policy.capsules.glob(".*")) == []  # nothing half written is left


@pytest.mark.processes
@asynchronous
async def test_a_capsule_says_which_deployment_failed_at_what(submit, running):
    path = submit("alice", "raise KeyError('x')")
    async with running([Submission("alice", path, "v7")], loader=FactoryLoader("make"), init_args=[]) as runner:
        pass
    [load] = saved(runner)  # it has no such factory
    assert read(load).manifest.method == LOAD
    assert read(load).manifest.loader.endswith(":FactoryLoader")
    assert decode(read(load).values.loader) == {"name": "make"}
    async with running([Submission("alice", path, "v7")]) as runner:
        await rounds(runner)
    [failed] = saved(runner)
    manifest = read(failed).manifest
    assert (manifest.model_id, manifest.deployment_id, manifest.contract) == ("alice", "v7", "walk:Walk")
    assert manifest.loader.endswith(":AutoLoader")
    assert manifest.python == ".".join(map(str, sys.version_info[:3]))
    assert (manifest.code.kind, manifest.code.name, manifest.code.changed) == ("file", "alice.py", False)
    with zipfile.ZipFile(failed) as archive:
        assert archive.read("code/alice.py") == path.read_bytes()
        assert json.loads(archive.read("capsule.json"))["model_id"] == "alice"
    assert failed.stat().st_mode & 0o077 == 0  # a submission is its participant's


@pytest.mark.processes
@asynchronous
async def test_what_a_model_was_told_is_in_it_in_order_up_to_the_failure(submit, running):
    path = submit("moody", "if self.n == 3: raise ValueError\nreturn 1.0", "self.n = getattr(self, 'n', 0) + 1")
    async with running([path]) as runner:
        await rounds(runner, 5)
    [capsule] = saved(runner)
    assert told(capsule) == [("tick", [[{"BTC": float(n)}], {}], "ok") for n in range(3)]
    assert read(capsule).manifest.calls_before == 0


@pytest.mark.processes
@asynchronous
async def test_a_tick_that_failed_is_a_call_before_the_next_one(submit, running):
    path = submit("moody", "raise ValueError", "if prices['BTC'] == 0: raise KeyError('dear')")
    async with running([path]) as runner:
        await rounds(runner, 2)
    tick, *predicts = saved(runner)
    assert (read(tick).manifest.method, told(tick)) == ("tick", [])
    assert [status for _, _, status in told(predicts[-1])] == ["raised", "ok"]


@pytest.mark.processes
@asynchronous
async def test_a_models_own_arguments_are_in_its_capsule_and_nobody_elses(running, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("alice", "bob"):
        (folder / f"{name}.py").write_text(
            "from arena import Base\nclass Mine(Base):\n    def take(self, *args, **kwargs): raise ValueError\n"
            "    def predict(self, number): pass\n"
        )
    async with running([folder / "alice.py", folder / "bob.py"], base="arena.Base") as runner:
        for number in range(2):
            await runner.call("take", number, per_model=lambda model: {"only": f"for {model.id} {number}"})  # noqa: B023
    last = read(saved(runner, "alice")[-1])
    assert decode(last.values.failing.args) == [[1], {}]
    assert decode(last.values.failing.extra) == {"only": "for alice 1"}
    assert [decode(call.extra) for call in last.values.calls] == [{"only": "for alice 0"}]
    assert last.manifest.call == "take(1, only='for alice 1')"
    assert all(b"for bob" not in content for content in contents(last.path))


@pytest.mark.processes
@asynchronous
async def test_what_the_coordinator_keeps_to_itself_is_in_no_capsule(submit, running, monkeypatch, tmp_path):
    monkeypatch.setenv("CRUNCH_SECRET", "hush-environment")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ".env").write_text("hush-file")
    one = Submission("alice", submit("alice", "raise ValueError"), info={"wallet": "hush-info"})
    rival = Submission("bob", submit("bob", above="SECRET = 'hush-rival'"))
    async with running([one, rival], host=ProcessHost(env={"KEY": "hush-env"})) as runner:
        await rounds(runner)
    [path] = saved(runner)
    assert all(b"hush" not in content for content in contents(path))


def contents(path: Path) -> list[bytes]:
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist()]


@pytest.mark.processes
@asynchronous
async def test_a_submission_that_cannot_be_loaded_is_saved_too(submit, running):
    for name, above, status, timeout in (
        ("broken", "import nothing_like_it", Status.RAISED, 60.0),
        ("dying", "os._exit(4)", Status.DIED, 60.0),
        ("hanging", "time.sleep(60)", Status.TIMEOUT, 1.0),
    ):
        async with running([submit(name, above=above)], policy={"setup_timeout": timeout}) as runner:
            pass
        [path] = saved(runner)
        manifest = read(path).manifest
        assert (manifest.method, manifest.status, manifest.budget) == (LOAD, status, timeout)
        assert read(path).values.failing is None


@pytest.mark.processes
@both
@asynchronous
async def test_streamed_outcomes_are_saved_as_well(submit, running):
    async with running([submit("raises", "raise ValueError"), submit("fine")]) as runner:
        statuses = {outcome.model_id: outcome.status async for outcome in runner.stream("predict", "BTC", 1)}
    assert statuses == {"raises": Status.RAISED, "fine": Status.OK}
    assert len(saved(runner)) == 1


@pytest.mark.processes
@asynchronous
async def test_a_fresh_instance_was_told_what_on_join_told_it_and_nothing_of_its_predecessors(submit, running):
    path = submit("dies", "os._exit(1)", "self.n = getattr(self, 'n', 0) + 1")
    async with running([path]) as runner:

        @runner.on_join
        async def warm_up(model, runner):
            await runner.call("tick", {"BTC": -1.0}, models=[model.id])

        for number in range(2):
            await runner.told.until(ModelReady, number + 1)
            await runner.tick({"BTC": float(number)})
            await runner.predict("BTC", 1)
    first, second = saved(runner)
    # The first model was ready before the hook was there.
    assert [args[0][0]["BTC"] for _, args, _ in told(first)] == [0.0]
    assert [args[0][0]["BTC"] for _, args, _ in told(second)] == [-1.0, 1.0]


@pytest.mark.processes
@asynchronous
async def test_a_call_that_never_reached_a_busy_model_is_no_failure_to_save_and_nothing_it_was_told(submit, running):
    path = submit("naps", "time.sleep(2 if self.n == 1 else 0)\nraise ValueError", "self.n = getattr(self, 'n', 0) + 1")
    async with running([path], policy={"timeout": PATIENCE, "timeouts": {"predict": 0.5}}) as runner:
        await rounds(runner)  # its predict is late
        missed = (await runner.call("tick", {"BTC": 1.0}, timeout=0.1))["naps"]
        assert "it has been busy with predict for" in missed.error.message
        assert (await runner.tick({"BTC": 2.0}))["naps"].status is Status.OK  # it has waited for the nap to end
        await runner.call("predict", "BTC", 1, timeout=PATIENCE)
    late, raised = saved(runner)
    assert read(late).manifest.status == Status.TIMEOUT
    assert [args[0][0]["BTC"] for _, args, _ in told(raised)] == [0.0, 2.0]


@pytest.mark.processes
@asynchronous
async def test_a_call_that_a_late_model_took_up_and_hung_in_is_saved_and_not_the_one_behind_it(submit, running):
    path = submit("slow", "time.sleep({'x0': 1.5}.get(asset, 60))")
    async with running([path], policy={"timeout": 1.0}) as runner:
        kinds = [(await runner.predict(f"x{number}", 1))["slow"].error.kind for number in range(3)]
    assert kinds == ["timeout", "timeout", "busy"]
    assert [read(path).manifest.call for path in saved(runner)] == ["predict('x0', 1.0)", "predict('x1', 1.0)"]


# Which failures are saved


@pytest.mark.processes
@asynchronous
async def test_the_first_failures_in_a_row_are_saved_and_a_success_begins_a_new_row(submit, running):
    path = submit("moody", "if self.n == 6: return 1.0\nraise ValueError", "self.n = getattr(self, 'n', 0) + 1")
    async with running([path]) as runner:
        await rounds(runner, 12)
    assert [len(told(path)) for path in saved(runner)] == [1, 2, 3, 7, 8, 9]


@pytest.mark.processes
@asynchronous
async def test_new_code_begins_anew_and_no_code_fills_the_disk(submit, running, monkeypatch):
    monkeypatch.setattr(recorder, "_MAX_IN_ALL", 4)
    path = submit("moody", "if self.n % 2: raise ValueError\nreturn 1.0", "self.n = getattr(self, 'n', 0) + 1")
    async with running(path.parent) as runner:
        await rounds(runner, 12)
        path.write_text(path.read_text() + "\n# new\n")
        await runner.told.until(ModelRedeployed)
        await rounds(runner, 1)
    deployments = [read(path).manifest.deployment_id for path in saved(runner)]
    assert len(deployments) == 5
    assert len(set(deployments)) == 2


@pytest.mark.processes
@asynchronous
async def test_a_folder_that_is_full_takes_no_more(submit, running, folder, monkeypatch):
    monkeypatch.setattr(writing, "MAX_FOLDER_BYTES", 100)
    async with running([submit("raises", "raise ValueError")]) as runner:
        await rounds(runner, 3)
    assert len(saved(runner)) == 1
    assert lost(runner) == [f"{folder} holds 0 GiB of capsules; remove some for more"] * 2


@pytest.mark.processes
@asynchronous
async def test_a_capsule_that_cannot_be_written_is_told_and_the_game_goes_on(submit, running, tmp_path):
    (tmp_path / "file").touch()
    policy = {"capsules": tmp_path / "file" / "capsules"}
    async with running([submit("raises", "raise ValueError"), submit("fine")], policy=policy) as runner:
        await rounds(runner)
        played = await runner.predict("BTC", 1)
    assert played["fine"].status is Status.OK
    assert lost(runner) == [f"NotADirectoryError: [Errno 20] Not a directory: '{policy['capsules']}'"] * 2


@asynchronous
async def test_arguments_that_have_no_form_are_told_of(running, tmp_path):
    class Sends(InlineHost):
        """A host that can send more than the wire does; its models fail."""

        async def ask(self, call, asked, *, each):
            yield [(instance, Reply(Trigger.RAISED, None, Fault("E", "no"), 0.1)) for instance in asked]

    able = tmp_path / "able.py"
    able.write_text("from arena import Base\nclass Able(Base):\n    def predict(self, number): pass\n")
    async with running([able], base="arena.Base", host=Sends()) as runner:
        await runner.call("take", object())
    assert lost(runner) == ["its arguments cannot be written down"]


# What it costs


@pytest.mark.processes
def test_it_costs_nothing_when_it_is_off():
    program = (
        "import sys; from crunch_game.sync import ModelRunner\n"
        "with ModelRunner('walk.Walk', ['walk:Mean'], host='inline') as runner:\n"
        "    runner.tick({'BTC': 1.0}); runner.predict('BTC', 1)\n"
        "    print(runner._runner._lineup.observers, *[name for name in sys.modules if 'capsule' in name])"
    )
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{program}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "()\n"


@asynchronous
async def test_arguments_are_encoded_once_a_round_and_only_if_they_are_kept(running, submit, monkeypatch):
    encoded = []
    real = recorder.encode
    monkeypatch.setattr(recorder, "encode", lambda value: encoded.append(value) or real(value))
    models = [submit(f"fine{n}") for n in range(5)] + [submit(f"bad{n}", "raise ValueError") for n in range(5)]
    async with running(models[:5], host="inline") as runner:
        await rounds(runner, 3)
    assert [value[0] for value in encoded] == [[{"BTC": float(n)}] for n in range(3)]
    encoded.clear()
    async with running(models, host="inline") as runner:
        await rounds(runner, 1)
    assert len(encoded) == 2
    assert len(saved(runner)) == 5


@pytest.mark.processes
@both
@asynchronous
async def test_a_round_never_waits_for_the_writing(submit, running, monkeypatch):
    release, began = threading.Event(), threading.Event()

    def slow(*args):
        began.set()
        assert release.wait(PATIENCE)
        return writing.write(*args)

    monkeypatch.setattr(recorder, "write", slow)
    async with running([submit("raises", "raise ValueError")]) as runner:
        await rounds(runner, 5)
        with anyio.fail_after(PATIENCE):
            await anyio.to_thread.run_sync(began.wait)
        await rounds(runner, 5)
        assert saved(runner) == []
        release.set()
    assert len(saved(runner)) == 3


@pytest.mark.processes
@both
@asynchronous
async def test_what_waits_to_be_written_is_bounded_and_leaving_does_not_wait_for_ever(submit, running, monkeypatch):
    monkeypatch.setattr(recorder, "_MAX_PENDING", 2)
    monkeypatch.setattr(recorder, "_PARTING_SECONDS", 0.0)
    runner = running([submit(f"bad{n}", "raise ValueError") for n in range(5)])

    def until_it_is_left(*args):
        while not runner._tasks.cancel_scope.cancel_called:
            time.sleep(0.01)
        time.sleep(0.01)
        return writing.write(*args)

    monkeypatch.setattr(recorder, "write", until_it_is_left)
    async with runner:
        await runner.predict("BTC", 1)
        assert lost(runner) == ["2 others wait to be written"] * 3
    assert len(saved(runner)) + len(lost(runner)) == 5
    assert "the runner was left before it was written" in lost(runner)


@pytest.fixture
def instance():
    return Instance(Submission("alice", "nowhere"))


def test_what_is_kept_is_bounded_in_calls(instance, monkeypatch):
    kept = CallHistory()
    for number in range(2_000):
        kept.append(instance, "alice", kept.begin(number, "tick", b"\x01"), Status.OK)
    calls, before = kept.recent(instance, "alice").told()
    assert (len(calls), before) == (500, 1_500)


@given(sizes=st.lists(st.integers(0, 400), max_size=60), extras=st.lists(st.integers(0, 200), max_size=60))
def test_what_is_kept_is_bounded_in_bytes_and_has_no_gaps(sizes, extras):
    instance, kept = Instance(Submission("alice", "nowhere")), CallHistory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tapes, "_MAX_BYTES", 2_000)
        patch.setattr(tapes, "_OVERHEAD_BYTES", 0)
        for number, size in enumerate(sizes):
            call = kept.begin(number, f"{number}", bytes(size))
            if number < len(extras):
                kept.add_extra(call, "alice", bytes(extras[number]))
            kept.append(instance, "alice", call, Status.OK)
    calls, before = kept.recent(instance, "alice").told()
    assert sum(len(bytes(call.args)) + len(bytes(call.extra)) for call in calls) <= 2_000 + len(calls)
    assert [call.method for call in calls] == [f"{number}" for number in range(before, len(sizes))]
    everything = sum(sizes) + sum(extras[: len(sizes)])
    assert before == 0 or everything > 2_000


def test_an_instance_that_is_gone_is_not_kept_alive():
    import gc
    import weakref

    kept, instance = CallHistory(), Instance(Submission("alice", "nowhere"))
    call = kept.begin(1, "tick", b"\x01")
    kept.add_extra(call, "alice", b"\x01")
    kept.append(instance, "alice", call, Status.OK)
    gone = weakref.ref(instance)
    del instance
    gc.collect()
    assert gone() is None


# The code


def packed(place: Path, loaded: float = float("inf"), kind: str = "folder"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        code = pack(place, PackedCode(kind=kind), archive, loaded)
    return code, zipfile.ZipFile(stream)


@pytest.fixture
def project(tmp_path) -> Path:
    project = tmp_path / "project"
    (project / "deep" / "er").mkdir(parents=True)
    for name in ("main.py", "utils.py", "deep/er/weights.bin", ".env", "deep/.hidden"):
        (project / name).write_text(name)
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "main.pyc").touch()
    (project / "venv" / "lib").mkdir(parents=True)
    (project / "venv" / "pyvenv.cfg").touch()
    (project / "venv" / "lib" / "numpy.py").touch()
    return project


def test_a_folder_is_copied_without_what_is_hidden_compiled_or_an_environment(project, tmp_path):
    code, archive = packed(project)
    assert sorted(archive.namelist()) == [f"code/project/{n}" for n in ("deep/er/weights.bin", "main.py", "utils.py")]
    assert (code.name, code.left_out) == ("project", [])
    target = tmp_path / "target"
    target.mkdir()
    assert unpack(archive, code, target) == target / "project"
    assert (target / "project" / "deep" / "er" / "weights.bin").read_text() == "deep/er/weights.bin"


def test_a_link_is_followed_within_the_submission_and_never_out_of_it(project, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("hush")
    (project / "latest.bin").symlink_to("deep/er/weights.bin")
    (project / "key.txt").symlink_to(secret / "key")
    (project / "dangling").symlink_to(tmp_path / "nothing")
    (project / "folder").symlink_to(secret)
    (project / "device").symlink_to("/dev/zero")
    os.mkfifo(project / "pipe")
    code, archive = packed(project)
    assert archive.read("code/project/latest.bin") == b"deep/er/weights.bin"
    assert not [name for name in archive.namelist() if any(n in name for n in ("key", "dang", "folder", "dev", "pipe"))]
    assert sorted(code.left_out) == [
        "project/dangling (No such file or directory)",
        "project/device (a link out of the submission)",
        "project/key.txt (a link out of the submission)",
    ]


def test_a_path_that_becomes_a_link_out_while_it_is_copied_is_not_followed(project, tmp_path, monkeypatch):
    (tmp_path / "key").write_text("hush")
    found = packing._found

    def swap(place):
        result = found(place)
        (project / "utils.py").unlink()
        (project / "utils.py").symlink_to(tmp_path / "key")
        return result

    monkeypatch.setattr(packing, "_found", swap)
    code, archive = packed(project)
    assert "code/project/utils.py" not in archive.namelist()
    assert code.left_out == ["project/utils.py (a link out of the submission)"]


def test_what_does_not_fit_is_left_out_the_largest_first_and_code_last(project, monkeypatch):
    monkeypatch.setattr(packing, "MAX_CODE_BYTES", 3 << 20)
    (project / "large.py").write_bytes(b"#" * (1 << 20))
    (project / "fits.bin").write_bytes(bytes(1 << 20))
    (project / "huge.bin").write_bytes(bytes(5 << 20))
    code, archive = packed(project)
    assert code.left_out == ["project/huge.bin (5.0 MiB; a capsule holds 3 MiB of code)"]
    assert {"code/project/large.py", "code/project/fits.bin", "code/project/main.py"} <= set(archive.namelist())


def test_too_many_files_are_told_in_a_few_words(project, monkeypatch):
    monkeypatch.setattr(packing, "MAX_FILES", 3)
    for number in range(40):
        (project / f"x{number}.txt").touch()
    (project / "odd\nname.py").touch()
    code, archive = packed(project)
    assert len(archive.namelist()) == 3
    assert len(code.left_out) == 21
    assert "project/odd\\nname.py (its name)" in code.left_out
    assert code.left_out[-1] == f"and {44 - 3 - 20} more"


def test_code_that_was_changed_after_it_was_loaded_is_said_to_be(project):
    code, _ = packed(project, loaded=time.time() + 5)
    assert not code.changed
    code, _ = packed(project, loaded=time.time() - 3600)
    assert code.changed


@pytest.mark.processes
@asynchronous
async def test_a_capsule_of_code_that_was_changed_or_removed_says_so(submit, running):
    changed, removed = submit("changed", "raise ValueError"), submit("removed", "raise ValueError")
    async with running([changed, removed]) as runner:
        changed.write_text("# new\n")
        removed.unlink()
        await runner.predict("BTC", 1)
    [one], [other] = saved(runner, "changed"), saved(runner, "removed")
    assert read(one).manifest.code.changed
    assert (read(other).manifest.code.name, read(other).manifest.code.changed) == (None, False)


@pytest.mark.processes
@asynchronous
async def test_a_class_of_a_module_is_saved_with_its_module(running, tmp_path, monkeypatch):
    package = tmp_path / "others"
    package.mkdir()
    (package / "__init__.py").write_text("from walk import Walk\n")
    (package / "bad.py").write_text(
        "from others import Walk\nclass Bad(Walk):\n    def tick(self, prices): pass\n"
        "    def predict(self, asset, horizon): raise ValueError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    async with running(["others.bad:Bad"]) as runner:
        await rounds(runner)
    [path] = saved(runner)
    code = read(path).manifest.code
    assert (code.kind, code.name, code.reference) == ("named", "others", "others.bad:Bad")
    with zipfile.ZipFile(path) as archive:
        assert {"code/others/__init__.py", "code/others/bad.py"} <= set(archive.namelist())


def test_a_class_that_no_other_process_could_import_is_told_of(folder):
    """Inline it plays; it has no file that a capsule could hold."""
    from walk import Walk

    from crunch_game.sync import ModelRunner as Blocking

    class Local(Walk):
        def tick(self, prices): ...

        def predict(self, asset, horizon):
            raise ValueError

    told: list = []
    policy = Policy(capsules=folder)
    with Blocking(Walk, [Submission("local", Local)], host="inline", policy=policy, on_event=told.append) as runner:
        runner.predict("BTC", 1)
    [reason] = [event.reason for event in told if isinstance(event, CapsuleLost)]
    assert "is defined inside a function, so no other process can import it" in reason


def test_a_relative_folder_is_where_the_game_began_whatever_folder_is_current_when_it_is_written(
    submit, tmp_path, monkeypatch
):
    """A thread writes it, while an inline model's working folder may be the current one."""
    from crunch_game.sync import ModelRunner as Blocking

    model = submit("raises", "raise ValueError")
    for each in ("here", "elsewhere"):
        (tmp_path / each).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    told: list = []
    with Blocking(BASE, [model], host="inline", policy=Policy(capsules="saved"), on_event=told.append) as runner:
        monkeypatch.chdir(tmp_path / "elsewhere")
        runner.predict("BTC", 1)
    [saved] = [event.path for event in told if isinstance(event, CapsuleSaved)]
    assert saved.parent == tmp_path / "here" / "saved"


# The file


@pytest.fixture
def capsule(folder, submit) -> Path:
    """A capsule as a game writes it."""
    from crunch_game.sync import ModelRunner as Blocking

    policy = Policy(capsules=folder)
    with Blocking(BASE, [submit("raises", "raise ValueError")], host="inline", policy=policy) as runner:
        runner.tick({"BTC": 1.0})
        runner.predict("BTC", 1)
    [path] = folder.iterdir()
    return path


def remade(path: Path, replace: dict[str, bytes | None] | None = None, add: dict | None = None) -> Path:
    """The capsule with members replaced, removed or added."""
    other = path.with_name("other.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            content = (replace or {}).get(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
        for entry, content in (add or {}).items():
            new.writestr(entry, content)
    return other


def with_manifest(path: Path, **fields) -> Path:
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("capsule.json"))
    return remade(path, {"capsule.json": json.dumps({**manifest, **fields}).encode()})


def refused(path: Path) -> str:
    with pytest.raises(CapsuleError) as caught:
        read(path)
    return str(caught.value)


def test_what_is_no_capsule_is_one_sentence(capsule, tmp_path):
    assert refused(tmp_path / "nothing.zip") == f"there is no file '{tmp_path}/nothing.zip'"
    assert refused(tmp_path) == f"there is no file '{tmp_path}'"
    (tmp_path / "text.zip").write_text("hello")
    sentence = "is no fault capsule, or only a part of one: File is not a zip file"
    assert refused(tmp_path / "text.zip") == f"{tmp_path}/text.zip {sentence}"
    shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path / "models")
    sentence = "is no fault capsule, or only a part of one: There is no item named 'capsule.json' in the archive"
    assert refused(tmp_path / "archive.zip") == f"{tmp_path}/archive.zip {sentence}"
    other = with_manifest(capsule, format="something else")
    assert refused(other) == f"{other} is no fault capsule"
    other = remade(capsule, {"values.msgpack": None})
    assert refused(other).endswith("There is no item named 'values.msgpack' in the archive")
    other = with_manifest(capsule, method=LOAD)
    assert refused(other) == f"{other} is no fault capsule that can be read: its parts do not belong together"
    other = with_manifest(capsule, code=5)
    assert "Expected `object`, got `int` - at `$.code`" in refused(other)


def test_a_capsule_from_a_newer_version_says_what_to_do(capsule):
    other = with_manifest(capsule, version=2, method=["of", "another", "shape"])
    assert refused(other) == (
        f"{other} was saved by a newer crunch_game (its format is 2, this one reads 1); play it with that version"
    )


def test_no_part_of_a_capsule_passes_for_one(capsule):
    whole = capsule.read_bytes()
    part = capsule.with_name("part.zip")
    for length in range(0, len(whole), 17):
        part.write_bytes(whole[:length])
        assert "is no fault capsule, or only a part of one" in refused(part)


def test_a_capsule_that_is_more_than_one_can_be_is_not_unpacked(capsule, monkeypatch):
    monkeypatch.setattr("crunch_game.capsules._capsule.MAX_BYTES", 8 << 20)
    bomb = zipfile.ZipInfo("code/raises/zeros")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    other = remade(capsule, add={bomb: bytes(9 << 20)})
    assert other.stat().st_size < 1 << 20
    assert refused(other) == f"{other} is no fault capsule: it holds more than 8 MiB"


HOSTILE = ["../evil.py", "/evil.py", "a/../../evil.py", "..", "a//b", "./evil", "c:evil", "a\\..\\evil", "a\nb", "\x7f"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_of_a_capsule_is_written_outside_of_its_folder(capsule, tmp_path, name):
    other = remade(capsule, add={f"code/{name}": b"evil"})
    target = tmp_path / "a" / "b" / "target"
    target.mkdir(parents=True)
    with pytest.raises(CapsuleError) as caught, legible(other) as archive:
        unpack(archive, read(other).manifest.code, target)
    assert str(caught.value).endswith("would lead out of its folder; it is not opened")
    assert [path for path in tmp_path.rglob("*evil*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["..", "../target", "/etc", "nothing.py", "a/b"])
def test_the_submission_of_a_capsule_is_one_of_its_own_files(capsule, tmp_path, name):
    manifest = read(capsule).manifest
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(CapsuleError), legible(capsule) as archive:
        unpack(archive, msgspec.structs.replace(manifest.code, name=name), target)


def test_a_link_in_a_capsule_is_but_a_file(capsule, tmp_path):
    link = zipfile.ZipInfo("code/link")
    link.external_attr = 0o120777 << 16
    other = remade(capsule, add={link: b"/etc/passwd"})
    target = tmp_path / "target"
    target.mkdir()
    with legible(other) as archive:
        unpack(archive, read(other).manifest.code, target)
    assert not (target / "link").is_symlink()
    assert (target / "link").read_bytes() == b"/etc/passwd"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_capsule_is_read_or_refused_with_a_sentence(capsule, data):
    damaged = bytearray(capsule.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = capsule.with_name("damaged.zip")
    path.write_bytes(damaged)
    target = path.with_name("target")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with suppress(CapsuleError):
        code = read(path).manifest.code
        with legible(path) as archive:
            unpack(archive, code, target)
