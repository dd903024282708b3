"""Every example in the README and the docs is run as a reader would: files written, code run, commands typed."""

import ast
import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from crunch_game import Policy

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACES = (ROOT, ROOT / "crunch_game", ROOT / "tests")
BLOCK = re.compile(r"^```(python|console)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.processes
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    if page.name not in ("architecture.md",):
        assert blocks
    for language, title, body in blocks:
        if title:
            (tmp_path / title).write_text(body)
            if "__main__" in body:
                run([sys.executable, title], tmp_path)
        elif language == "python":
            (tmp_path / "page.py").write_text(body)  # a reader copies one block, not the page
            run([sys.executable, "page.py"], tmp_path)
        else:
            for line in body.splitlines():
                assert line.startswith("$ "), line
                run(shlex.split(line[2:]), tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.processes
def test_the_page_for_participants_shows_what_check_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    [model] = [body for _, title, body in BLOCK.findall(page) if title == "my_model.py"]
    [said] = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "my_model.py").write_text(model.replace("scale=0.018", "scale=-0.02"))
    command = [Path(sys.executable).parent / "crunch-game", "check", "my_model.py", "--game", "daily_density.game:game"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)

    marks = re.compile(r"^ *[~^]+\n", re.MULTILINE)  # they differ between versions of Python
    assert marks.sub("", done.stdout.replace(f"{tmp_path}/", "")) == marks.sub("", said)


def as_anywhere(shown: str) -> str:
    """What a command shows, but for what differs from run to run: when it was, how long a call took, white space."""
    shown = re.sub(r"\b202\d-\d\d-\d\d \d\d:\d\d(:\d\d)?", "NOW", shown)
    shown = re.sub(r"(?m)^(2000-\S+ \S+ .*?)(ok|raised) +\d+\.\d\b", r"\1\2", shown)
    return "\n".join(" ".join(line.split()) for line in shown.splitlines() if line.strip())


@pytest.mark.processes
def test_the_page_about_operations_shows_what_the_commands_say(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    program = str(Path(sys.executable).parent / "crunch-game")
    run([program, "demo", "--max-ticks", "30", "--store", "sqlite:///demo.db"], tmp_path)

    def said(command: str) -> str:
        arguments = [program, *command.split()[1:]]
        environment = {**os.environ, "COLUMNS": "80"}
        return subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=True
        ).stdout

    shown = re.findall(r"^```text\n\$ (.*?)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [command.split()[1] for command, _ in shown] == ["models", "model", "prune"]
    for command, text in shown:
        assert as_anywhere(said(command)) == as_anywhere(text)
    [fault] = re.findall(r"^```text\n(2000.*?)^```$", page, re.MULTILINE | re.DOTALL)
    week = re.sub(r'"[^"]*daily_density/models', '"daily_density/models', said(f"{shown[1][0]}".replace("2d", "7d")))
    assert as_anywhere(fault) in as_anywhere(week)


def test_the_page_about_runners_has_every_field_of_the_policy() -> None:
    page = (ROOT / "docs" / "runner.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", page, re.MULTILINE)
    told = {name: ast.literal_eval(default) for name, default in rows}
    assert told == {field.name: getattr(Policy(), field.name) for field in fields(Policy)}


def test_every_file_that_a_page_names_exists() -> None:
    named = {(page, name) for page in PAGES for name in re.findall(r"`([\w./]+/\w+\.py)`", page.read_text("utf-8"))}
    missing = {f"{page.name}: {name}" for page, name in named if not any((at / name).exists() for at in PLACES)}
    assert missing == set()


def test_every_private_name_on_the_architecture_page_exists() -> None:
    files = list((ROOT / "crunch_game").rglob("*.py"))
    known = {file.stem for file in files} | {
        name for file in files for name in re.findall(r"def (_\w+)", file.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`(_[a-z]\w*)`", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")))
    assert named - known == set()


ROUTES = {
    "From a submission's folder to a ready model": 12,
    "From a call to a stored prediction": 12,
    "From a stored prediction to a row of the leaderboard": 8,
}
"""The headings of the architecture page under which a way through the house is told, and the most stops it may have.

A stop is an item of a numbered list that begins with a file: "3. `crunch_game/runner.py` asks every model at once".
"""


def stops(page: str, heading: str) -> list[str]:
    """The files of the numbered list under a heading, in order; an item without one is "" """
    section = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None, f"no heading {heading!r}"
    items = re.findall(r"^\d+\. (.*)$", section[1], re.MULTILINE)
    return [found[1] if (found := re.match(r"`([\w./]+)`", item)) else "" for item in items]


def test_the_stops_of_a_way_are_read_in_order() -> None:
    page = "## A way\n\nSo:\n1. `a/b.py` begins\n2. somewhere\n## Another\n1. `c.py`\n"
    assert stops(page, "A way") == ["a/b.py", ""]


def test_the_architecture_leads_through_the_house_in_few_stops() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for heading, most in ROUTES.items():
        files = stops(page, heading)
        assert 0 < len(files) <= most, heading
        assert [file for file in files if not any((at / file).is_file() for at in PLACES)] == [], heading


def test_the_architecture_names_every_room() -> None:
    told = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.stem for path in (ROOT / "crunch_game").iterdir() if path.suffix == ".py" or path.is_dir()}
    for room in rooms - {"__init__", "__pycache__", "py"}:
        assert f"`{room}`" in told or f"`{room}/`" in told or f"`{room}`, `" in told, room
