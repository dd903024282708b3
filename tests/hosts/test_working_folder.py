"""A model works in a folder of its own, in which its submission's files are; its submission stays as it is."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import anyio
import pytest

from crunch_game import InlineHost, ModelRunner, Policy, ProcessHost, TrackerBase
from crunch_game.errors import LoadError
from crunch_game.hosts._folders import fill

pytestmark = pytest.mark.anyio

MODEL = """
import json, logging, os, sqlite3
from pathlib import Path
from crunch_game import TrackerBase

with open("weights.json") as file:
    weights = json.load(file)  # while it is imported


class Model(TrackerBase):
    def __init__(self):
        self.table = Path("data/table.csv").read_text()
        self.folder = os.getcwd()

    def predict(self, what, *arguments):
        return getattr(self, what)(*arguments)

    def where(self):
        return [self.folder, os.getcwd()]

    def reads(self):
        with open("weights.json") as file:
            return [weights, json.load(file), self.table, Path("data", "table.csv").read_text()]

    def writes(self):
        with open("cache.json", "w") as file:
            file.write("{}")
        os.makedirs("catboost_info")
        Path("catboost_info", "learn.tsv").write_text("iter")
        handler = logging.FileHandler("x.log")
        handler.emit(logging.LogRecord("model", 30, "", 1, "here", None, None))
        handler.close()
        connection = sqlite3.connect("db.sqlite")
        connection.execute("CREATE TABLE prices (at, price)")
        connection.close()
        for name in ("weights.json", "data/table.csv", "data/new.csv"):
            Path(name).write_text("[2]")
        os.remove("main.py")
        return sorted(os.listdir())

    def first_byte_of(self, name):
        with open(name, "rb") as file:
            return file.read(1).decode()

    def overwrites(self, name):
        with open(name, "r+") as file:
            file.write("mine")

    def names(self, folder="."):
        return sorted(os.listdir(folder))
"""

ALONE = """
import os
from crunch_game import TrackerBase


class Model(TrackerBase):
    def predict(self, what):
        return os.listdir()
"""

HOSTS = {
    "inline": InlineHost,
    "sandbox": ProcessHost,
    "no sandbox": lambda: ProcessHost(sandbox=None),
}


@pytest.fixture
def anyio_backend() -> str:
    """One is enough here: what a model may do is the same whatever loop asks it; the runner's tests play on both."""
    return "asyncio"


@pytest.fixture(
    params=["inline", *(pytest.param(each, marks=pytest.mark.processes) for each in ("sandbox", "no sandbox"))]
)
def kind(request) -> str:
    return request.param


@pytest.fixture
def submission(tmp_path) -> Path:
    folder = tmp_path / "models" / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "main.py").write_text(textwrap.dedent(MODEL))
    (folder / "weights.json").write_text("[1]")
    (folder / "data" / "table.csv").write_text("1,2")
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def exists(path: str) -> bool:
    return Path(path).exists()


async def answers(kind, submission, *questions):
    """One model, asked one after another."""
    policy = Policy(timeout=30, max_consecutive_failures=0)
    async with ModelRunner(TrackerBase, [submission], host=HOSTS[kind](), policy=policy) as runner:
        rounds = [await runner.predict(*question) for question in questions]
    [model_id] = runner.models
    return [played[model_id] for played in rounds]


