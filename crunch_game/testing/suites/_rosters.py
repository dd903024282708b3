"""What any roster must do, as cases for pytest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple, cast

import anyio
import pytest

from crunch_game._public import public
from crunch_game.hosts.base import Host
from crunch_game.models import Submission
from crunch_game.rosters.base import RemoteRoster, Roster

PATIENCE = 20.0
"""Seconds after which a change is taken to never be told."""


@public
class RosterChanges(NamedTuple):
    """What a test does to the game that a roster tells of. Each may block for a moment.

    Attributes:
        join: Let a model of this id join.
        leave: Let it leave.
        redeploy: Give it new code.
    """

    join: Callable[[str], object]
    leave: Callable[[str], object]
    redeploy: Callable[[str], object]


@public
class RosterSuite:
    """What any roster must do. For a class that needs fixtures of its own; `roster_suite` is for all others."""

    def make(self, folder: Path) -> tuple[Roster, RosterChanges | None]:
        """Make a roster of at least one model, and say how it is changed; None if it never is."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its roster is made")

    @pytest.fixture
    def made(self, tmp_path: Path) -> tuple[Roster, RosterChanges | None]:
        """A new roster, and what changes it."""
        return self.make(tmp_path)

    @pytest.fixture
    def roster(self, made: tuple[Roster, RosterChanges | None]) -> Roster:
        """A new roster."""
        return made[0]

    @pytest.fixture
    def changes(self, made: tuple[Roster, RosterChanges | None]) -> RosterChanges:
        """What changes it."""
        if made[1] is None:
            pytest.skip("this roster never changes")
        return made[1]

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Both event loops that games run on."""
        return cast(str, request.param)

    def test_it_says_whether_its_models_need_a_host(self, roster: Roster) -> None:
        host = roster.host()
        assert host is None or all(hasattr(host, name) for name in vars(Host) if not name.startswith("_"))

    def test_one_on_another_machine_has_all_that_is_called_then(self, roster: Roster) -> None:
        if not isinstance(roster, RemoteRoster):
            pytest.skip("its connection cannot be lost")
        roster.listen(lambda event: None)

    @pytest.mark.anyio
    async def test_it_tells_at_once_who_is_there_each_under_its_own_id(self, roster: Roster) -> None:
        with anyio.fail_after(PATIENCE):
            async with aclosing(roster.follow()) as told:
                first = await anext(told)
        assert first
        for model_id, submission in first.items():
            assert isinstance(submission, Submission)
            assert submission.id == model_id
            assert isinstance(submission.deployment_id, str)
            assert submission.deployment_id

    @pytest.mark.anyio
    async def test_who_follows_again_is_told_the_same(self, roster: Roster) -> None:
        found = []
        with anyio.fail_after(2 * PATIENCE):
            for _ in range(2):
                async with aclosing(roster.follow()) as told:
                    found.append(_versions(await anext(told)))
        assert found[0] == found[1]

    @pytest.mark.anyio
    async def test_joins_new_code_and_leaves_are_told_each_in_a_mapping_of_all(
        self, roster: Roster, changes: RosterChanges
    ) -> None:
        async with aclosing(roster.follow()) as told:
            with anyio.fail_after(PATIENCE):
                before = _versions(await anext(told))
            assert "newcomer" not in before
            await anyio.to_thread.run_sync(changes.join, "newcomer")
            joined = await _until(told, lambda now: "newcomer" in now)
            assert {**joined, "newcomer": ""} == {**before, "newcomer": ""}
            await anyio.to_thread.run_sync(changes.redeploy, "newcomer")
            changed = await _until(told, lambda now: now.get("newcomer") not in (None, joined["newcomer"]))
            assert {**changed, "newcomer": ""} == {**before, "newcomer": ""}
            await anyio.to_thread.run_sync(changes.leave, "newcomer")
            assert await _until(told, lambda now: "newcomer" not in now) == before

    @pytest.mark.anyio
    async def test_what_was_told_does_not_change_afterwards(self, roster: Roster, changes: RosterChanges) -> None:
        """The runner compares each mapping with the one before."""
        async with aclosing(roster.follow()) as told:
            with anyio.fail_after(PATIENCE):
                first = await anext(told)
            before = _versions(first)
            await anyio.to_thread.run_sync(changes.join, "newcomer")
            await _until(told, lambda now: "newcomer" in now)
        assert _versions(first) == before

    @pytest.mark.anyio
    async def test_it_ends_at_once_when_it_is_cancelled(self, roster: Roster) -> None:
        """While it waits for a change, too."""
        got = anyio.Event()

        async def follow() -> None:
            async with aclosing(roster.follow()) as told:
                async for _ in told:
                    got.set()

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(follow)
                await got.wait()
                group.cancel_scope.cancel()


def _versions(models: Mapping[str, Submission]) -> dict[str, str]:
    return {model_id: submission.deployment_id for model_id, submission in models.items()}


async def _until(told: Any, is_so: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    with anyio.fail_after(PATIENCE):
        async for models in told:
            now = _versions(models)
            if is_so(now):
                return now
    raise AssertionError("the roster has ended, though its models change")


@public
def roster_suite(make: Callable[[Path], tuple[Roster, RosterChanges | None]]) -> type[RosterSuite]:
    """Return a class of tests, which pytest runs under a name that begins with Test.

    For example `TestMyRoster = roster_suite(lambda folder: (MyRoster(...), RosterChanges(join, leave, redeploy)))`.

    Args:
        make: Makes a roster of at least one model, and what changes it; None if its models are always the same. It is
            given an empty folder for files.
    """
    return type("RosterSuite", (RosterSuite,), {"make": lambda self, folder: make(folder)})
