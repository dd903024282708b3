"""What is left on stderr is read for people: a few last lines, and the frames of real dumps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import crunch_game
from crunch_game.encoding import decode, encode
from crunch_game.hosts.process.diagnosis import dump_in, fatal_error_in, last_lines
from crunch_game.hosts.process.diagnosis._stderr import FatalError


def left_by(tmp_path: Path, text: str, name: str = "model.py") -> bytes:
    """What a program leaves on its stderr."""
    (tmp_path / name).write_text(text)
    return subprocess.run([sys.executable, str(tmp_path / name)], stderr=subprocess.PIPE, check=False).stderr


CRASHES = """
import ctypes, faulthandler, sys
faulthandler.enable()
def outer():
    inner()
def inner():
    ctypes.string_at(0)
print("last words", file=sys.stderr)
outer()
"""


@pytest.mark.processes
def test_a_crash_tells_its_frames_the_innermost_last(tmp_path):
    dump = dump_in(left_by(tmp_path, CRASHES), fatal=True)

    assert dump.headline == "Segmentation fault"
    assert not dump.cut
    first, *frames = dump.frames.splitlines()
    assert first == "Traceback (most recent call last):"
    place = f'  File "{tmp_path}/model.py"'
    assert frames[:3] == [f"{place}, line 9, in <module>", f"{place}, line 5, in outer", f"{place}, line 7, in inner"]


@pytest.mark.processes
def test_the_lines_before_a_crash_are_its_last_words(tmp_path):
    assert last_lines(left_by(tmp_path, CRASHES)) == "last words\nFatal Python error: Segmentation fault"


def test_the_names_of_extension_modules_are_no_last_words():
    raw = b"words\nFatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n  <no Python frame>\n"
    assert last_lines(raw + b"\nExtension modules: numpy._core (total: 1)\n") == "words\nFatal Python error: Aborted"
    assert dump_in(raw, fatal=True).frames is None


@pytest.mark.processes
def test_recursion_without_end_is_short_and_said_to_be_cut(tmp_path):
    deep = "import sys\nsys.setrecursionlimit(10**8)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())\n"
    dump = dump_in(left_by(tmp_path, f"import faulthandler\nfaulthandler.enable()\n{deep}"), fatal=True)

    assert dump.cut
    assert dump.frames.count("in __repr__") == 20
    assert "\n  [80 frames more]\n" in dump.frames


def test_frames_of_ours_and_before_are_left_out():
    ours = Path(crunch_game.__file__).parent
    raw = (
        "Current thread 0x00007f (most recent call first):\n"
        '  File "/lib/json.py", line 9 in dumps\n'
        '  File "/game/model.py", line 3 in predict\n'
        f'  File "{ours}/hosts/worker.py", line 5 in serve\n'
        '  File "<frozen importlib._bootstrap>", line 1 in _load\n'
        '  File "<string>", line 1 in <module>\n'
        "not a frame\n"
        '  File "/other.py", line 1 in f\n'
    ).encode()

    assert dump_in(raw).frames.splitlines()[1:] == [
        '  File "/game/model.py", line 3, in predict',
        '  File "/lib/json.py", line 9, in dumps',
    ]


def test_a_process_that_was_in_our_code_only_has_no_frames_of_its_own():
    ours = Path(crunch_game.__file__).parent
    raw = f'Current thread 0x1 (most recent call first):\n  File "{ours}/hosts/worker.py", line 5 in serve\n'

    assert dump_in(raw.encode()).frames is None


def test_without_a_dump_there_is_none():
    assert dump_in(b"Fatal Python error: Aborted\n") is None
    assert dump_in(b'Current thread 0x1 (most recent call first):\n  File "a", line 1 in b\n', fatal=True) is None
    assert dump_in(b"") is None


@pytest.mark.processes
def test_names_that_are_not_ascii_are_what_they_were(tmp_path):
    crash = "import ctypes, faulthandler\nfaulthandler.enable()\ndef größe():\n    ctypes.string_at(0)\ngröße()\n"
    dump = dump_in(left_by(tmp_path, crash, "modèle_🎲.py"), fatal=True)

    assert f'  File "{tmp_path}/modèle_🎲.py", line 4, in größe' in dump.frames


def test_only_the_last_ten_lines_are_told():
    assert last_lines(b"".join(b"%d\n" % number for number in range(100))) == "\n".join(map(str, range(90, 100)))


def test_of_a_progress_bar_the_last_state_is_told():
    assert last_lines(b"\r10%\r20%\rdone 100%\nready\r\n") == "done 100%\nready"


def test_what_is_no_text_is_told_escaped():
    assert last_lines(b"\xff\x00\x1b[31mred\n") == "�\\x00\\x1b[31mred"


def test_a_line_without_end_is_cut():
    assert last_lines(b"x" * 30_000) == f"[...]{'x' * 4096}"


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"[crunch_game] predict has taken 0.9 s of its 1 s and is here:\n"])
def test_nothing_is_none(raw):
    assert last_lines(raw) is None


FAREWELL = """import os
from crunch_game.hosts.process.child._output import report_fatal_error
print('words', file=os.sys.stderr)
"""


@pytest.mark.processes
def test_why_a_process_ended_by_itself_is_told_apart_from_its_last_words(tmp_path):
    raised = "def ring():\n    raise TimeoutError('too\\n\\nlate')\n"
    raw = left_by(
        tmp_path, f"{FAREWELL}{raised}try:\n    ring()\nfinally:\n    report_fatal_error()\n    os._exit(70)\n"
    )

    assert last_lines(raw) == "words"
    told = fatal_error_in(raw)
    assert told.reason == "TimeoutError: too late"
    place = f'  File "{tmp_path}/model.py", line'
    assert [line for line in told.frames.splitlines() if line.startswith("  File")] == [
        f"{place} 7, in <module>",
        f"{place} 5, in ring",
    ]
    assert told.frames.endswith("\nTimeoutError: too\n\nlate")


def test_without_frames_of_its_own_the_reason_is_told_alone():
    raw = b"words\n[crunch_game] the model's process ends: OSError: [Errno 24] Too many open files\nmore"
    assert fatal_error_in(raw) == FatalError("OSError: [Errno 24] Too many open files", None)
    assert fatal_error_in(b"words\n[crunch_game] 5 bytes before this line were dropped\n") is None


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="surrogatepass")))
@example(b'Current thread x (most recent call first):\n  File "\\Uffffffff", line 1 in \\ud800\n')
def test_whatever_was_left_can_be_read_and_sent(raw):
    dump = dump_in(raw)
    fatal_error = fatal_error_in(b"[crunch_game] the model's process ends: " + raw)
    for text in (last_lines(raw), dump and dump.frames, fatal_error.reason, fatal_error.frames):
        assert decode(encode(text)) == text
        assert text is None or text.replace("\n", "").isprintable() or "\t" in text or not text.isascii()