async def test_relative_paths_lead_to_a_submissions_files_from_its_import_on(kind, submission, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    [reads, where] = await answers(kind, submission, ("reads",), ("where",))
    assert reads.value == [[1], [1], "1,2", "1,2"], reads
    [loaded, called] = where.value
    assert loaded == called
    assert Path.cwd() == tmp_path


async def test_what_a_model_writes_is_gone_with_it_and_never_in_its_submission(kind, submission, monkeypatch, tmp_path):
    before = content_of(submission)
    [written, where] = await answers(kind, submission, ("writes",), ("where",))
    assert {"cache.json", "catboost_info", "data", "db.sqlite", "weights.json", "x.log"} <= set(written.value), written
    assert content_of(submission) == before
    assert not exists(where.value[0])
    [again] = await answers(kind, submission, ("where",))
    assert again.deployment_id == written.deployment_id


async def test_each_instance_begins_with_the_submissions_files(kind, submission):
    begun, again = [], anyio.Event()

    async def look(model, runner):
        begun.append([(await runner.predict(what))[model.id].value for what in ("names", "reads")])
        if len(begun) == 2:
            again.set()

    playing = ModelRunner(TrackerBase, [submission], host=HOSTS[kind](), policy=Policy(timeout=30))
    playing.on_join(look)
    async with playing as runner:
        await runner.predict("writes")
        await runner.stop("model", "enough")
        await runner.readmit("model")
        with anyio.fail_after(30):
            await again.wait()
    assert begun == [[["data", "main.py", "weights.json"], [[1], [1], "1,2", "1,2"]]] * 2


async def test_a_large_file_can_be_read_and_its_original_not_be_written(kind, submission):
    with (submission / "large.bin").open("wb") as file:
        file.write(b"L")
        file.truncate((16 << 20) + 1)
    [read, overwritten] = await answers(kind, submission, ("first_byte_of", "large.bin"), ("overwrites", "large.bin"))
    assert read.value == "L", read
    assert (overwritten.error is None) == (kind != "sandbox")
    assert (submission / "large.bin").read_bytes()[:4] == b"L\0\0\0"


async def test_links_lead_to_the_copy_and_none_of_them_shows_what_a_model_may_not_read(kind, submission, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("K")
    (submission / "latest.json").symlink_to("weights.json")
    (submission / "absolute.json").symlink_to(submission / "weights.json")
    (submission / "data" / "up.json").symlink_to("../weights.json")
    (submission / "key").symlink_to(secret / "key")
    (submission / "outside").symlink_to(secret)
    (submission / "broken").symlink_to("nowhere")
    names = ("latest.json", "absolute.json", "data/up.json")
    *shown, key, beneath = await answers(
        kind, submission, *(("first_byte_of", name) for name in (*names, "key", "outside/key"))
    )
    assert [each.value for each in shown] == ["["] * 3
    assert [key.value, beneath.value] == ([None, None] if kind == "sandbox" else ["K", "K"])
    await answers(kind, submission, *(("overwrites", name) for name in names))
    assert (submission / "weights.json").read_text() == "[1]"


@pytest.mark.processes
async def test_folders_that_a_model_may_not_read_keep_it_from_nothing_else(submission):
    for name, mode in (("shut", 0), ("listed", 0o400), ("entered", 0o100)):
        (submission / name).mkdir()
        (submission / name / "file").touch()
        (submission / name).chmod(mode)
    questions = [("names",), ("names", "shut"), ("first_byte_of", "listed/file"), ("first_byte_of", "entered/file")]
    names, *refused, entered = await answers("sandbox", submission, *questions)
    assert names.value == ["data", "entered", "listed", "main.py", "shut", "weights.json"], names
    assert [each.error.kind for each in refused] == ["PermissionError", "PermissionError"]
    assert entered.value == ""


@pytest.mark.processes
async def test_a_link_that_leads_out_of_the_submission_is_told_with_where_it_leads(submission, tmp_path):
    (tmp_path / "elsewhere.csv").write_text("1")
    (submission / "prices.csv").symlink_to("../../elsewhere.csv")
    [where, refused] = await answers("sandbox", submission, ("where",), ("first_byte_of", "prices.csv"))
    assert refused.error.message == (
        "PermissionError: [Errno 13] Permission denied: 'prices.csv' (the sandbox lets a model read only its "
        f"submission, and write only in {where.value[0]}, where relative paths lead; this is prices.csv, which leads "
        f"to {tmp_path}/elsewhere.csv)"
    )

    (tmp_path / "model.py").write_text(textwrap.dedent(MODEL))
    (submission / "main.py").unlink()
    (submission / "main.py").symlink_to(tmp_path / "model.py")
    [skipped] = await answers("sandbox", submission, ("where",))
    assert f"this is {submission}/main.py, which leads to {tmp_path}/model.py)" in skipped.error.message


async def test_tools_folders_and_special_files_stay_away(kind, submission):
    for folder in (".git", "__pycache__", "env", "data/.cache"):
        (submission / folder).mkdir()
        (submission / folder / "file").touch()
    (submission / "env" / "pyvenv.cfg").touch()
    (submission / ".env").touch()
    os.mkfifo(submission / "pipe")
    [top, data] = await answers(kind, submission, ("names",), ("names", "data"))
    assert top.value == [".env", "data", "main.py", "weights.json"], top
    assert data.value == ["table.csv"]


async def test_a_file_finds_none_of_its_neighbours(kind, submission):
    alone = submission.parent / "alone.py"
    alone.write_text(ALONE)
    [names] = await answers(kind, alone, ("names",))
    assert names.value == []


def many(folder: Path, number: int) -> Path:
    folder.mkdir(exist_ok=True)
    for each in range(number):
        (folder / f"{each}").touch()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("linked", [True, False])
def test_a_submission_of_too_many_files_is_told_so(linked, tmp_path):
    with pytest.raises(LoadError, match=r"^the submission has more than 10,000 files, and each model works in a copy"):
        fill(str(many(tmp_path / "home", 0)), str(many(tmp_path / "model", 10_001)), linked=linked)


@pytest.mark.slow
def test_a_sub_folder_of_too_many_files_is_a_link_where_the_submission_is_protected(tmp_path):
    model, home = many(tmp_path / "model", 3), many(tmp_path / "home", 0)
    many(model / "data", 10_000)
    fill(str(home), str(model), linked=True)
    assert sorted(each.name for each in home.iterdir()) == ["0", "1", "2", "data"]
    assert (home / "data").readlink() == model / "data"
    assert not (home / "0").is_symlink()


def test_files_beyond_what_all_may_have_are_links_where_the_submission_is_protected(tmp_path):
    model, home, whole = (many(tmp_path / name, 0) for name in ("model", "home", "whole"))
    for number in range(5):
        with (model / f"{number}").open("wb") as file:
            file.truncate(16 << 20)
    fill(str(home), str(model), linked=True)
    assert [each.is_symlink() for each in home.iterdir()].count(True) == 1
    fill(str(whole), str(model), linked=False)
    assert [each.is_symlink() for each in whole.iterdir()].count(True) == 0
    assert {each.stat().st_size for each in [*home.iterdir(), *whole.iterdir()]} == {16 << 20}


def test_a_file_that_may_only_be_read_or_be_run_is_copied_as_one_that_may_be_written(tmp_path):
    model, home = many(tmp_path / "model", 2), many(tmp_path / "home", 0)
    (model / "0").chmod(0o444)
    (model / "1").chmod(0o755)
    fill(str(home), str(model), linked=True)
    assert [(home / name).stat().st_mode & 0o700 for name in ("0", "1")] == [0o600, 0o700]
