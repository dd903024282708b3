"""One round, with seats but without a lineup: outcomes for everyone, and verdicts that it leaves to others."""

from __future__ import annotations

from contextlib import aclosing

import anyio
import anyio.lowlevel
import pytest

from crunch_game import Contract, ContractError, Policy, Status, Submission
from crunch_game._rounds import play, play_together
from crunch_game.events import FieldFault
from crunch_game.hosts.base import Call, Instance, Reply
from crunch_game.lineup import Fresh, Observer, Seat, Verdict
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause, State, Strikes, Trigger

pytestmark = pytest.mark.anyio

METHOD = Contract("arena.Base").methods["predict"]
METHOD.prepare()
WHY = Fault("E", "no")
POLICY = Policy()


def sitting(model_id: str, event: Trigger | None = Trigger.LOADED) -> Seat:
    seat = Seat(Submission(model_id, "nowhere"), 0.0)
    if event is not None:
        seat.instance = Instance(seat.submission)
        seat.take(event, 1.0)
    return seat


class Scripted:
    """A host whose models do what the test says, one batch after the other; callables are called between them."""

    def __init__(self, *script) -> None:
        self.script = script

    async def ask(self, call, asked, *, each):
        for step in self.script:
            if callable(step):
                step()
                continue
            yield [
                (
                    instance,
                    Reply(
                        event, 1 if event is Trigger.ANSWERED else None, None if event is Trigger.ANSWERED else WHY, 0.1
                    ),
                )
                for instance, event in step.items()
            ]


class Enacted:
    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.field_fault: FieldFault | None = None
        self.times = 0

    def __call__(self, verdicts, field_fault) -> None:
        self.verdicts += verdicts
        self.field_fault = field_fault
        self.times += 1


@pytest.fixture
def enacted():
    return Enacted()


@pytest.fixture
def ask(enacted):
    """Play a round of these players, and give its outcomes by model."""

    async def one(host, *players, policy=POLICY, observers=()):
        call = Call(METHOD, [1], {}, 1.0)
        batches = play(call, dict.fromkeys(players), host, policy, observers, enacted, each=True)
        async with aclosing(batches):
            return {outcome.model_id: outcome async for batch in batches for outcome in batch}

    return one


async def test_who_is_not_asked_has_the_reason_for_an_outcome(ask, enacted):
    a, b, c = sitting("a"), sitting("b", None), sitting("c", Trigger.STOP)
    outcomes = await ask(Scripted({a.instance: Trigger.ANSWERED}), a, b, c)
    assert {model_id: outcome.status for model_id, outcome in outcomes.items()} == {
        "a": Status.OK,
        "b": Status.SKIPPED,
        "c": Status.SKIPPED,
    }
    assert outcomes["b"].error.message.startswith("it has been loading for ")
    assert (enacted.verdicts, enacted.field_fault, enacted.times) == ([], None, 1)


async def test_the_limits_strike_leaves_a_verdict_and_stops_nobody(ask, enacted):
    a = sitting("a")
    for _ in range(3):
        assert enacted.verdicts == []
        await ask(Scripted({a.instance: Trigger.RAISED}), a)
    assert enacted.verdicts == [
        Verdict(a, Trigger.STOP, WHY, "3 failures of predict in a row (the limit is 3); the last: no", Cause.FAILURES)
    ]
    assert a.health.state is State.READY
    assert a.health.strikes == {"predict": Strikes(failures=3)}


async def test_a_death_is_in_the_table_at_once_and_enacted_when_the_round_ends(ask, enacted):
    a, b = sitting("a"), sitting("b")

    def look():
        assert a.health.state is State.RESTARTING
        assert enacted.times == 0

    await ask(Scripted({a.instance: Trigger.DIED}, look, {b.instance: Trigger.ANSWERED}), a, b)
    assert enacted.verdicts == [Verdict(a, None, WHY)]


async def test_a_state_that_is_not_there_any_more_is_not_enacted(ask, enacted):
    a = sitting("a")
    outcome = (await ask(Scripted({a.instance: Trigger.DIED}, lambda: a.take(Trigger.STOP, 2.0, "enough")), a))["a"]
    assert outcome.status is Status.DIED
    assert enacted.verdicts == []


async def test_a_late_model_is_restarted_where_the_policy_says_so(ask, enacted):
    a = sitting("a")
    await ask(Scripted({a.instance: Trigger.DEADLINE}), a, policy=Policy(on_timeout="restart"))
    assert enacted.verdicts == [Verdict(a, Trigger.RESTART, WHY)]


async def test_a_fault_of_the_field_is_told_and_nobodys_strike(ask, enacted):
    seats = [sitting(name) for name in "abcde"]
    await ask(
        Scripted({seat.instance: Trigger.RAISED for seat in seats}), *seats, policy=Policy(max_consecutive_failures=1)
    )
    assert enacted.field_fault == FieldFault("predict", 5, 5, WHY)
    assert enacted.verdicts == []
    assert [seat.health.strikes for seat in seats] == [{}] * 5


