"""What keeps whoever plays a participant's code again alive, and shows where that code was."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from crunch_game.capsules._limits import ExitCalled, TimeUp, exits_are_errors, last_return, limited


def test_what_takes_too_long_is_interrupted_also_when_it_catches_the_first_interruption():
    def stubborn() -> None:
        try:
            time.sleep(60)
        except TimeUp:
            time.sleep(60)

    with pytest.raises(TimeUp) as caught, limited(0.05):
        stubborn()
    assert isinstance(caught.value.__context__, TimeUp)


def test_what_is_done_in_time_leaves_the_alarm_of_others_as_it_was():
    rang = []
    kept = signal.signal(signal.SIGALRM, lambda *_: rang.append(time.monotonic()))
    before, interval = signal.setitimer(signal.ITIMER_REAL, 30.0, 5.0)
    try:
        with limited(10.0):
            pass
        left, again = signal.getitimer(signal.ITIMER_REAL)
    finally:
        signal.setitimer(signal.ITIMER_REAL, before, interval)
        signal.signal(signal.SIGALRM, kept)

    assert 20.0 < left <= 30.0
    assert again == 5.0
    assert rang == []


def test_on_other_threads_nothing_is_limited():
    done = []

    def work() -> None:
        with limited(0.01):
            time.sleep(0.05)
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_an_exit_is_an_error_for_as_long_as_is_wanted():
    leave = os._exit
    with pytest.raises(ExitCalled) as caught, exits_are_errors():
        os._exit(3)

    assert str(caught.value) == "3"
    assert os._exit is leave


class Inner:
    def predict(self):
        return "inner"


class Outer(Inner):
    def predict(self):
        answer = super().predict()
        return answer + "!"


def test_the_last_return_of_a_method_is_that_of_the_outermost():
    with last_return("predict", lambda file: False) as returned:
        Outer().predict()
        len("other functions are not looked at")

    [place] = returned
    assert place.tb_frame.f_locals["answer"] == "inner"
    assert place.tb_lineno == Outer.predict.__code__.co_firstlineno + 2
    assert sys.getprofile() is None


def test_what_is_foreign_returned_nowhere():
    with last_return("predict", lambda file: file == __file__) as returned:
        Outer().predict()

    assert returned == []
