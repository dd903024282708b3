"""A folder is a roster: what is in it plays, and whatever happens to it is seen."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import crunch_game
from crunch_game import events
from crunch_game.errors import GameError
from crunch_game.rosters import DirectoryRoster
from crunch_game.rosters import _directory as directory
from crunch_game.rosters import _versions as contents
from crunch_game.sources import FileSource, FolderSource


def write(path: Path, text: str = "x = 1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def versions(roster: DirectoryRoster) -> dict[str, str]:
    return {model_id: submission.deployment_id for model_id, submission in roster.scan().items()}


# What is a submission


def test_files_and_folders_are_submissions(tmp_path):
    write(tmp_path / "alice.py")
    write(tmp_path / "bob" / "main.py")
    write(tmp_path / "bob" / "utils.py")
    write(tmp_path / "carol.v2" / "tracker" / "__init__.py")
    write(tmp_path / "dave" / "__init__.py")
    write(tmp_path / "erin.ipynb", "{}")

    found = DirectoryRoster(tmp_path).scan()

    assert {model_id: submission.source for model_id, submission in found.items()} == {
        "alice": FileSource(tmp_path / "alice.py"),
        "bob": FolderSource(tmp_path / "bob"),
        "carol.v2": FolderSource(tmp_path / "carol.v2"),
        "dave": FolderSource(tmp_path / "dave"),
        "erin": FileSource(tmp_path / "erin.ipynb"),
    }
    assert all(submission.id == model_id for model_id, submission in found.items())
    assert len(set(versions(DirectoryRoster(tmp_path)).values())) == 5


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="needs Linux's /proc")
@pytest.mark.processes
def test_no_submission_keeps_the_others_waiting(tmp_path):
    """Not by a link to a file that never ends, nor by one of a size that is none, nor by folders in folders."""
    write(tmp_path / "alice.py")
    write(tmp_path / "endless" / "main.py")
    (tmp_path / "endless" / "link").symlink_to("/proc/self/pagemap")  # half a terabyte
    (tmp_path / "endless2.py").symlink_to("/proc/self/pagemap")
    write(tmp_path / "hollow" / "main.py")
    with (tmp_path / "hollow" / "hole").open("wb") as file:
        file.truncate(1 << 43)
    write(tmp_path / "deep" / "main.py")
    below = str(tmp_path / "deep")
    for _ in range(1_200):
        below += "/d"
        Path(below).mkdir()

    roster = DirectoryRoster(tmp_path)
    try:
        before = versions(roster)
        os.truncate(tmp_path / "hollow" / "hole", 1 << 42)
        after = versions(roster)
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)  # which pytest cannot
    assert set(before) == {"alice", "deep", "endless", "endless2", "hollow"}
    assert {model_id for model_id in before if before[model_id] != after[model_id]} == {"hollow"}


def test_other_things_are_not(tmp_path):
    for name in ("_draft.py", ".hidden.py", "__init__.py", "README.md", "alice.py~", "alice.pyc", "py"):
        write(tmp_path / name)
    for name in ("_draft", ".git", "__pycache__"):
        write(tmp_path / name / "main.py")
    write(tmp_path / "data" / "prices.csv")
    write(tmp_path / "two" / "one" / "__init__.py")
    write(tmp_path / "two" / "other" / "__init__.py")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    os.mkfifo(tmp_path / "pipe.py")

    assert DirectoryRoster(tmp_path).scan() == {}


def test_a_link_is_a_submission_under_its_own_name(tmp_path):
    target = write(tmp_path / "deployments" / "v1" / "main.py").parent
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "alice").symlink_to(target)

    [(model_id, submission)] = DirectoryRoster(tmp_path / "models").scan().items()

    assert model_id == "alice"
    assert submission.source == FolderSource(tmp_path / "models" / "alice")


@pytest.mark.parametrize("second", ["alice.ipynb", "alice/main.py"])
def test_two_with_the_same_id_are_told_by_their_paths(tmp_path, second):
    write(tmp_path / "alice.py")
    write(tmp_path / second)
    one, other = sorted([tmp_path / "alice.py", tmp_path / second.partition("/")[0]])

    with pytest.raises(GameError) as caught:
        DirectoryRoster(tmp_path).scan()
    assert str(caught.value) == f"{other} and {one} would both be the model 'alice'; rename one"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    for place in (tmp_path / "nowhere", write(tmp_path / "file")):
        with pytest.raises(GameError) as caught:
            DirectoryRoster(place)
        assert str(caught.value) == f"there is no folder {str(place)!r} to take models from"


def test_any_host_will_do(tmp_path):
    assert DirectoryRoster(str(tmp_path)).host() is None


# Its version


def test_the_version_follows_from_the_contents_alone(tmp_path):
    alice = write(tmp_path / "one" / "alice" / "main.py", "x = 1").parent
    write(alice / "data" / "weights.bin", "1")
    shutil.copytree(alice, tmp_path / "other" / "alice")
    os.utime(tmp_path / "other" / "alice" / "main.py", (1e9, 1e9))

    assert versions(DirectoryRoster(tmp_path / "one")) == versions(DirectoryRoster(tmp_path / "other"))


@pytest.mark.parametrize(
    "change",
    [
        lambda alice: write(alice / "main.py", "x = 2"),
        lambda alice: write(alice / "utils.py", "y = 2"),
        lambda alice: write(alice / "data" / "weights.bin", "2"),
        lambda alice: write(alice / "further.py"),
        lambda alice: (alice / "utils.py").unlink(),
        lambda alice: (alice / "utils.py").rename(alice / "tools.py"),
    ],
)
def test_whatever_changes_in_the_contents_is_a_new_version(tmp_path, change):
    alice = write(tmp_path / "alice" / "main.py").parent
    write(alice / "utils.py", "y = 1")
    write(alice / "data" / "weights.bin", "1")
    roster = DirectoryRoster(tmp_path)
    before = versions(roster)

    change(alice)

    assert versions(roster) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda alice: (alice / "main.py").touch(),
        lambda alice: write(alice / "main.py", "x = 1"),
        lambda alice: (alice / "main.py").chmod(0o600),
        lambda alice: write(alice / "__pycache__" / "main.pyc"),
        lambda alice: write(alice / ".cache" / "prices"),
        lambda alice: write(alice / ".main.py.swp"),
        lambda alice: (alice / "empty").mkdir(),
        lambda alice: (alice / "broken").symlink_to(alice / "nowhere"),
        lambda alice: os.mkfifo(alice / "pipe"),
        lambda alice: (alice / "circle").symlink_to(alice),
    ],
)
def test_what_does_not_change_the_contents_is_not(tmp_path, change):
    alice = write(tmp_path / "alice" / "main.py").parent
    roster = DirectoryRoster(tmp_path)
    before = versions(roster)

    change(alice)

    assert versions(roster) == before


def test_a_new_version_of_the_same_size_and_time_is_seen(tmp_path):
    file = write(tmp_path / "alice.py", "x = 1")
    os.utime(file, (1e9, 1e9))
    roster = DirectoryRoster(tmp_path)
    before = versions(roster)

    write(tmp_path / ".new.py", "x = 2").rename(file)
    os.utime(file, (1e9, 1e9))

    assert versions(roster) != before


def test_only_what_has_changed_is_read_again(tmp_path, monkeypatch):
    for i in range(1000):
        write(tmp_path / f"model{i}.py")
    write(tmp_path / "folder" / "main.py")
    write(tmp_path / "data" / "prices.csv")
    roster, read = DirectoryRoster(tmp_path), []
    content = contents._content
    monkeypatch.setattr(contents, "_content", lambda file: read.append(file.name) or content(file))
    monkeypatch.setattr(directory, "entry_of", lambda path, of=directory.entry_of: read.append(path.name) or of(path))

    first = roster.scan()
    assert len(first) == 1001
    assert len(read) == 1001 + 2
    read.clear()
    assert roster.scan() == first
    assert read == []
    write(tmp_path / "model7.py", "x = 2")
    roster.scan()
    assert read == ["model7.py"]


def test_what_is_removed_while_it_is_read_is_gone(tmp_path, monkeypatch):
    for name in ("alice", "bob", "carol"):
        write(tmp_path / name / "main.py")
    roster = DirectoryRoster(tmp_path)
    content = contents._content

    def vanishing(file):
        if file.parent.name == "bob":
            shutil.rmtree(file.parent)
        return content(file)

    monkeypatch.setattr(contents, "_content", vanishing)

    assert list(roster.scan()) == ["alice", "carol"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_what_may_not_be_read_is_in_the_game_so_that_its_load_tells(tmp_path):
    file = write(tmp_path / "alice.py")
    file.chmod(0)
    write(tmp_path / "bob.py")
    roster = DirectoryRoster(tmp_path)
    before = versions(roster)

    file.chmod(0o600)

    assert list(before) == ["alice", "bob"]
    assert versions(roster)["alice"] != before["alice"]


# As it changes


class Counting(DirectoryRoster):
    scans = 0

    def scan(self):
        self.scans += 1
        return super().scan()


class Watch:
    """What a roster tells, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.roster = Counting(folder)
        self.told, self.news = anyio.create_memory_object_stream[dict[str, str]](math.inf)

    async def next(self) -> dict[str, str]:
        with anyio.fail_after(10):
            return await self.news.receive()

    async def another_scan(self) -> None:
        """Until the folder has been looked at once more, from now on."""
        now = self.roster.scans
        with anyio.fail_after(10):
            while self.roster.scans < now + 2:  # noqa: ASYNC110 - one may have begun before
                await anyio.sleep(0.01)

    async def until(self, condition) -> dict[str, str]:
        while not condition(told := await self.next()):
            pass
        return told


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[Watch]:
    watch = Watch(folder)

    async def follow():
        async for roster in watch.roster.follow():
            watch.told.send_nowait({i: submission.deployment_id for i, submission in roster.items()})

    with watch.told, watch.news:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            yield watch
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_joins_redeployments_and_leaves_are_seen(tmp_path):
    write(tmp_path / "alice.py")
    async with watching(tmp_path) as watch:
        first = await watch.next()
        assert list(first) == ["alice"]

        write(tmp_path / ".bob" / "main.py").parent.rename(tmp_path / "bob")
        joined = await watch.until(lambda told: "bob" in told)
        assert joined["alice"] == first["alice"]

        write(tmp_path / "alice.py", "x = 2")
        changed = await watch.until(lambda told: told["alice"] != first["alice"])
        assert changed["bob"] == joined["bob"]

        write(tmp_path / "bob" / "utils.py")
        assert (await watch.next())["bob"] != joined["bob"]

        shutil.rmtree(tmp_path / "bob")
        assert list(await watch.until(lambda told: "bob" not in told)) == ["alice"]