async def test_strikes_from_before_they_were_wiped_off_count_no_more(ask, enacted):
    a = sitting("a")

    def readmit():
        a.take(Trigger.READMIT, 2.0)
        a.take(Trigger.LOADED, 3.0)

    await ask(Scripted({a.instance: Trigger.RAISED}, readmit), a, policy=Policy(max_consecutive_failures=1))
    assert (a.health.strikes, enacted.verdicts) == ({}, [])


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (Trigger.ANSWERED, Status.OK),
        (Trigger.RAISED, Status.RAISED),
        (Trigger.UNREACHED, Status.UNREACHABLE),
        (Trigger.DEADLINE, Status.SKIPPED),
        (Trigger.DIED, Status.SKIPPED),
    ],
)
async def test_what_an_instance_answers_that_was_replaced_is_its_outcome_and_nobodys_strike(
    ask, enacted, event, status
):
    a = sitting("a")
    old, new = a.instance, Instance(a.submission)
    outcome = (await ask(Scripted(lambda: setattr(a, "instance", new), {old: event}), a))["a"]
    assert outcome.status is status
    if status is Status.SKIPPED:
        assert outcome.error.message == "it was replaced by a fresh instance"
    assert (a.health.strikes, enacted.verdicts) == ({}, [])
    # Else a slow answer with new code right after it would be a way to sit a round out.
    assert outcome.excused is (status is Status.SKIPPED and event not in (Trigger.DEADLINE, Trigger.DIED))


async def test_a_death_in_a_call_of_on_join_that_outlived_it_is_left_to_the_seat(ask, enacted):
    a = Seat(Submission("a", "nowhere"), 0.0)
    fresh = Fresh(a, a.submission, Instance(a.submission), 1.0)
    instance = fresh.instance

    def take_over():
        a.instance, fresh.instance = instance, None
        a.take(Trigger.LOADED, 2.0)

    outcome = (await ask(Scripted(take_over, {instance: Trigger.DIED}), fresh))["a"]
    assert outcome.status is Status.SKIPPED
    assert enacted.verdicts == [Verdict(a, Trigger.DIED, WHY)]


async def test_a_call_that_cannot_be_sent_is_withdrawn_from_everyone(ask):
    def refuse():
        assert [seat.health.state for seat in (a, b, c)] == [State.BUSY] * 3
        c.take(Trigger.STOP, 2.0, "enough")
        raise ContractError("no form")

    a, b, c = sitting("a"), sitting("b"), sitting("c")
    b.take(Trigger.ASKED, 1.5)  # it is still at an earlier call
    with pytest.raises(ContractError, match="no form"):
        await ask(Scripted(refuse), a, b, c)
    assert [seat.health.state for seat in (a, b, c)] == [State.READY, State.BUSY, State.STOPPED]


async def test_who_leaves_a_stream_early_settles_what_has_ended(enacted):
    a, b = sitting("a"), sitting("b")
    host = Scripted({a.instance: Trigger.RAISED}, {b.instance: Trigger.ANSWERED})
    call = Call(METHOD, [1], {}, 1.0)
    async with aclosing(play(call, {a: None, b: None}, host, Policy(), (), enacted, each=True)) as batches:
        await anext(batches)
    assert a.health.strikes == {"predict": Strikes(failures=1)}
    assert enacted.times == 1


async def test_an_observer_follows_every_batch_and_sees_the_players_as_they_stood(ask):
    class Follows(Observer):
        def __init__(self) -> None:
            self.states: list[State] = []
            self.batches: list[list[str]] = []

        def follow(self, call, players):
            self.states += [player.health.state for player in players]
            return lambda outcomes: self.batches.append([outcome.model_id for outcome in outcomes])

    class Deaf(Observer):
        """It hears what becomes of deployments, and follows no round."""

    a, b = sitting("a"), sitting("b")
    observers = [Follows(), Deaf()]
    await ask(Scripted({a.instance: Trigger.ANSWERED}, {b.instance: Trigger.RAISED}), a, b, observers=observers)
    assert observers[0].states == [State.READY] * 2
    assert observers[0].batches == [["a"], ["b"]]


async def test_a_round_of_nobody_ends_at_once(ask, enacted):
    with anyio.fail_after(1):
        assert await ask(Scripted()) == {}
    assert enacted.times == 0


class Together(Scripted):
    """The same for calls that are asked together: it says of which call each step is."""

    open = start = stop = close = Scripted.ask  # as any host has them; nobody calls them here

    async def ask_together(self, asks):
        for number, step in self.script:
            if callable(step):
                step()
                continue
            yield number, [(instance, Reply(event, 1, WHY, 0.1)) for instance, event in step.items()]


