"""The rosters that come with the package pass the suite that an author's own is held against."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest

from crunch_game.models import Submission
from crunch_game.rosters import DirectoryRoster, Roster, StaticRoster
from crunch_game.testing import RosterChanges, RosterSuite, roster_suite


class Alice:
    pass


def folder_roster(folder: Path) -> tuple[Roster, RosterChanges]:
    def deploy(model_id: str, text: str) -> None:
        (folder / model_id).mkdir(exist_ok=True)
        (folder / model_id / "main.py").write_text(text)

    deploy("alice", "x = 0")
    changes = RosterChanges(
        join=lambda model_id: deploy(model_id, "x = 1"),
        redeploy=lambda model_id: deploy(model_id, "x = 2  # and more"),
        leave=lambda model_id: shutil.rmtree(folder / model_id),
    )
    return DirectoryRoster(folder), changes


TestDirectoryRoster = roster_suite(folder_roster)
TestStaticRoster = roster_suite(lambda folder: (StaticRoster([Alice]), None))


class Forgetful(Roster):
    """Changes the mapping that it has told, and calls a model by another id."""

    def __init__(self) -> None:
        self.models = {"alice": Submission("bob", Alice)}

    async def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        yield self.models


@pytest.mark.anyio
async def test_a_roster_with_a_fault_is_found() -> None:
    suite = RosterSuite()
    with pytest.raises(AssertionError):
        await suite.test_it_tells_at_once_who_is_there_each_under_its_own_id(Forgetful())