@pytest.mark.anyio
async def test_only_changes_are_told(tmp_path):
    write(tmp_path / "alice.py")
    async with watching(tmp_path) as watch:
        first = await watch.next()

        (tmp_path / "alice.py").touch()
        write(tmp_path / "alice.py")
        write(tmp_path / "_draft.py")
        await watch.another_scan()
        write(tmp_path / "zoe.py")

        told = await watch.next()
        assert list(told) == ["alice", "zoe"]
        assert told["alice"] == first["alice"]


@pytest.mark.anyio
async def test_a_file_that_is_written_bit_by_bit_ends_as_what_it_became(tmp_path):
    whole = "x = 1\n" * 5000
    async with watching(tmp_path) as watch:
        assert await watch.next() == {}

        with (tmp_path / "alice.py").open("w") as stream:
            for line in whole.splitlines(keepends=True):
                stream.write(line)
                stream.flush()

        version = versions(DirectoryRoster(tmp_path))
        await watch.until(lambda told: told == version)


@pytest.mark.anyio
async def test_when_the_folder_itself_is_gone_so_are_its_models_until_it_is_back(tmp_path):
    folder = write(tmp_path / "models" / "alice.py").parent
    async with watching(folder) as watch:
        first = await watch.next()

        shutil.rmtree(folder)
        assert await watch.next() == {}

        write(folder / "alice.py")
        assert await watch.until(lambda told: told) == first


