"""What all tests share."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, settings

from crunch_game import Submission

# How long an example takes is the machine's affair, and no law of what is tested.
# A test that needs more or fewer examples says how many times the profile's, so that `make quick` is quick.
settings.register_profile("laws", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("laws"), max_examples=20)
settings.load_profile("laws")

PATIENCE = 30.0
"""Seconds after which what a test waits for is taken to never come."""

GAMES = Path(__file__).parent / "games"
"""Authors' modules that submissions import; the models' processes get the coordinator's sys.path."""

sys.path.insert(0, str(GAMES))

# By its defaults the collector takes an eighth of the time of the tests.
gc.set_threshold(20_000, 20, 20)


_playing: list[pytest.Item] = []
"""The test that is being set up, run or torn down."""


def _forbid(event: str, arguments: tuple[object, ...], *, starts: frozenset[str], playing: list[pytest.Item]) -> None:
    if event in starts and playing and playing[-1].get_closest_marker("processes") is None:
        raise RuntimeError(f"{event}: a test that starts a process has the mark `processes`, for `make quick`")


# So that no test that starts one can stay unmarked. The names are bound, since the hook outlives this module.
STARTS = {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
sys.addaudithook(partial(_forbid, starts=frozenset(STARTS), playing=_playing))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that takes a host, or none, by name has the mark where the name is that of processes."""
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if parameters.get("host") == "process":
            item.add_marker(pytest.mark.processes)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What is loaded by now stays, and need not be looked through by the garbage collector."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Keep in mind which test is being run."""
    _playing.append(item)
    try:
        return (yield)
    finally:
        _playing.pop()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[], str]], str]:
    """Have a text made by the first test of all workers that asks for it, by its name."""
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def ask(name: str, make: Callable[[], str]) -> str:
        file = folder / f"{name}.txt"
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                file.write_text(make(), encoding="utf-8")
        return file.read_text(encoding="utf-8")

    return ask


@pytest.fixture
def patience() -> float:
    return PATIENCE


class Log:
    """What a runner told its author; what is still to come can be awaited."""

    def __init__(self) -> None:
        self.records: list = []
        self._news = anyio.Event()

    def __call__(self, record) -> None:
        self.records.append(record)
        news, self._news = self._news, anyio.Event()
        news.set()

    def of(self, kind, model_id: str | None = None) -> list:
        """The records of that kind so far, of one model or of all."""
        return [r for r in self.records if isinstance(r, kind) and model_id in (None, getattr(r, "model_id", None))]

    async def until(self, kind, model_id: str | None = None, count: int = 1):
        """The `count`th record of that kind."""
        with anyio.fail_after(PATIENCE):
            while len(self.of(kind, model_id)) < count:
                await self._news.wait()
        return self.of(kind, model_id)[count - 1]


class Snapshots:
    """A roster that says what the test tells it to."""

    def __init__(self, *submissions: Submission) -> None:
        self._now = {submission.id: submission for submission in submissions}
        self._send, self._receive = anyio.create_memory_object_stream(100)

    def tell(self, *submissions: Submission) -> None:
        self._send.send_nowait({submission.id: submission for submission in submissions})

    async def follow(self):
        yield self._now
        with self._send, self._receive:
            async for snapshot in self._receive:
                yield snapshot

    def host(self):
        return None


@pytest.fixture
def snapshots():
    return Snapshots


@pytest.fixture
def log() -> Log:
    return Log()


async def seen(look: Callable[[], object]) -> None:
    """Wait for what no event tells of: a model's file, or the end of a process that is not our child."""
    with anyio.fail_after(PATIENCE):
        while not look():  # noqa: ASYNC110
            await anyio.sleep(0.005)


@pytest.fixture(name="seen")
def _seen():
    return seen
