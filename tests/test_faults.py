"""An exception of a participant's code is told with its own frames, and telling it never raises."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import crunch_game
from crunch_game._importing import import_code
from crunch_game.contract import Contract
from crunch_game.encoding import decode, encode
from crunch_game.errors import ContractError
from crunch_game.faults import describe_exception, fault_of, is_foreign, own_frames
from crunch_game.hosts import Callee


class Game:
    def predict(self): ...


def raised(action, *args) -> BaseException:
    try:
        action(*args)
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    pytest.fail("it raised nothing")


def module_of(tmp_path, text):
    (tmp_path / "main.py").write_text(textwrap.dedent(text))
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


@pytest.mark.parametrize("statement", ["import helper", "from .helper import x", "from . import helper"])
def test_frames_of_the_import_machinery_are_left_out(tmp_path, statement):
    (tmp_path / "helper.py").write_text("1 / 0\n")
    (tmp_path / "main.py").write_text(f"{statement}\n")

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


def test_a_call_that_unpickles_what_the_script_defined_says_how_to_save_it(tmp_path):
    module = module_of(tmp_path, "import pickle\ndef load(): return pickle.loads(b'c__main__\\nScaler\\n.')")

    assert fault_of(raised(module.load)).message.endswith(
        "; it was pickled by a script that defined Scaler itself: import Scaler in main.py, or define it in a module "
        "of its own, which the script imports too, and pickle again"
    )


def test_an_exception_without_text_is_its_type():
    assert describe_exception(NotImplementedError()) == "NotImplementedError"


@pytest.mark.parametrize("second", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_an_exception_that_cannot_be_shown_is_told_all_the_same(second):
    class Evil(Exception):
        def __str__(self):
            raise second

    assert describe_exception(Evil()) == f"Evil: (its __str__ raised {second.__name__})"
    assert fault_of(Evil()).kind == "Evil"


def test_a_text_that_is_no_text_is_told_too():
    class Odd(Exception):
        def __str__(self):
            return 3

    assert describe_exception(Odd()) == "Odd: (its __str__ raised TypeError)"


def test_a_long_text_loses_its_middle():
    text = describe_exception(ValueError("a" * 10_000 + "z" * 10_000))

    assert text == f"ValueError: {'a' * 4000}\n[...]\n{'z' * 4000}"


@given(st.text(st.characters(), max_size=30))
def test_whatever_was_said_can_be_sent(text):
    message = describe_exception(ValueError(text))

    assert decode(encode(message)) == message


def test_a_lone_surrogate_is_shown_escaped():
    assert describe_exception(ValueError("\ud800")) == "ValueError: \\ud800"


def test_a_recursion_error_is_short_enough_to_read(tmp_path):
    module = module_of(tmp_path, "def deep():\n    deep()\n")

    fault = fault_of(raised(module.deep))

    assert fault.kind == "RecursionError"
    assert len(fault.traceback) < 9_000
    assert "[Previous line repeated" in fault.traceback


def test_mutual_recursion_is_short_enough_to_read_too(tmp_path):
    module = module_of(tmp_path, "def deep():\n    down()\ndef down():\n    deep()\n")

    lines = own_frames(raised(module.deep)).splitlines()

    assert len(lines) < 100
    assert any(line.startswith("  [9") and line.endswith(" frames more]") for line in lines)
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("RecursionError: ")


def test_a_hundred_thousand_frames_are_told_as_quickly_as_few(tmp_path):
    module = module_of(tmp_path, "def deep(n):\n    deep(n - 1) if n else 1 / 0\n")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        text = own_frames(raised(module.deep, 100_000))
    finally:
        sys.setrecursionlimit(limit)

    assert "  [99972 frames more]" in text


def test_what_an_exception_was_raised_from_is_told_first(tmp_path):
    module = module_of(
        tmp_path,
        """
        def get():
            return {}["BTC"]
        def explicit():
            try:
                get()
            except KeyError as error:
                raise ValueError("no price") from error
        def meanwhile():
            try:
                get()
            except KeyError:
                return 1 / 0
        def suppressed():
            try:
                get()
            except KeyError:
                raise ValueError("no price") from None
        """,
    )

    explicit = own_frames(raised(module.explicit))
    assert explicit.index("in get") < explicit.index("KeyError: 'BTC'") < explicit.index("was the direct cause of")
    assert explicit.endswith("ValueError: no price")
    assert "During handling of the above exception" in own_frames(raised(module.meanwhile))
    assert "KeyError: 'BTC'" in own_frames(raised(module.meanwhile))
    assert "KeyError: 'BTC'" not in own_frames(raised(module.suppressed))


def test_what_happened_in_our_own_code_meanwhile_is_not_told():
    error = raised(Contract(Game).method, "measure")
    try:
        try:
            raise error
        except ContractError:
            raise ValueError("theirs")  # noqa: B904 - that is the point
    except ValueError as theirs:
        theirs.__context__ = error.with_traceback(error.__traceback__.tb_next.tb_next)
        text = own_frames(theirs)

    assert "During handling" not in text
    assert text.endswith("ValueError: theirs")


def test_causes_in_a_circle_end():
    first, second = raised(lambda: 1 / 0), raised(lambda: {}["x"])
    first.__cause__, second.__cause__ = second, first

    assert own_frames(first).count("ZeroDivisionError") == 1


def test_the_members_of_a_group_are_told(tmp_path):
    module = module_of(
        tmp_path,
        """
        def one():
            raise ValueError("first")
        def two():
            raise KeyError("second")
        def both():
            errors = []
            for function in (one, two):
                try:
                    function()
                except Exception as error:
                    errors.append(error)
            raise ExceptionGroup("both failed", errors)
        """,
    )

    fault = fault_of(raised(module.both))

    assert fault.message == "ExceptionGroup: both failed (2 sub-exceptions)"
    assert "  1 of 2:\n    Traceback (most recent call last):\n" in fault.traceback
    assert "in one" in fault.traceback
    assert "    ValueError: first\n  2 of 2:\n" in fault.traceback
    assert fault.traceback.endswith("    KeyError: 'second'")


def test_a_note_is_told():
    error = raised(lambda: 1 / 0)
    error.add_note("in the third week")

    assert own_frames(error).endswith("ZeroDivisionError: division by zero\nin the third week")


def test_a_syntax_error_in_what_is_imported_shows_its_line_too(tmp_path):
    (tmp_path / "helper.py").write_text("def broken(:\n")
    (tmp_path / "main.py").write_text("import helper\n")

    text = own_frames(raised(import_code, tmp_path).__cause__)

    assert f'File "{tmp_path}/main.py", line 1, in <module>' in text
    assert f'File "{tmp_path}/helper.py", line 1\n    def broken(:\n' in text


def test_a_class_that_lies_about_everything_is_told_all_the_same(tmp_path):
    module = module_of(
        tmp_path,
        """
        def lie(*args, **kwargs):
            raise SystemExit("a lie")
        class Text(str):
            __format__ = __len__ = __bool__ = __add__ = encode = replace = lie
        class Meta(type):
            __name__ = property(lie)
        class Liar(BaseException, metaclass=Meta):
            __cause__ = __context__ = __traceback__ = __notes__ = __suppress_context__ = __class__ = property(lie)
            __repr__ = __getattr__ = lie
            def __str__(self):
                return Text("the truth")
        def fail():
            raise Liar
        """,
    )

    fault = fault_of(raised(module.fail))

    assert (fault.kind, fault.message) == ("Liar", "Liar: the truth")
    assert "in fail\n    raise Liar\n" in fault.traceback


@pytest.mark.parametrize(("value", "text"), [("text", "SystemExit: text"), (3, "SystemExit: 3"), (None, "SystemExit")])
def test_leaving_is_told_with_what_was_said(value, text):
    assert describe_exception(raised(sys.exit, value)) == text


def test_control_characters_are_escaped():
    assert describe_exception(ValueError("a\u202eb\u2066c\x9b")) == "ValueError: a\\u202eb\\u2066c\\x9b"
    assert describe_exception(ValueError("a\x00b\x1b[31m\r\nc\td")) == "ValueError: a\\x00b\\x1b[31m\nc\td"


def test_whose_frames_they_are():
    package = Path(crunch_game.__file__).parent

    assert is_foreign(f"{package}/hosts/worker.py")
    assert is_foreign("<frozen importlib._bootstrap>")
    assert not is_foreign(f"{package}_models/alice.py")
    assert not is_foreign(f"{package}/examples/daily_density/models/moody.py")