@pytest.mark.anyio
async def test_two_with_the_same_id_are_refused_at_the_start(tmp_path):
    write(tmp_path / "alice.py")
    write(tmp_path / "alice" / "main.py")

    with pytest.raises(GameError, match="would both be the model 'alice'; rename one"):
        await anext(DirectoryRoster(tmp_path).follow())


@pytest.mark.anyio
async def test_two_with_the_same_id_are_logged_later_and_change_nothing_until_one_is_renamed(tmp_path, caplog):
    write(tmp_path / "alice.py")
    async with watching(tmp_path) as watch:
        first = await watch.next()

        write(tmp_path / "alice" / "main.py")
        write(tmp_path / "bob.py")
        with anyio.fail_after(10):
            while not caplog.messages:  # noqa: ASYNC110 - a log has no event
                await anyio.sleep(0.01)
        (tmp_path / "alice").rename(tmp_path / "alice2")

        assert list(await watch.next()) == ["alice", "alice2", "bob"]

    assert caplog.messages == [
        "the models stay as they are: "
        f"{tmp_path / 'alice.py'} and {tmp_path / 'alice'} would both be the model 'alice'; rename one"
    ]
    assert list(first) == ["alice"]


@pytest.mark.anyio
async def test_a_runner_over_a_folder_plays_who_joins(tmp_path):
    text = "import crunch_game\nclass Model(crunch_game.TrackerBase):\n    def predict(self): return {}"
    write(tmp_path / "alice.py", text.format(1))
    joined = anyio.Event()

    def note(event):
        if isinstance(event, events.ModelReady) and event.model_id == "bob":
            joined.set()

    async with crunch_game.ModelRunner(crunch_game.TrackerBase, tmp_path, host="inline", on_event=note) as runner:
        assert (await runner.predict())["alice"].value == 1

        write(tmp_path / "bob.py", text.format(2))
        with anyio.fail_after(10):
            await joined.wait()

        assert {i: outcome.value for i, outcome in (await runner.predict()).items()} == {"alice": 1, "bob": 2}
