"""A folder is a roster: what is in it plays, and whatever happens to it is seen."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import crunch_game
from crunch_game import events
from crunch_game.errors import GameError
from crunch_game.rosters import DirectoryRoster, submissions_in
from crunch_game.rosters import _entries as judged
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
    for name in ("_draft.py", ".hidden.py", "__init__.py", "alice.py~", "alice.pyc", "py", "joe.txt"):
        write(tmp_path / name)
    for name in ("README.md", "requirements.txt", ".gitignore", "run.log", "weights.npz", "prices.csv.gz", "_old.zip"):
        write(tmp_path / name)
    for name in ("_draft", ".git", "__pycache__"):
        write(tmp_path / name / "main.py")
    write(tmp_path / "data" / "prices.csv")
    write(tmp_path / "venv" / "pyvenv.cfg")
    write(tmp_path / "venv" / "lib" / "tool.py")
    (tmp_path / "folder.py").mkdir()
    write(tmp_path / "folder.py" / "notes.txt")
    os.mkfifo(tmp_path / "pipe.py")

    assert DirectoryRoster(tmp_path).scan() == {}


def misplaced(folder: Path) -> dict[str, str]:
    """A folder of what is meant as submissions and is none; of each, by its model id, what its author is told."""
    write(folder / "fay" / "model.py")
    write(folder / "gus" / "submission" / "main.py")
    write(folder / "hal" / "Main.py")
    write(folder / "ivy.zip")
    write(folder / "jim.tar.gz")
    (folder / "kim").mkdir()
    write(folder / "lea" / "one" / "__init__.py")
    write(folder / "lea" / "two" / "__init__.py")
    write(folder / "mia" / "mia.ipynb", "{}")
    write(folder / "ned" / "deep" / "deeper" / "model.PY")
    write(folder / "oda.ipynb", "{}")
    write(folder / "pat.py.txt")
    return {
        "fay": "the folder fay has no main.py; rename model.py to main.py",
        "gus": "the folder gus has no main.py; move what is in gus/submission up into gus",
        "hal": "the folder hal has no main.py; rename Main.py to main.py",
        "ivy": "ivy.zip is an archive; unpack it: a submission is a .py file, or a folder with a main.py",
        "jim": "jim.tar.gz is an archive; unpack it: a submission is a .py file, or a folder with a main.py",
        "kim": "the folder kim is empty; give it a main.py",
        "lea": "the folder lea has no main.py and 2 packages (one and two); give it a main.py, or exactly one package",
        "mia": "the folder mia has no main.py, but mia.ipynb; notebooks cannot be loaded yet, save it as main.py",
        "ned": "the folder ned has no main.py and no package; give it a main.py, or exactly one package",
        "oda": "oda.ipynb is a notebook; notebooks cannot be loaded yet, save it as a .py file",
        "pat": "pat.py.txt is no .py file by its name; rename it pat.py",
    }


def test_what_is_meant_as_a_submission_is_one_that_cannot_be_run(tmp_path):
    told = misplaced(tmp_path)

    assert list(DirectoryRoster(tmp_path).scan()) == list(told)


MODEL = "import crunch_game\nclass Model(crunch_game.TrackerBase):\n    def predict(self): return {}"


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["inline", "process"])
async def test_whoever_submits_what_is_none_is_told_and_plays_once_it_is_mended(tmp_path, host, log):
    told = misplaced(tmp_path)

    async with crunch_game.ModelRunner(crunch_game.TrackerBase, tmp_path, host=host, on_event=log) as runner:
        for model_id in told:
            await log.until(events.ModelLoadFailed, model_id)
        assert {each.model_id: each.fault.message for each in log.of(events.ModelLoadFailed)} == told

        (tmp_path / "fay" / "model.py").unlink()
        write(tmp_path / "fay" / "main.py", MODEL.format(1))
        write(tmp_path / "kim" / "main.py", MODEL.format(2))
        for model_id in ("fay", "kim"):
            await log.until(events.ModelReady, model_id)

        answers = {i: outcome.value for i, outcome in (await runner.predict()).items() if outcome.value is not None}
        assert answers == {"fay": 1, "kim": 2}


@pytest.mark.anyio
async def test_a_folder_that_is_still_being_copied_ends_as_what_it_became(tmp_path, log):
    (tmp_path / "kim").mkdir()
    async with crunch_game.ModelRunner(crunch_game.TrackerBase, tmp_path, host="inline", on_event=log) as runner:
        assert (await log.until(events.ModelLoadFailed, "kim")).fault.message == (
            "the folder kim is empty; give it a main.py"
        )
        write(tmp_path / "kim" / "utils.py", "NUMBER = 7")
        assert (await log.until(events.ModelLoadFailed, "kim", 2)).fault.message == (
            "the folder kim has no main.py; rename utils.py to main.py"
        )
        write(tmp_path / "kim" / "main.py", "from utils import NUMBER\n" + MODEL.format("NUMBER"))
        await log.until(events.ModelReady, "kim")

        assert (await runner.predict())["kim"].value == 7


@pytest.mark.parametrize("beside", ["alice.zip", "alice.ipynb", "alice/model.py"])
def test_what_can_be_run_goes_before_what_cannot_of_the_same_name(tmp_path, beside):
    """Whoever unpacks an archive, or saves a notebook as a file, may leave it there."""
    write(tmp_path / beside)
    write(tmp_path / "alice.py")

    [submission] = DirectoryRoster(tmp_path).scan().values()

    assert submission.source == FileSource(tmp_path / "alice.py")


# Of a path


def test_each_submission_in_a_folder_is_told_with_what_is_wrong(tmp_path):
    told = misplaced(tmp_path)
    write(tmp_path / "alice.py")
    write(tmp_path / "bob" / "main.py")
    write(tmp_path / "README.md")

    found = submissions_in(tmp_path)

    assert {model_id: why_not for model_id, _, why_not in found} == {"alice": None, "bob": None} | told
    assert [path.name for _, path, _ in found[:3]] == ["alice.py", "bob", "fay"]
    assert {model_id for model_id, *_ in found} == set(DirectoryRoster(tmp_path).scan())


@pytest.mark.parametrize("name", ["alice.py", "alice/main.py", "alice/tracker/__init__.py"])
def test_a_submission_is_the_one_at_its_path(tmp_path, name):
    write(tmp_path / name)
    write(tmp_path / "alice" / "utils.py")
    path = tmp_path / name.partition("/")[0]

    assert submissions_in(str(path)) == [("alice", path, None)]


def test_what_is_neither_a_submission_nor_a_folder_of_them_is_told(tmp_path):
    for model_id, why_not in misplaced(tmp_path).items():
        [path] = [path for path in tmp_path.iterdir() if path.name.partition(".")[0] == model_id]
        if model_id == "lea":
            continue  # its two packages may be two submissions
        [(found_id, found, told)] = submissions_in(path)
        assert (found_id, found) == (model_id, path)
        assert told.partition("; or, if ")[0] == why_not
    for nothing in (tmp_path / "nobody", write(tmp_path / "joe.txt")):
        [(_, path, why_not)] = submissions_in(nothing)
        assert path == nothing
        assert why_not


@pytest.mark.parametrize(
    ("name", "why_not"),
    [
        ("steady.py", "rename steady.py to main.py; or, if steady.py is the whole submission, give models/steady.py"),
        (
            "bob/main.py",
            "move what is in models/bob up into models; or, if bob is the whole submission, give models/bob",
        ),
    ],
)
def test_a_folder_with_one_submission_may_be_a_folder_of_them(tmp_path, name, why_not):
    """Nothing but the author knows; so he is told what to do in either case, whatever lies beside it."""
    write(tmp_path / "models" / name)
    write(tmp_path / "models" / "README.md")

    told = f"the folder models has no main.py; {why_not}"
    assert submissions_in(tmp_path / "models") == [("models", tmp_path / "models", told)]


def test_the_folder_that_one_stands_in_has_its_name(tmp_path, monkeypatch):
    write(tmp_path / "alice" / "main.py")
    monkeypatch.chdir(tmp_path / "alice")

    assert submissions_in(".") == [("alice", tmp_path / "alice", None)]


def test_a_link_is_a_submission_under_its_own_name(tmp_path):
    target = write(tmp_path / "deployments" / "v1" / "main.py").parent
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "alice").symlink_to(target)

    [(model_id, submission)] = DirectoryRoster(tmp_path / "models").scan().items()

    assert model_id == "alice"
    assert submission.source == FolderSource(tmp_path / "models" / "alice")


@pytest.mark.parametrize("second", ["alice/__init__.py", "alice/main.py"])
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
    monkeypatch.setattr(judged, "entry_of", lambda path, of=judged.entry_of: read.append(path.name) or of(path))

    first = roster.scan()
    assert len(first) == 1001
    assert len(read) == 1001 + 1002  # their contents; what each is, that of the data too
    read.clear()
    assert roster.scan() == first
    assert read == []
    write(tmp_path / "model7.py", "x = 2")
    roster.scan()
    assert read == ["model7.py", "model7.py"]


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


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["inline", pytest.param("process", marks=pytest.mark.processes)])
async def test_no_name_and_no_link_in_a_submission_ends_the_game_or_hides_the_submission(tmp_path, host, log):
    """Of names that are no UTF-8 watchfiles makes an error; links in a circle, and ones too long, can't be followed."""
    write(tmp_path / "alice.py", MODEL.format(1))

    async with crunch_game.ModelRunner(crunch_game.TrackerBase, tmp_path, host=host, on_event=log) as runner:
        write(tmp_path / "bob" / "main.py", MODEL.format(2))
        (tmp_path / "bob" / "here").symlink_to("there")
        (tmp_path / "bob" / "there").symlink_to("here")
        (tmp_path / "bob" / "long").symlink_to("x" * 300)
        (tmp_path / "bob" / os.fsdecode(b"\xff\xfe\n.bin")).write_text("1")
        await log.until(events.ModelReady, "bob")
        write(tmp_path / "carol.py", MODEL.format(3))
        await log.until(events.ModelReady, "carol")
        outcomes = await runner.predict()

    assert {model_id: outcome.value for model_id, outcome in outcomes.items()} == {"alice": 1, "bob": 2, "carol": 3}


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["inline", pytest.param("process", marks=pytest.mark.processes)])
async def test_links_that_lead_nowhere_and_names_that_are_no_text_are_told_and_play_once_they_are_mended(
    tmp_path, host, log
):
    models = tmp_path / "models"
    write(models / "alice.py", MODEL.format(1))
    write(models / "eve.py", MODEL.format(4))
    (models / "bob").symlink_to(tmp_path / "gone")
    (models / "carol.py").symlink_to("carol.py")
    odd = write(models / os.fsdecode(b"d\xffn.py"), MODEL.format(2))
    told = {
        "bob": f"there is no submission at {tmp_path}/gone, to which the link bob leads",
        "carol": f"carol.py cannot be looked at: [Errno 40] Too many levels of symbolic links: '{models}/carol.py'",
        "d\\xffn": f"a name in its path is no UTF-8, '{models}/d\\udcffn.py'; rename it",
    }

    async with crunch_game.ModelRunner(crunch_game.TrackerBase, models, host=host, on_event=log) as runner:
        for model_id in told:
            await log.until(events.ModelLoadFailed, model_id)
        assert {each.model_id: each.fault.message for each in log.of(events.ModelLoadFailed)} == told
        assert [submission[2] for submission in submissions_in(models)] == [None, *told.values(), None]

        write(tmp_path / "gone" / "main.py", MODEL.format(3))
        odd.rename(models / "dan.py")
        for model_id in ("bob", "dan"):
            await log.until(events.ModelReady, model_id)
        answers = {i: outcome.value for i, outcome in (await runner.predict()).items() if outcome.value is not None}
        assert answers == {"alice": 1, "bob": 3, "dan": 2, "eve": 4}


AS_A_USER = """
import ctypes, sys
from crunch_game.rosters import DirectoryRoster
none = (ctypes.c_uint32 * 6)()
assert not ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), none)  # with them, root may read everything
print(*DirectoryRoster(sys.argv[1]).scan())
"""


@pytest.mark.processes
def test_a_submission_with_a_folder_that_may_not_be_read_is_in_the_game(tmp_path):
    write(tmp_path / "alice" / "main.py")
    for name, mode in (("shut", 0), ("listed", 0o400), ("entered", 0o100)):
        write(tmp_path / "alice" / name / "weights")
        (tmp_path / "alice" / name).chmod(mode)
    write(tmp_path / "bob" / "main.py")
    (tmp_path / "bob").chmod(0)
    write(tmp_path / "shut" / "model.py").parent.chmod(0)
    (tmp_path / "carol.py").symlink_to("shut/model.py")

    found = subprocess.run([sys.executable, "-c", AS_A_USER, tmp_path], check=True, capture_output=True, text=True)

    assert found.stdout == "alice bob carol shut\n"
