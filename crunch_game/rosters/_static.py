"""StaticRoster: a roster that never changes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import replace

from crunch_game._public import public
from crunch_game._quantities import described
from crunch_game.errors import GameError
from crunch_game.models import Submission
from crunch_game.rosters._versions import version_of
from crunch_game.rosters.base import Roster
from crunch_game.sources import SourceLike


@public
class StaticRoster(Roster):
    """The same models from the first round to the last.

    Args:
        submissions: Classes, files, folders, "package.module:attr", or Submissions; or a mapping of ids to these. All
            but Submissions get a hash of their contents as deployment id, so that a model that was stopped plays again
            once it is fixed.

    Raises:
        GameError: Two have the same id, or an id is no text.
        LoadError: One of them is nothing that a model comes from.
    """

    def __init__(self, submissions: Iterable[SourceLike | Submission] | Mapping[str, SourceLike | Submission]) -> None:
        self._submissions: dict[str, Submission] = {}
        named = submissions.items() if isinstance(submissions, Mapping) else ((None, each) for each in submissions)
        for model_id, source in named:
            submission = Submission.of(source)
            if submission is not source:
                # Submissions that are given as such have the deployment id that their author chose.
                submission = replace(submission, deployment_id=version_of(submission.source))
            if model_id is not None:
                if not isinstance(model_id, str) or not model_id:
                    raise GameError(f"the id of a model is text, not {described(model_id)}: models={{'ada': Ada}}")
                submission = replace(submission, id=model_id)
            if submission.id in self._submissions:
                raise GameError(
                    f"two models have the id {submission.id!r}; tell them apart with Submission(id=..., source=...)"
                )
            self._submissions[submission.id] = submission

    async def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        """Yield the roster, once."""
        yield self._submissions
