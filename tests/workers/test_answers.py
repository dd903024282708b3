"""What models were asked and answered, and their faults, each kind once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from crunch_game import Fault, Outcome, Round, RoundPlayed, Status, TickPlayed
from crunch_game.events import ModelLoadFailed
from crunch_game.workers import Answered, RepeatedFault
from crunch_game.workers._answers import Answers, told_faults

T0 = datetime(2024, 1, 1, tzinfo=UTC)
OK = (Status.OK, None)
LATE = (Status.TIMEOUT, Fault("timeout", "no answer within 1 s", "in predict", "slow\n"))


def at(hour: int) -> datetime:
    return T0 + timedelta(hours=hour)


def played(method: str, **outcomes: tuple[Status, Fault | None]) -> Round:
    made = {
        model_id: Outcome(model_id, "1", method, status, 1.0 if fault is None else None, fault, 0.1, 1.0)
        for model_id, (status, fault) in outcomes.items()
    }
    return Round(method, made, 0.1)


def raised(message: str, kind: str = "KeyError") -> tuple[Status, Fault]:
    return Status.RAISED, Fault(kind, f"{kind}: {message}", f"in tick: {message}")


def heard(*events: object) -> Answers:
    answers = Answers()
    for event in events:
        answers.hear(event)
    return answers


def test_each_thing_that_a_model_is_asked_for_has_its_own_count():
    answers = heard(
        TickPlayed(at(0), played("tick", ada=OK, bob=raised("x"))),
        RoundPlayed("BTC", at(0), played("predict", ada=OK, bob=OK)),
        RoundPlayed("BTC", at(1), played("predict", ada=LATE, bob=OK)),
        RoundPlayed("ETH", at(1), played("predict", ada=OK)),
        "something else",
    )
    assert answers.of_models() == {
        "ada": {"tick": Answered(1, 1), "BTC": Answered(2, 1), "ETH": Answered(1, 1)},
        "bob": {"tick": Answered(1, 0), "BTC": Answered(2, 2)},
    }
    assert [Answered(4, 1).share, Answered(0, 0).share] == [0.25, 1.0]


def test_who_is_still_being_loaded_was_not_asked_and_who_was_stopped_was():
    joining = (Status.SKIPPED, Fault("joining", "it has been loading for 1 s"))
    stopped = (Status.SKIPPED, Fault("stopped", "it was stopped: enough"))
    answers = heard(TickPlayed(at(0), played("tick", ada=joining, bob=stopped)))
    assert answers.of_models() == {"bob": {"tick": Answered(1, 0)}}
    assert [fault.kind for fault in answers.faults()] == ["stopped"]


def test_a_model_that_does_not_play_has_one_fault_whatever_it_would_have_been_called_for():
    stopped = (Status.SKIPPED, Fault("stopped", "it was stopped: enough"))
    answers = heard(
        TickPlayed(at(0), played("tick", ada=OK)),
        TickPlayed(at(1), played("tick", ada=stopped)),
        *(RoundPlayed(key, at(1), played("predict", ada=stopped)) for key in "abc"),
    )
    [fault] = answers.faults()
    assert (fault.called, fault.count, fault.asked, fault.first) == ("every call", 4, 5, at(1))


def test_whoever_else_listens_hears_it_too_and_may_answer():
    answers = Answers()
    told = []
    event = TickPlayed(at(0), played("tick", ada=OK))
    assert answers.before(lambda event: told.append(event) or "answer")(event) == "answer"
    assert (told, answers.of_models()) == ([event], {"ada": {"tick": Answered(1, 1)}})


def test_faults_of_one_kind_are_one_and_the_first_is_told_in_full():
    answers = heard(*(TickPlayed(at(hour), played("tick", ada=raised(f"of {hour}"))) for hour in range(3)))
    [fault] = answers.faults()
    assert fault == RepeatedFault("ada", "tick", "KeyError", 3, 3, at(0), "KeyError: of 0", "in tick: of 0", None)
    assert str(fault) == "ada: tick: 3 of 3 times, first at 2024-01-01 00:00:00 UTC: KeyError: of 0"


def test_the_model_with_the_most_comes_first_and_its_story_is_in_order():
    failed = Fault("ImportError", "ImportError: no", "in main.py")
    answers = heard(
        ModelLoadFailed("ada", "1", failed),
        TickPlayed(at(0), played("tick", ada=OK, bob=raised("x"))),
        RoundPlayed("BTC", at(1), played("predict", ada=LATE, bob=OK)),
        RoundPlayed("BTC", at(2), played("predict", ada=LATE, bob=OK)),
    )
    faults = answers.faults()
    assert [(fault.model_id, fault.called, fault.count, fault.asked) for fault in faults] == [
        ("ada", "load", 1, 1),
        ("ada", "BTC", 2, 2),
        ("bob", "tick", 1, 1),
    ]
    assert str(faults[0]) == "ada could not be loaded: ImportError: no"
    assert faults[1].details == "in predict\nstderr:\nslow"


def test_what_is_kept_is_bounded_though_a_model_names_its_exceptions_itself():
    texts = "x" * 100_000
    answers = heard(
        *(
            TickPlayed(at(0), played("tick", ada=(Status.RAISED, Fault(f"Kind{n}", texts, texts, texts))))
            for n in range(50)
        )
    )
    faults = answers.faults()
    assert [fault.count for fault in faults] == [1] * 20 + [30]
    assert (faults[-1].called, faults[-1].kind) == ("other kinds", "other kinds")
    assert max(len(text) for fault in faults for text in (fault.message, fault.traceback, fault.stderr)) == 2000
    assert answers.of_models() == {"ada": {"tick": Answered(50, 0)}}


def test_as_text_a_traceback_is_told_once_and_there_is_an_end():
    answers = heard(
        *(RoundPlayed(key, at(0), played("predict", ada=LATE)) for key in "abc"),
        RoundPlayed("d", at(0), played("predict", ada=raised("x"))),
    )
    lines = list(told_faults(answers.faults()))
    assert [details for _, details in lines] == ["in predict\nstderr:\nslow", "", "", ""]
    assert lines[0][0] == "ada: a: 1 of 1 time, first at 2024-01-01 00:00:00 UTC: no answer within 1 s"
    assert lines[-1] == ("and 1 more kind of fault", "")


def test_one_model_does_not_fill_the_page():
    many = heard(
        *(RoundPlayed(key, at(0), played("predict", ada=LATE)) for key in "abcdefghijklm"),
        RoundPlayed("a", at(0), played("predict", bob=LATE, cid=LATE)),
    )
    told = [sentence.partition(":")[0] for sentence, _ in told_faults(many.faults(), most=4)]
    assert told == ["ada", "ada", "ada", "bob", "and 11 more kinds of fault"]


def test_what_could_not_be_loaded_is_told_once():
    failed = (Status.SKIPPED, Fault("failed", "it could not be loaded: ImportError: no"))
    stopped = (Status.SKIPPED, Fault("stopped", "it was stopped: enough"))
    answers = heard(
        ModelLoadFailed("ada", "1", Fault("ImportError", "ImportError: no")),
        *(TickPlayed(at(hour), played("tick", ada=failed, bob=stopped)) for hour in range(3)),
    )

    told = [sentence for sentence, _ in told_faults(answers.faults())]
    again = heard(*[ModelLoadFailed("ada", "1", Fault("ImportError", "ImportError: no"))] * 2).faults()

    assert [str(fault) for fault in again] == ["ada could not be loaded (2 times): ImportError: no"]
    assert told == [
        "ada could not be loaded: ImportError: no",
        "bob: every call: 3 of 3 times, first at 2024-01-01 00:00:00 UTC: it was stopped: enough",
    ]


def test_nothing_is_shown_where_there_is_no_fault():
    assert list(told_faults(heard(TickPlayed(at(0), played("tick", ada=OK))).faults())) == []
