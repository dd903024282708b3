"""Every status has its kind and its error; a round is a mapping of outcomes."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

import crunch_game
from crunch_game import errors
from crunch_game.outcomes import Fault, Outcome, Round, Status

KINDS = {
    Status.OK: "success",
    Status.INVALID: "failure",
    Status.RAISED: "failure",
    Status.DIED: "failure",
    Status.TIMEOUT: "timeout",
    Status.UNREACHABLE: "none",
    Status.UNSUPPORTED: "none",
    Status.SKIPPED: "none",
}

ERRORS = {
    Status.INVALID: errors.InvalidAnswer,
    Status.RAISED: errors.ModelRaised,
    Status.DIED: errors.ModelDied,
    Status.TIMEOUT: errors.ModelTimeout,
    Status.UNREACHABLE: errors.ModelUnavailable,
    Status.UNSUPPORTED: errors.ModelUnavailable,
    Status.SKIPPED: errors.ModelUnavailable,
}


def outcome(model_id: str = "alice", status: Status = Status.OK, error: Fault | None = None) -> Outcome:
    return Outcome(model_id, "1", "predict", status, None, error, 0.1, 1.0)


@pytest.mark.parametrize("status", Status)
def test_every_status_counts_as_something(status):
    assert status.kind == KINDS[status]


def test_a_success_raises_nothing():
    outcome().raise_for_status()


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_every_other_status_raises_its_error(status):
    fault = Fault("ValueError", "ValueError: no data", traceback="Traceback: main.py, line 3")

    with pytest.raises(errors.ModelError) as caught:
        outcome(status=status, error=fault).raise_for_status()

    error = caught.value
    assert type(error) is ERRORS[status]
    assert str(error) == "alice: predict: ValueError: no data"
    assert (error.model_id, error.method, error.traceback) == ("alice", "predict", "Traceback: main.py, line 3")


def test_without_a_fault_the_status_is_the_message():
    with pytest.raises(errors.ModelDied, match=r"^alice: predict: died$"):
        outcome(status=Status.DIED).raise_for_status()


def test_a_fault_reads_as_its_message():
    assert str(Fault("timeout", "no answer within 1 s")) == "no answer within 1 s"


def test_outcomes_and_faults_cannot_be_changed():
    with pytest.raises(AttributeError):
        outcome().status = Status.DIED
    with pytest.raises(AttributeError):
        Fault("timeout", "late").message = "early"


def test_an_outcome_is_a_record_to_dataclasses_too():
    told = outcome("alice", Status.TIMEOUT, Fault("timeout", "late"))

    assert dataclasses.replace(told, model_id="bob") == outcome("bob", Status.TIMEOUT, Fault("timeout", "late"))
    assert dataclasses.asdict(told) == {
        "model_id": "alice",
        "deployment_id": "1",
        "method": "predict",
        "status": Status.TIMEOUT,
        "value": None,
        "error": dataclasses.asdict(Fault("timeout", "late")),
        "elapsed": 0.1,
        "budget": 1.0,
        "excused": False,
    }


def test_a_round_is_a_mapping_of_all_outcomes_and_knows_the_successful_ones():
    outcomes = {"alice": outcome("alice"), "bob": outcome("bob", Status.TIMEOUT, Fault("timeout", "late"))}
    played = Round("predict", outcomes, elapsed=0.25)

    assert dict(played) == outcomes
    assert list(played.succeeded) == ["alice"]
    assert repr(played) == "<Round predict: 1 of 2 ok in 0.250 s>"
    assert not Round("tick", {}, 0.0)


def test_an_unknown_model_is_a_key_error_that_reads_as_a_sentence():
    error = errors.UnknownModel("there is no model 'zoe'")

    assert isinstance(error, KeyError)
    assert isinstance(error, errors.ContractError)
    assert str(error) == "there is no model 'zoe'"


def test_a_missing_extra_names_the_command():
    error = errors.MissingExtra("pandas", "tables")

    assert isinstance(error, ImportError)
    assert str(error) == "pandas is not installed; from a clone of crunch_game: pip install '.[tables]'"
    assert (error.library, error.extra) == ("pandas", "tables")


EXAMPLES = [
    *(
        error("it went wrong", model_id="alice", method="predict", traceback="main.py, line 3")
        for error in (errors.ModelError, *errors.ModelError.__subclasses__())
    ),
    errors.MissingExtra("pandas", "tables"),
    *(
        getattr(errors, name)("it went wrong")
        for name in errors.__all__
        if name != "MissingExtra" and not issubclass(getattr(errors, name), errors.ModelError)
    ),
]


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_every_error_is_pickled_and_copied_with_what_it_carries(again):
    assert {type(error).__name__ for error in EXAMPLES} == set(errors.__all__)
    for error in EXAMPLES:
        error.add_note("seen at noon")
        copied = again(error)
        assert (type(copied), str(copied), copied.args) == (type(error), str(error), error.args)
        assert vars(copied) == vars(error)


def test_an_authors_own_error_is_pickled_too():
    error = pickle.loads(pickle.dumps(NoData("AAPL", since=3)))

    assert (str(error), error.asset, error.since) == ("no data of AAPL", "AAPL", 3)


class NoData(errors.FeedError):
    def __init__(self, asset, *, since):
        super().__init__(f"no data of {asset}")
        self.asset, self.since = asset, since


def test_the_error_called_model_stopped_has_a_name_of_its_own_now():
    assert errors.ModelStopped is errors.ModelUnavailable is crunch_game.ModelUnavailable
    with pytest.raises(crunch_game.ModelUnavailable, match=r"^alice: predict: skipped$"):
        outcome(status=Status.SKIPPED).raise_for_status()


def test_the_error_tree_is_the_one_that_is_drawn():
    drawn = [line for line in errors.__doc__.splitlines() if "──" in line]
    names = {line.replace("│", " ").strip(" ├└─").split()[0] for line in drawn}

    assert names | {"CrunchGameError"} == set(errors.__all__)
    assert all(issubclass(getattr(errors, name), errors.CrunchGameError) for name in errors.__all__)
