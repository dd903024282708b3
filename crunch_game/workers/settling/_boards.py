"""A game's boards, kept in step with its store: what was scored before is loaded, what is scored now is added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Final

from crunch_game.game import Game
from crunch_game.ranking import BoardNote, BoardRound, Standing
from crunch_game.storage.base import KeptScore, Prediction, Score, ScoredRound, Store

_PAST: Final = 64
"""Rounds of each key that are read from before the windows: some more than the usual loss is the mean of."""


class KeptBoards:
    """The boards of a game.

    Args:
        game: The game.
        store: Where its scores are kept.
        failed: Called with what an author's `of`, `weight` or `missing` raised for a round, which then stands on no
            board, and with the round's slot.
        note: Called with what a board has to say of a round, each kind once.
    """

    def __init__(
        self,
        game: Game,
        store: Store,
        failed: Callable[[datetime, BaseException], object],
        note: Callable[[BoardNote], object],
    ) -> None:
        self._game = game
        self._store = store
        self._failed = failed
        self._note = note
        self._noted: set[tuple[str, str]] = set()
        self._metrics = list(game.rules)
        self._boards = game.empty_boards()
        self._first_answers: dict[str, dict[str, datetime]] = {}
        self._rounds: dict[tuple[str, datetime], ScoredRound] = {}
        """As they are stored: a late round changes what the ones after it are measured by."""
        self._fresh: list[tuple[str, datetime]] = []
        """Those that were added and are not stored yet."""
        self._kept = _PAST
        self._is_loaded = False

    def load(self) -> None:
        """Read what was scored before, the first time."""
        if self._is_loaded:
            return
        self._is_loaded = True
        newest = self._store.last_row()
        if newest is None:
            return
        self._first_answers = self._store.first_answers()
        since = self._boards.oldest(newest.time)
        if since is not None:
            for past in self._store.past_rounds(since, _PAST):
                self._recall(past)
        excused: dict[tuple[str, datetime], set[str]] = {}
        for key, at, model_id in self._store.excused(since):
            excused.setdefault((key, at), set()).add(model_id)
        for scored, scores in self._store.rounds(since):
            self._rounds[scored.key, scored.at] = scored
            if scores and all(kind == "aside" for _, _, kind, _ in scores):
                continue
            self._put(self._board_round(scored, scores, excused.get((scored.key, scored.at), ())))
        self._boards.changed()  # they are stored as they are
        self._boards.told()

    def _put(self, played: BoardRound) -> None:
        try:
            self._boards.put(played)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - `of`, `weight` and `missing` are the author's
            self._failed(played.at, error)

    def _recall(self, past: ScoredRound) -> None:
        for metric, facts in past.facts.items():
            self._boards.recall(past.key, metric, past.at, past.resolves_at, facts["entry"], facts["answers"])

    def _board_round(
        self,
        scored: ScoredRound,
        scores: Iterable[KeptScore],
        excused: Iterable[str],
        absent: Mapping[str, float] | None = None,
    ) -> BoardRound:
        """A round as the boards are given it."""
        own: dict[str, dict[str, float]] = {metric: {} for metric in self._metrics}
        absences: dict[str, dict[str, float]] = {}
        unscorable: dict[str, set[str]] = {}
        for model_id, value, kind, metrics in scores:
            for metric, each in (metrics or {self._metrics[0]: value}).items():
                if kind == "absent":
                    if each is not None:
                        absences.setdefault(metric, {})[model_id] = each
                elif each is not None:
                    own[metric][model_id] = each
                elif metrics or kind == "unscorable":
                    unscorable.setdefault(metric, set()).add(model_id)
        if absent is None:
            facts = scored.facts
            absent = {metric: facts[metric]["absent"] for metric in facts if facts[metric].get("absent") is not None}
        return BoardRound(
            scored.key,
            scored.at,
            scored.resolves_at,
            scored.horizon,
            scored.arguments,
            own,
            {metric: frozenset(names) for metric, names in unscorable.items()},
            frozenset(excused),
            absences,
            absent,
        )

    def oldest(self, now: datetime) -> datetime | None:
        """Rounds that resolve after this may count; None if all do."""
        return self._boards.oldest(now)

    def has(self, key: str, at: datetime) -> bool:
        """Whether a round was scored before."""
        return (key, at) in self._rounds

    def answered(self, predictions: Iterable[Prediction]) -> None:
        """Know of answers whose rounds are due, be they scored or not: a model is absent from its first answer on."""
        for each in predictions:
            first = self._first_answers.setdefault(each.model_id, {})
            first[each.key] = min(each.at, first.get(each.key, each.at))

    def add(
        self, scored: ScoredRound, scores: Sequence[Score], excused: Iterable[str], absent: Mapping[str, float]
    ) -> None:
        """Add a round, or replace it.

        Args:
            scored: The round.
            scores: All its scores. Where there are none, nobody has answered; where all are set aside, it counts for
                nobody.
            excused: The models whose lack of an answer is nobody's absence.
            absent: What a rule gives one who was not there yet, by metric.
        """
        kept = [(each.model_id, each.value, each.kind, each.metrics) for each in scores]
        if not scores or any(each.kind != "aside" for each in scores):
            self._put(self._board_round(scored, kept, excused, absent))
        facts = {metric: {"absent": value} for metric, value in absent.items()}
        self._fresh.append((scored.key, scored.at))
        self._rounds[scored.key, scored.at] = replace(scored, facts=facts)

    def changed(self) -> list[ScoredRound]:
        """The rounds whose facts are new, or differ, since this was asked last, as they are to be stored."""
        changed = []
        fresh, self._fresh = self._fresh, []
        for identity in dict.fromkeys([*fresh, *self._boards.changed()]):
            scored = self._rounds.get(identity)
            if scored is not None:
                facts = {name: asdict(each) for name, each in self._boards.facts(*identity).items()}
                for metric, given in scored.facts.items():
                    if given.get("absent") is not None:
                        facts[metric]["absent"] = given["absent"]
                self._rounds[identity] = replace(scored, facts=facts)
                changed.append(self._rounds[identity])
        return changed

    def standings(self, now: datetime) -> dict[str, list[Standing]]:
        """The standings of each board at this time."""
        oldest = self._boards.oldest(now)
        if oldest is not None and len(self._rounds) > 2 * self._kept:
            self._rounds = {each: scored for each, scored in self._rounds.items() if scored.resolves_at > oldest}
            self._kept = max(_PAST, len(self._rounds))
        states = {record.model_id: record.state for record in self._store.models()}
        standings = self._boards.standings(now, first_answers=self._first_answers, states=states)
        for note in self._boards.told():
            if (note.board, note.what) not in self._noted:
                self._noted.add((note.board, note.what))
                self._note(note)
        return standings
