"""A game's boards, kept in step with its store: what was scored before is loaded, what is scored now is added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, Final

from crunch_game.game import Game
from crunch_game.lineup import between_rounds
from crunch_game.ranking import BoardNote, BoardRound, RoundFacts, Standing
from crunch_game.storage import pruned_before
from crunch_game.storage.base import KeptScore, Prediction, Score, ScoredRound, Store
from crunch_game.workers.settling._in_force import InForce

_PAST: Final = 64
"""Rounds of each key that are read from before the windows: some more than the usual loss is the mean of."""
_FULL: Final = 3
"""So many answers make a round full, and those with less are not read where there are enough of these."""
_ABSENT: Final = ("absent", "retracted")
"""The kinds of scores that are given for an absence."""
_FACTS: Final = [field.name for field in fields(RoundFacts)]


class KeptBoards:
    """The boards of a game.

    Args:
        game: The game.
        store: Where its scores are kept.
        failed: Called with what an author's `of`, `weight` or `missing` raised for a round, which then stands on no
            board, and with the round's slot.
        note: Called with what a board has to say of a round, each kind once.
        in_force: Returns what the corrections say of which answers count.

    Attributes:
        is_loaded: Whether what was scored before is read.
    """

    def __init__(
        self,
        game: Game,
        store: Store,
        failed: Callable[[datetime, BaseException], object],
        note: Callable[[BoardNote], object],
        in_force: Callable[[], InForce] = InForce,
    ) -> None:
        self._game = game
        self._store = store
        self._in_force = in_force
        self._failed = failed
        self._note = note
        self._noted: set[tuple[str, str]] = set()
        self._metrics = list(game.rules)
        self._boards = game.empty_boards()
        self._horizons = {ask.key: timedelta(seconds=ask.horizon) for ask in game.asks}
        self._first_answers: dict[str, dict[str, datetime]] = {}
        self._rounds: dict[tuple[str, datetime], ScoredRound] = {}
        """As they are stored: a late round changes what the ones after it are measured by."""
        self._all_since: datetime | None = None
        """Those that resolve after this are all there; None: every one."""
        self._unsaved: dict[tuple[str, datetime], None] = {}
        """Those that are not stored yet as they are now."""
        self._kept = _PAST
        self.is_loaded = False

    def load(self, now: datetime | None = None) -> None:
        """Read what was scored before, the first time.

        Args:
            now: Only what had resolved by then; up to the newest row unless given.
        """
        if self.is_loaded:
            return
        newest = self._store.last_row()
        if newest is not None:
            end = newest.time if now is None else now
            self._know_first_answers(end)
            self._boards.standings(end)  # from here on each round is counted as it comes, and none all at once
            self._load(self._boards.oldest(end), now)
        self.is_loaded = True

    def _know_first_answers(self, now: datetime) -> None:
        """Those whose horizon has passed: the others are told when it has."""
        for model_id, firsts in self._in_force().first_answers(self._store).items():
            due = {key: at for key, at in firsts.items() if at + self._horizons.get(key, timedelta()) <= now}
            if due:
                self._first_answers[model_id] = due

    def _load(self, since: datetime | None, until: datetime | None) -> None:
        gone = pruned_before(self._store)
        if gone is not None:  # what is left of older rounds has no scores
            since = gone if since is None else max(since, gone)
        excused: dict[tuple[str, datetime], set[str]] = {}
        for key, at, model_id in self._store.excused(since):
            excused.setdefault((key, at), set()).add(model_id)
        changed: set[tuple[str, datetime]] = set()
        for scored, scores in between_rounds(self._store.rounds(since)):
            if until is not None and scored.resolves_at > until:
                break
            self._rounds[scored.key, scored.at] = scored
            if _counts(scored, scores):
                self._put(self._board_round(scored, scores, excused.get((scored.key, scored.at), ())))
                changed.update(self._boards.changed())
        self._all_since = since
        if since is not None:
            slots = {key: since - self._horizons.get(key, timedelta()) for key in self._store.last_rounds()}
            for key, at in self._rounds:
                slots[key] = min(at, slots.get(key, at))
            for key, oldest in slots.items():
                self._recall(key, since, oldest)
        for identity in changed.union(
            self._boards.changed()
        ):  # they have no facts yet, or those of other rules or boards
            before = self._rounds[identity]
            self._rounds[identity] = replace(before, facts=self._facts(identity))
            if self._rounds[identity] != before:
                self._unsaved[identity] = None
        self._boards.told()

    def _recall(self, key: str, since: datetime, oldest: datetime) -> None:
        """Give the boards what their rounds, of slots from the oldest on, are measured by."""
        for least in (0, _FULL):
            enough = dict.fromkeys(self._metrics, _PAST)
            for past in self._store.past_rounds(key, since, least=least):
                for metric in self._metrics:
                    facts = past.facts.get(metric, {})
                    if facts.get("entry") is not None:
                        self._boards.recall(key, metric, past.at, past.resolves_at, facts["entry"], facts["answers"])
                        enough[metric] -= past.resolves_at <= oldest and facts["answers"] >= least
                if max(enough.values()) <= 0:
                    break

    def _put(self, played: BoardRound) -> None:
        try:
            self._boards.put(played)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - `of`, `weight` and `missing` are the author's
            self._failed(played.at, error)

    def _board_round(
        self,
        scored: ScoredRound,
        scores: Sequence[KeptScore],
        excused: Iterable[str],
        absent: Mapping[str, float] | None = None,
    ) -> BoardRound:
        """A round as the boards are given it."""
        own: dict[str, dict[str, float]] = {metric: {} for metric in self._metrics}
        absences: dict[str, dict[str, float]] = {}
        unscorable: dict[str, set[str]] = {metric: set() for metric in self._metrics}
        nobodys, main, answered = set(excused), self._metrics[0], False
        plain = {
            name: value
            for name, value, kind, metrics in scores
            if kind is None and metrics is None and value is not None
        }
        if len(plain) == len(scores):  # as nearly always, and there may be millions
            own[main], answered, scores = plain, bool(plain), ()
        for model_id, value, kind, metrics in scores:
            if kind == "aside" or (value is None and kind is None and not metrics):
                nobodys.add(model_id)
                continue
            is_absent = kind in _ABSENT
            answered = answered or not is_absent
            for metric, each in (metrics or {main: value}).items():
                if metric not in own:
                    continue  # the game had it once
                if is_absent:
                    if each is not None:
                        absences.setdefault(metric, {})[model_id] = each
                elif each is not None:
                    own[metric][model_id] = each
                else:
                    unscorable[metric].add(model_id)
        if absent is None:
            facts = scored.facts
            absent = {metric: facts[metric]["absent"] for metric in facts if facts[metric].get("absent") is not None}
        unscored = {metric for metric in own if answered and not own[metric] and not unscorable[metric]}
        return BoardRound(
            scored.key,
            scored.at,
            scored.resolves_at,
            scored.horizon,
            scored.arguments,
            own,
            {metric: frozenset(names) for metric, names in unscorable.items()},
            frozenset(nobodys),
            absences,
            absent,
            frozenset(unscored),
        )

    def oldest(self, now: datetime) -> datetime | None:
        """Rounds that resolve after this may count; None if all do."""
        return self._boards.oldest(now)

    def has(self, key: str, at: datetime) -> bool:
        """Whether a round was scored before; of one that is older than all boards look back, it is not known."""
        return (key, at) in self._rounds

    def may_have(self, key: str, at: datetime, resolves_at: datetime) -> bool:
        """Whether a round was scored before, or is so old that it is not known."""
        return self.has(key, at) or (self._all_since is not None and resolves_at <= self._all_since)

    def answered(self, predictions: Iterable[Prediction]) -> None:
        """Know of answers whose rounds are due, be they scored or not: a model is absent from its first answer on."""
        in_force = self._in_force()
        for each in predictions:
            if each.value is None or in_force.why(each) is not None:
                continue
            first = self._first_answers.setdefault(each.model_id, {})
            first[each.key] = min(each.at, first.get(each.key, each.at))

    def add(
        self, scored: ScoredRound, scores: Sequence[Score], excused: Iterable[str], absent: Mapping[str, float]
    ) -> None:
        """Add a round, or replace it.

        Args:
            scored: The round. One that is void counts for nobody.
            scores: All its scores. Where there are none, nobody has answered; where all are set aside, it counts for
                nobody.
            excused: The models whose lack of an answer is nobody's absence.
            absent: What a rule gives one who was not there yet, by metric.
        """
        kept = [(each.model_id, each.value, each.kind, each.metrics or None) for each in scores]
        if _counts(scored, kept):
            self._put(self._board_round(scored, kept, excused, absent))
        else:
            self._boards.void(scored.key, scored.at)
        facts = {metric: {"absent": value} for metric, value in absent.items()}
        self._unsaved[scored.key, scored.at] = None
        self._rounds[scored.key, scored.at] = replace(scored, facts=facts)

    def unsaved(self) -> list[ScoredRound]:
        """The rounds that are not stored as they are now: they are new, or their facts differ since."""
        for identity in self._boards.changed():
            if identity in self._rounds:
                self._rounds[identity] = replace(self._rounds[identity], facts=self._facts(identity))
                self._unsaved[identity] = None
        return [self._rounds[identity] for identity in self._unsaved if identity in self._rounds]

    def saved(self) -> None:
        """Those that were unsaved are stored."""
        self._unsaved.clear()

    def _facts(self, identity: tuple[str, datetime]) -> dict[str, dict[str, Any]]:
        facts: dict[str, dict[str, Any]] = {
            name: {field: getattr(each, field) for field in _FACTS}
            for name, each in self._boards.facts(*identity).items()
        }
        for metric, given in self._rounds[identity].facts.items():
            if given.get("absent") is not None:
                facts.setdefault(metric, {})["absent"] = given["absent"]
        return facts

    def standings(self, now: datetime, *, states: Mapping[str, str] | None = None) -> dict[str, list[Standing]]:
        """The standings of each board at this time.

        Args:
            now: The time.
            states: Those of the models; those that they have now unless given.
        """
        oldest = self._boards.oldest(now)
        if oldest is not None and len(self._rounds) > 2 * self._kept:
            self._rounds = {each: scored for each, scored in self._rounds.items() if scored.resolves_at > oldest}
            self._kept = max(_PAST, len(self._rounds))
            self._all_since = oldest if self._all_since is None else max(oldest, self._all_since)
        if states is None:
            states = {record.model_id: record.state for record in self._store.models()}
        standings = self._boards.standings(now, first_answers=self._first_answers, states=states)
        for note in self._boards.told():
            if (note.board, note.what) not in self._noted:
                self._noted.add((note.board, note.what))
                self._note(note)
        return standings


def _counts(scored: ScoredRound, scores: Sequence[KeptScore]) -> bool:
    """Whether a round counts, by its scores: not if all its answers were set aside. Nobody's answers count."""
    if scored.void is not None:
        return False
    nobodys = True
    for _, value, kind, metrics in scores:
        if kind == "unscorable" or (kind is None and (value is not None or metrics)):
            return True
        nobodys = nobodys and kind == "retracted"
    return nobodys
