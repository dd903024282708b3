"""StaticRoster: a roster that never changes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import replace

from crunch_game._public import public
from crunch_game.errors import GameError
from crunch_game.models import Submission
from crunch_game.rosters._versions import version_of
from crunch_game.rosters.base import Roster
from crunch_game.sources import SourceLike


@public
class StaticRoster(Roster):
    """The same models from the first round to the last.

    Args:
        submissions: Classes, files, folders, "package.module:attr", or Submissions. All but Submissions get a hash of
            their contents as deployment id, so that a model that was stopped plays again once it is fixed.

    Raises:
        GameError: Two have the same id.
    """

    def __init__(self, submissions: Iterable[SourceLike | Submission]) -> None:
        self._submissions: dict[str, Submission] = {}
        for source in submissions:
            submission = Submission.of(source)
            if submission is not source:
                # Submissions that are given as such have the deployment id that their author chose.
                submission = replace(submission, deployment_id=version_of(submission.source))
            if submission.id in self._submissions:
                raise GameError(
                    f"two models have the id {submission.id!r}; tell them apart with Submission(id=..., source=...)"
                )
            self._submissions[submission.id] = submission

    async def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        """Yield the roster, once."""
        yield self._submissions
