"""Tracebacks of faults, as people see them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from crunch_game.cli._debugging import relative, show
from crunch_game.faults import fault_of


def shown(traceback: str, root) -> str:
    """What is printed, without frames and line breaks."""
    console = Console(file=io.StringIO(), width=200)
    show(traceback, root, console)
    return " ".join(word for word in console.file.getvalue().replace("│", " ").split() if set(word) - set("─╭╮╰╯"))


@pytest.fixture
def fail(tmp_path):
    """What a participant's code raises, as a fault's traceback."""

    def run(source: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(source)
        try:
            exec(compile(source, str(path), "exec"), {})
        except BaseException as error:  # noqa: BLE001
            return fault_of(error.with_traceback(error.__traceback__.tb_next)).traceback
        return pytest.fail("it raised nothing")

    return run


def test_files_are_named_from_the_root_and_others_as_they_are(fail, tmp_path):
    traceback = fail("1 / 0")

    assert relative(traceback, tmp_path).splitlines()[1] == '  File "mine.py", line 1, in <module>'
    assert relative(traceback, tmp_path / "elsewhere") == traceback


def test_the_lines_around_are_shown(fail, tmp_path):
    text = shown(fail("before = 1\nbefore / 0\nafter = 2"), tmp_path)

    assert "mine.py:2 in <module> 1 before = 1 ❱ 2 before / 0 3 after = 2" in text
    assert text.endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("last", "link"),
    [
        ("raise ValueError('b') from error", "The above exception was the direct cause of the following exception:"),
        ("raise ValueError('b')", "During handling of the above exception, another exception occurred:"),
    ],
)
def test_a_chain_is_shown_in_its_order_with_what_links_it(fail, tmp_path, last, link):
    text = shown(fail(f"try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    {last}"), tmp_path)

    first, second = text.split(link)
    assert first.strip().endswith("ZeroDivisionError: division by zero")
    assert second.endswith("ValueError: b")


def test_frames_that_were_only_looked_at_say_when(tmp_path):
    (tmp_path / "mine.py").write_text("while True: pass\n")
    text = shown(
        f'Traceback (most recent call last):\n  File "{tmp_path}/mine.py", line 1, in predict\n(here after 0.9 s)',
        tmp_path,
    )

    assert "❱ 1 while True: pass" in text
    assert text.endswith("(here after 0.9 s)")
