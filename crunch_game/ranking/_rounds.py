"""BoardRound: the scores of one round, as boards are given them; and what boards tell of a round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from crunch_game._public import record


@record
class BoardRound:
    """The scores of one round, complete: it takes the place of what the boards had of `(key, at)`.

    A model that is in neither `scores` nor `unscorable` nor `excused` was absent.

    Attributes:
        key: The name of the prediction that the game asks for.
        at: The slot of the round; aware, UTC.
        resolves_at: When its horizon ended; aware, UTC.
        horizon: Seconds.
        arguments: Those that all models were given, by parameter name.
        scores: By metric, the raw score of each model that answered; finite.
        unscorable: By metric, the models whose answers the rule could not score: these count as the worst.
        excused: The models for whom the round counts neither way.
        absences: By metric, what the rule gives those who were absent, by model; only where it scores these.
        absent: By metric, what the rule gives one who was absent, and is not in `absences`.
        unscored: The metrics in which it counts for nobody: their rule could score none of it.
        aside: Why the round counts for nobody in any metric, if so.
    """

    key: str
    at: datetime
    resolves_at: datetime
    horizon: float = 0.0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    unscorable: Mapping[str, frozenset[str]] = field(default_factory=dict)
    excused: frozenset[str] = frozenset()
    absences: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    absent: Mapping[str, float] = field(default_factory=dict)
    unscored: frozenset[str] = frozenset()
    aside: str | None = None


@record
class RoundFacts:
    """What makes the skill of one round in one metric: what is stored beside its scores.

    Losses are scores, and the negated ones where higher is better.

    Attributes:
        entry: The median loss of its answers, which later rounds are measured by; None if that is not finite, or
            the round was set aside.
        answers: How many answers it has, unscorable ones too.
        usual: The usual loss of its key at the time; None if there is none.
        unit: What skill divides by; None where the round counts for nobody.
        reference: The median loss of all answers, padded with the usual loss up to three.
        absence: The skill of who was absent.
    """

    entry: float | None
    answers: int
    usual: float | None
    unit: float | None
    reference: float | None
    absence: float | None


@record
class BoardNote:
    """Something that a board did with a round and that somebody should know of.

    Attributes:
        board: The board's name.
        key: The round's key.
        at: The round's slot; aware, UTC.
        what: A sentence.
    """

    board: str
    key: str
    at: datetime
    what: str

    def __str__(self) -> str:
        return f"board {self.board}, {self.key} at {self.at:%Y-%m-%d %H:%M:%S} UTC: {self.what}"
