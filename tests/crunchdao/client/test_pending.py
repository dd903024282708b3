"""The replies of one round are given when the last is in, or as they come."""

from __future__ import annotations

import pytest

from crunch_game import ContractError, TrackerBase
from crunch_game.contract import Contract
from crunch_game.crunchdao.client._pending import PendingCall, PendingRound
from crunch_game.crunchdao.client._requests import Requests
from crunch_game.hosts.base import Call, Instance, Reply
from crunch_game.models import Submission
from crunch_game.policy import Trigger

pytestmark = pytest.mark.anyio

ANSWERED = Reply(Trigger.ANSWERED, 1.5, None, 0.1)


class Game(TrackerBase):
    def predict(self, horizon: int = 1) -> float: ...


CALL = Call(Contract(Game).method("predict"), [5], {}, 1.0)


def pending(*, each: bool, count: int = 2) -> tuple[PendingRound, list[PendingCall]]:
    round_, requests = PendingRound(CALL, each=each), Requests(CALL)
    return round_, [PendingCall(round_, Instance(Submission(str(n), "a:1")), requests, None) for n in range(count)]


async def test_replies_are_given_together_when_the_last_is_in():
    round_, (one, two) = pending(each=False)
    round_.take(one, ANSWERED)
    assert not round_.news.is_set()
    assert round_.collected() == []
    assert (one.is_pending, two.is_pending) == (False, True)
    round_.take(two, ANSWERED)
    assert round_.news.is_set()
    assert round_.collected() == [(one.instance, ANSWERED), (two.instance, ANSWERED)]
    assert round_.collected() == []


async def test_replies_are_given_as_they_come_where_that_is_wanted():
    round_, (one, two) = pending(each=True)
    for call in (two, one):
        round_.take(call, ANSWERED)
        assert round_.news.is_set()
        assert round_.collected() == [(call.instance, ANSWERED)]
        assert not round_.news.is_set()


async def test_calls_of_one_round_share_their_request_unless_one_has_arguments_of_its_own():
    round_, (one, two) = pending(each=False)
    own = PendingCall(round_, one.instance, Requests(CALL), {"mine": 1})
    assert one.request is two.request
    assert own.request != one.request
    assert one.named_request is two.named_request is not None


async def test_an_argument_that_cannot_be_sent_is_the_authors_error():
    round_ = PendingRound(CALL, each=False)
    with pytest.raises(ContractError, match=r"the arguments of .*Game.predict cannot be sent"):
        PendingCall(round_, Instance(Submission("a", "a:1")), Requests(CALL), {"mine": object()})
    assert not round_.pending