@pytest.fixture
def ask_together(enacted):
    """Play calls with these keys, and give the status of each of their outcomes."""

    async def several(host, keys, *players, policy=POLICY):
        calls = [Call(METHOD, [1], {}, 1.0, key) for key in keys]
        played = await play_together(calls, [dict.fromkeys(players)] * len(calls), host, policy, (), enacted)
        return [{name: outcome.status for name, outcome in round_.items()} for round_ in played]

    return several


async def test_strikes_of_calls_that_are_asked_together_count_once_everything_is_in(ask_together, enacted):
    a, b = sitting("a"), sitting("b")

    def look():
        assert (a.health.strikes, enacted.times) == ({}, 0)

    fails = {a.instance: Trigger.RAISED, b.instance: Trigger.ANSWERED}
    host = Together((0, fails), (1, fails), (1, look), (2, fails))
    once = Policy(max_consecutive_failures=1, field_fault_min=5)
    statuses = await ask_together(host, ["x", "y", None], a, b, policy=once)
    assert statuses == [{"a": Status.RAISED, "b": Status.OK}] * 3
    assert a.health.strikes == {name: Strikes(failures=1) for name in ("x", "y", "predict")}
    reasons = [verdict.reason for verdict in enacted.verdicts]
    assert reasons == [f"1 failure of {name} in a row (the limit is 1); the last: no" for name in ("x", "y", "predict")]
    assert enacted.times == 3


async def test_the_field_is_at_fault_for_one_of_several_calls(ask_together, enacted):
    seats = [sitting(name) for name in "abcde"]
    fine = {seat.instance: Trigger.ANSWERED for seat in seats}
    bad = {seat.instance: Trigger.RAISED for seat in seats}
    one = {**fine, seats[0].instance: Trigger.RAISED}
    await ask_together(Together((0, one), (1, bad)), ["x", "y"], *seats)
    assert seats[0].health.strikes == {"x": Strikes(failures=1)}
    assert [seat.health.strikes for seat in seats[1:]] == [{}] * 4
    assert enacted.field_fault == FieldFault("predict", 5, 5, WHY)


async def test_calls_that_cannot_be_sent_together_are_withdrawn_from_everyone(ask_together, enacted):
    def refuse():
        raise ContractError("no form")

    a, b = sitting("a"), sitting("b")
    b.take(Trigger.ASKED, 1.5)
    with pytest.raises(ContractError, match="no form"):
        await ask_together(Together((1, refuse)), ["x", "y"], a, b)
    assert [seat.health.state for seat in (a, b)] == [State.READY, State.BUSY]
    assert enacted.verdicts == []


async def test_a_host_without_batches_gets_its_asks_in_their_order_and_its_error_as_it_is(ask_together):
    began = []

    class Plain:
        async def ask(self, call, asked, *, each):
            began.append(call.key)
            await anyio.lowlevel.checkpoint()
            if call.key == "refused":
                raise ContractError("no form")
            yield [(instance, Reply(Trigger.ANSWERED, 1, None, 0.1)) for instance in asked]

    a = sitting("a")
    keys = [f"{number}" for number in range(13)]
    assert await ask_together(Plain(), keys, a) == [{"a": Status.OK}] * 13
    assert began == keys
    with pytest.raises(ContractError, match="no form"):
        await ask_together(Plain(), ["one", "refused"], a)
    assert a.health.state is State.READY


async def test_an_answer_that_the_check_refuses_is_invalid_with_its_reason(enacted):
    def check(value):
        raise ValueError("1 is no density")

    call = Call(METHOD, [1], {}, 1.0, check=check)
    player = sitting("ada")
    batches = play(call, {player: None}, Scripted({player.instance: Trigger.ANSWERED}), POLICY, (), enacted, each=True)
    [outcome] = [outcome async for batch in batches for outcome in batch]

    assert (outcome.status, outcome.value) == (Status.INVALID, None)
    assert outcome.error.message == "the answer of predict cannot be scored: 1 is no density"
    assert player.health.strikes == {"predict": Strikes(failures=1)}


async def test_a_check_that_raises_anything_else_refuses_the_answer_too(enacted):
    call = Call(METHOD, [1], {}, 1.0, check=lambda value: {}["key"])
    player = sitting("ada")
    batches = play(call, {player: None}, Scripted({player.instance: Trigger.ANSWERED}), POLICY, (), enacted, each=True)
    [outcome] = [outcome async for batch in batches for outcome in batch]

    assert outcome.error.message == "the answer of predict cannot be scored: KeyError: 'key'"


async def test_who_is_being_loaded_is_excused_and_who_was_stopped_is_not(ask):
    joining, stopped = sitting("ada", None), sitting("bob")
    stopped.take(Trigger.STOP, 2.0, "by hand")
    outcomes = await ask(Scripted(), joining, stopped)

    assert {model_id: outcome.excused for model_id, outcome in outcomes.items()} == {"ada": True, "bob": False}
