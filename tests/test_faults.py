"""An exception of a participant's code is told with its own frames, and telling it never raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.contract import Contract
from crunch_game.faults import fault_of, own_frames, said
from crunch_game.hosts.calling import Callee
from crunch_game.hosts.wire import decode, encode
from crunch_game.importing import import_code


class Game:
    def predict(self): ...


def raised(action, *args) -> BaseException:
    try:
        action(*args)
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    pytest.fail("it raised nothing")


def module_of(tmp_path, text):
    (tmp_path / "main.py").write_text(text)
    return import_code(tmp_path).modules[0]


def test_a_fault_has_the_type_the_text_and_the_frames(tmp_path):
    module = module_of(tmp_path, "def fail():\n    return {}['BTC']\n")

    fault = fault_of(raised(module.fail))

    assert (fault.kind, fault.message) == ("KeyError", "KeyError: 'BTC'")
    assert f"File \"{tmp_path}/main.py\", line 2, in fail\n    return {{}}['BTC']" in fault.traceback
    assert fault.traceback.endswith("KeyError: 'BTC'")


def test_the_message_may_be_given():
    assert fault_of(ValueError("x"), "the factory failed").message == "the factory failed"


def test_our_own_frames_are_left_out(tmp_path):
    module = module_of(
        tmp_path,
        "import crunch_game\nclass Model(crunch_game.TrackerBase):\n    def predict(self):\n        return 1 / 0\n",
    )
    error = raised(Callee(module.Model(), Contract(Game)).call, "predict", [], {})

    text = own_frames(error)

    assert "calling.py" not in text
    assert text.count('File "') == 2  # this test's, and the participant's
    assert text.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_frames_of_the_import_machinery_are_left_out(tmp_path):
    (tmp_path / "helper.py").write_text("1 / 0\n")
    (tmp_path / "main.py").write_text("import helper\n")

    text = own_frames(raised(import_code, tmp_path).__cause__)

    assert "importlib" not in text
    assert [line.strip() for line in text.splitlines() if "File" in line] == [
        f'File "{tmp_path}/main.py", line 1, in <module>',
        f'File "{tmp_path}/helper.py", line 1, in <module>',
    ]


def test_an_exception_without_frames_of_its_own_has_none():
    assert own_frames(ValueError("never raised")) is None


def test_a_syntax_error_shows_the_line(tmp_path):
    (tmp_path / "main.py").write_text("x = 1\ndef broken(:\n")

    text = own_frames(raised(import_code, tmp_path).__cause__)

    assert f'File "{tmp_path}/main.py", line 2' in text
    assert "def broken(:" in text
    assert text.rstrip().endswith("SyntaxError: invalid syntax")


def test_an_exception_without_text_is_its_type():
    assert said(NotImplementedError()) == "NotImplementedError"


@pytest.mark.parametrize("second", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_an_exception_that_cannot_be_shown_is_told_all_the_same(second):
    class Evil(Exception):
        def __str__(self):
            raise second

    assert said(Evil()) == f"Evil: (its __str__ raised {second.__name__})"
    assert fault_of(Evil()).kind == "Evil"


def test_a_text_that_is_no_text_is_told_too():
    class Odd(Exception):
        def __str__(self):
            return 3

    assert said(Odd()) == "Odd: (its __str__ raised TypeError)"


def test_a_long_text_loses_its_middle():
    text = said(ValueError("a" * 10_000 + "z" * 10_000))

    assert text == f"ValueError: {'a' * 4000}\n[...]\n{'z' * 4000}"


@given(st.text(st.characters(), max_size=30))
def test_whatever_was_said_can_be_sent(text):
    message = said(ValueError(text))

    assert decode(encode(message)) == message


def test_a_lone_surrogate_is_shown_escaped():
    assert said(ValueError("\ud800")) == "ValueError: \\ud800"


def test_a_recursion_error_is_short_enough_to_read(tmp_path):
    module = module_of(tmp_path, "def deep():\n    deep()\n")

    fault = fault_of(raised(module.deep))

    assert fault.kind == "RecursionError"
    assert len(fault.traceback) < 9_000
    assert "[Previous line repeated" in fault.traceback
