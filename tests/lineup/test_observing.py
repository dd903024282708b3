"""An observer hears what becomes of every deployment, and follows a round if it likes."""

from __future__ import annotations

import anyio
import pytest

from crunch_game import Contract, Policy, Submission
from crunch_game.hosts.base import Instance, Loaded, LoadFailure, Setup
from crunch_game.lineup import Lineup, News, Observer
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause, State

pytestmark = pytest.mark.anyio

BROKEN = Fault("ImportError", "no such module")
SUBMISSIONS = [Submission("a", "fine"), Submission("b", "broken"), Submission("c", "fine")]


class Anywhere:
    """A host that loads at once whatever is not called broken."""

    async def open(self, setup, submissions, watcher):
        pass

    async def start(self, submission, timeout):
        if str(submission.source) == "broken":
            raise LoadFailure(BROKEN)
        return Loaded(Instance(submission))

    async def stop(self, instance):
        pass


class Listens(Observer):
    def __init__(self) -> None:
        self.heard: list[News] = []

    def hear(self, news: News) -> None:
        self.heard.append(news)


@pytest.fixture
def observer():
    return Listens()


@pytest.fixture
def roster(snapshots):
    return snapshots(*SUBMISSIONS)


async def told(roster, *submissions):
    roster.tell(*submissions)
    await anyio.wait_all_tasks_blocked()


async def test_an_observer_hears_what_becomes_of_every_deployment(roster, observer):
    async def refuse(fresh):
        if fresh.model.id == "c":
            raise KeyError("history")

    a, b, c = SUBMISSIONS
    async with anyio.create_task_group() as tasks:
        setup, policy = Setup(Contract("arena.Base")), Policy()
        lineup = Lineup(roster, Anywhere(), setup, policy, refuse, lambda event: None, [observer], tasks)
        await tasks.start(lineup.follow)
        await lineup.settled()
        heard = {model_id: [news for news in observer.heard if news.submission.id == model_id] for model_id in "abc"}
        assert heard["a"] == [News(a, State.JOINING), News(a, State.READY)]
        assert heard["b"] == [News(b, State.JOINING), News(b, State.FAILED, BROKEN, cause=Cause.NOT_LOADED)]
        joining, failed = heard["c"]
        assert joining == News(c, State.JOINING)
        assert (failed.state, failed.fault.kind, failed.cause) == (State.FAILED, "KeyError", None)

        observer.heard.clear()
        await lineup.stop(lineup.seats["a"], "enough", Cause.AUTHOR)
        new, away = Submission("a", "fine", "v2"), Submission("a", "fine", "v2", away=True)
        await told(roster, new)
        await told(roster, away)
        await told(roster)
        tasks.cancel_scope.cancel()
    assert [news for news in observer.heard if news.submission.id == "a"] == [
        News(a, State.STOPPED, None, "enough", Cause.AUTHOR),
        News(new, State.JOINING),
        News(new, State.READY),
        News(away, State.UNREACHABLE),
        News(away, State.LEFT),
    ]


def test_an_observer_need_not_follow_rounds(observer):
    assert observer.follow(None, {}) is None
