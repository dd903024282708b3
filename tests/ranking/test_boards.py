"""Boards give, to the last bit, what their rules say: however rounds came, were corrected, replaced and made void."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crunch_game.ranking import Board, BoardRound, Boards, Last, Metric, Standing

T0 = datetime(2024, 1, 1, tzinfo=UTC)
Id = tuple[str, datetime]


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def played(hour: float, scores: Mapping[str, float] | None = None, key: str = "BTC", **options: Any) -> BoardRound:
    horizon = options.pop("horizon", 1.0)
    found = options.pop("metric", "loss")
    packed = {name: {found: options.pop(name)} for name in ("unscorable", "absences", "absent") if name in options}
    return BoardRound(
        key, at(hour), at(hour + horizon), horizon * 3600, scores={found: scores or {}}, **packed, **options
    )


def series(**values: Sequence[float | None]) -> list[BoardRound]:
    """Rounds at 0, 1, 2, ... with the scores of each model; None where it was absent."""
    every = zip(*values.values(), strict=True)
    return [
        played(hour, {name: score for name, score in zip(values, scores, strict=True) if score is not None})
        for hour, scores in enumerate(every)
    ]


def ranked(
    rounds: Sequence[BoardRound],
    board: Board | None = None,
    now: float = 1000,
    metric: Metric | None = None,
    benchmarks: Collection[str] = (),
    **options: Any,
) -> dict[str, Standing]:
    board = board or Board("all", windows={"all": "1000d"})
    boards = Boards([board], {"loss": metric or Metric()}, benchmarks)
    for each in rounds:
        boards.put(each)
    [standings] = boards.standings(at(now), **options).values()
    return {standing.model_id: standing for standing in standings}


# The rules, plainly: everything anew from all rounds, in fractions


class Plainly:
    """What RANKING says, without a thought for time and memory."""

    def __init__(self, rounds: Mapping[Id, BoardRound], metric: Metric) -> None:
        self.rounds, self.metric = rounds, metric
        self.known: dict[str, list[tuple[datetime, datetime, float, int]]] = {}
        for each in rounds.values():
            if (entry := self.entry(each)) is not None:
                self.known.setdefault(each.key, []).append((each.resolves_at, each.at, entry, len(self.losses(each))))
        for known in self.known.values():
            known.sort()
        self.usuals = {identity: self.usual(each) for identity, each in rounds.items()}

    def losses(self, each: BoardRound) -> dict[str, float]:
        sign = -1 if self.metric.higher_is_better else 1
        losses = {name: sign * score for name, score in each.scores["loss"].items()}
        return {**dict.fromkeys(each.unscorable.get("loss", ()), math.inf), **losses}

    def entry(self, each: BoardRound) -> float | None:
        losses = sorted(self.losses(each).values())
        entry = None if not losses else losses[0] if len(losses) < 3 else median(losses)
        return entry if entry is not None and math.isfinite(entry) and each.aside is None else None

    def usual(self, each: BoardRound) -> float | None:
        known = self.known.get(each.key, [])
        past = [other for other in known if other[0] <= each.at]
        if len(past) >= 10:
            full = [other for other in past if other[3] >= 3]
            read = (full if len(full) >= 10 else past)[-30:]
        else:
            read = [other for other in known if other[:2] <= (each.resolves_at, each.at)][:10]
        return float(sum(Fraction(other[2]) for other in read) / len(read)) if read else None

    def counted(self, board: Board, each: BoardRound) -> tuple[dict[str, float], float] | None:
        """What each answer counts, and what an absence does."""
        scores, unscorable = each.scores["loss"], each.unscorable.get("loss", frozenset())
        higher = self.metric.higher_is_better
        if each.aside is not None or (board.of is not None and not board.of(each)):  # type: ignore[arg-type]
            return None
        if board.by == "mean":
            absent = each.absent.get("loss")
            if absent is None and not scores:
                return None
            if absent is None:
                absent = board.missing_score(sorted(scores.values()), higher_is_better=higher)
            worst = (min if higher else max)([*scores.values(), absent])
            return {**dict.fromkeys(unscorable, worst), **scores}, absent
        usual, by_usual = self.usuals[each.key, each.at], self.metric.unit == "usual"
        unit = None if usual is None else abs(usual) if by_usual else float(self.metric.unit or 0)
        if usual is None or not unit:
            return None
        losses = self.losses(each)

        def against(others: Sequence[float]) -> float:
            if board.reference in scores:
                return losses[board.reference]
            return median([*others, *[usual] * (3 - len(others))])

        skills = {
            name: max(-10.0, min(10.0, (against([losses[o] for o in losses if o != name]) - losses[name]) / unit))
            for name in scores
        }
        reference = against(list(losses.values()))
        absence = -2.0 * max(1.0, min(5.0, reference / unit)) if by_usual else -2.0
        return {**dict.fromkeys(unscorable, -10.0), **skills}, absence

    def standings(self, now: datetime, first_answers: Mapping[str, Mapping[str, datetime]]) -> dict[str, Any]:
        return {board.name: self.board(board, now, first_answers) for board in BOARDS}

    def board(self, board: Board, now: datetime, first_answers: Mapping[str, Mapping[str, datetime]]) -> Any:
        on = [each for each in self.rounds.values() if board.of is None or board.of(each)]  # type: ignore[arg-type]
        on.sort(key=lambda each: (each.resolves_at, each.at, each.key))
        counted = {(each.key, each.at): found for each in on if (found := self.counted(board, each))}
        resolved = [each for each in on if (each.key, each.at) in counted and each.resolves_at <= now]
        found: dict[str, dict[str, Any]] = {}
        for name in {name for each in on for name in self.losses(each)}:
            firsts = [each.at for each in on if name in self.losses(each)]
            firsts += [first for key, first in first_answers.get(name, {}).items() if key in {each.key for each in on}]
            mine = [
                each
                for each in resolved
                if (each.at >= min(firsts) or board.newcomers == "absent")
                and (name not in each.excused or name in self.losses(each))
            ]
            for window, length in board.lengths().items():
                if isinstance(length, Last):
                    inside, of = mine[-length.n :], length.n
                else:
                    of = sum(now - length < each.resolves_at for each in resolved)
                    inside = [each for each in mine if now - length < each.resolves_at]
                if result := self.result(board, name, inside, counted, of):
                    found.setdefault(name, {})[window] = result
        return self.places(board, {name: each for name, each in found.items() if board.rank_by in each})

    def result(
        self, board: Board, name: str, inside: Sequence[BoardRound], counted: Mapping[Id, Any], of: int
    ) -> dict[str, Any] | None:
        own: list[tuple[Fraction, Fraction]] = []
        every: list[tuple[Fraction, Fraction]] = []
        raw: dict[str, list[Fraction]] = {}
        for each in inside:
            values, absence = counted[each.key, each.at]
            weight = Fraction(board.weight(each) if board.weight else 1)  # type: ignore[arg-type]
            if board.by == "mean":
                absence = each.absences.get("loss", {}).get(name, absence)
            every.append((weight, Fraction(values.get(name, absence))))
            if name in values:
                own.append(every[-1])
            if name in each.scores["loss"]:
                raw.setdefault(each.key, []).append(Fraction(each.scores["loss"][name]))
        if not own:
            return None
        means = [sum(w * v for w, v in pairs) / sum(w for w, _ in pairs) for pairs in (every, own)]
        flat = [value for values in raw.values() for value in values]
        return {
            "score": means[0] if board.by == "mean" else min(means),
            "raw": float(sum(flat) / len(flat)) if flat else None,
            "keys": {key: float(sum(values) / len(values)) for key, values in raw.items()},
            "rounds": len(every),
            "scored": len(own),
            "enough": len(own) >= board.needed(of),
            "half": 2 * len(own) >= of,
        }

    def places(self, board: Board, found: Mapping[str, Mapping[str, Any]]) -> list[Any]:
        sign = -1 if board.by == "skill" or self.metric.higher_is_better else 1
        ranking = {name: each[str(board.rank_by)] for name, each in found.items()}
        names = sorted(ranking, key=lambda name: (not ranking[name]["enough"], sign * ranking[name]["score"], name))
        standings = []
        for name in names:
            own, all_enough = ranking[name], [each for each in ranking.values() if each["enough"]]
            rank = 1 + sum(sign * other["score"] < sign * own["score"] for other in all_enough)
            windows = {window: found[name].get(window) for window in board.windows}
            scores = {window: each and float(each["score"]) for window, each in windows.items()}
            raw = {window: each and each["raw"] for window, each in windows.items()}
            skill = board.by == "skill"
            marks = ("provisional",) * (not own["enough"]) + ("benchmark",) * (name == "bench")
            standings.append(
                Standing(
                    rank if own["enough"] else None,
                    name,
                    raw if skill else scores,
                    own["scored"] / own["rounds"],
                    own["rounds"],
                    own["scored"],
                    scores[str(board.rank_by)] if skill else None,
                    scores if skill else {},
                    own["keys"],
                    marks,
                    own["enough"] and own["half"] and name != "bench",
                    board.name,
                )
            )
        return standings


BOARDS = [
    Board("skill", windows={"short": "5h", "long": "40h"}),
    Board("benchmark", reference="bench", windows={"long": "40h"}),
    Board("weighed", of=lambda r: r.key != "SOL", weight=lambda r: 0.3 if r.key == "BTC" else 1.7, least=0.0),
    Board("last", windows={"few": Last(3), "many": Last(12)}, least=2),
    Board("mean", by="mean", windows={"last": Last(9), "long": "30h"}, weight=lambda r: 1 + r.horizon / 3600),
    Board("newcomers", by="mean", newcomers="absent", missing=7.5, windows={"last": Last(5)}),
]
MODELS = ["ada", "bob", "cid", "dan", "eve", "bench"]


def random_round(chance: random.Random, hour: int, key: str, harsh: bool) -> BoardRound:
    """A round in which anything may happen, more of it where it is harsh."""
    harsh = harsh != (chance.random() < 0.2)
    choices = [0.0, 1.0, 2.0, -1.0, 1e300, -1e300, 5e-324, 0.1] if harsh else [1.0, 2.0, 0.1, 0.7, 3.5]
    present = chance.choice([0.3, 0.8, 1.0])
    models = [name for name in MODELS if chance.random() < present]
    away = [name for name in MODELS if name not in models]
    scores = {name: chance.choice(choices) * (1 if harsh else chance.random() + 0.5) for name in models}
    unscorable = frozenset(name for name in models if chance.random() < 0.08)
    given = chance.random() < 0.2
    return played(
        hour,
        {name: score for name, score in scores.items() if name not in unscorable},
        key,
        horizon=chance.choice([1, 1, 1, 6]) if harsh else 1 if key == "BTC" else 5,
        unscorable=unscorable,
        excused=frozenset(name for name in away if chance.random() < 0.3),
        absences={name: 4.0 for name in away if given and chance.random() < 0.5},
        aside="no data" if chance.random() < 0.04 else None,
        **({"absent": 3.0} if given and chance.random() < 0.5 else {}),
    )


def history(chance: random.Random, hours: int, harsh: bool) -> Iterator[BoardRound | Id]:
    """Rounds, some of them late, some replaced or made void."""
    slots = [(hour, key) for hour in range(hours) for key in ("BTC", "ETH", "SOL")]
    slots.sort(key=lambda each: each[0] + (chance.random() * 30 if chance.random() < 0.2 else 0))
    for index, (hour, key) in enumerate(slots):
        yield random_round(chance, hour, key, harsh)
        if chance.random() < 0.15:
            hour, key = chance.choice(slots[max(0, index - 40) : index + 1])
            yield random_round(chance, hour, key, harsh) if chance.random() < 0.6 else (key, at(hour))


def follow(boards: Boards, rounds: dict[Id, BoardRound], event: BoardRound | Id) -> None:
    if isinstance(event, BoardRound):
        boards.put(event)
        rounds[event.key, event.at] = event
    else:
        boards.void(*event)
        rounds.pop(event, None)


def of_all() -> Any:
    return st.tuples(
        st.integers(0, 2**32).map(random.Random),
        st.sampled_from([Metric(), Metric(True), Metric(unit=0.25), Metric(True, 1.0)]),
        st.booleans(),
        st.integers(3, 45),
    )


@settings(max_examples=30, deadline=None)
@given(of_all())
def test_whatever_comes_in_whatever_order_it_is_what_the_rules_say(
    drawn: tuple[random.Random, Metric, bool, int],
) -> None:
    chance, metric, harsh, hours = drawn
    boards, rounds = Boards(BOARDS, {"loss": metric}, ["bench"]), dict[Id, BoardRound]()
    for event in history(chance, hours, harsh):
        follow(boards, rounds, event)
        if chance.random() < 0.05:
            boards.changed()  # the facts of some rounds are known before others come
    plain = Plainly(rounds, metric)
    for identity, each in rounds.items():
        facts = boards.facts(*identity)["loss"]
        assert (facts.entry, facts.answers) == (plain.entry(each), len(plain.losses(each)))
        assert facts.usual == plain.usuals[identity]
    now = at(chance.uniform(0, hours + 3))
    assert boards.standings(now) == plain.standings(now, {})


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(of_all())
def test_asked_at_any_moment_between_it_is_the_same(drawn: tuple[random.Random, Metric, bool, int]) -> None:
    """The clock may step back a little. What has left every window is forgotten, but for what later rounds read."""
    chance, metric, harsh, hours = drawn
    boards, rounds = Boards(BOARDS, {"loss": metric}, ["bench"]), dict[Id, BoardRound]()
    firsts: dict[str, dict[str, datetime]] = {}
    latest = float(hours)
    for number, event in enumerate(history(chance, hours, harsh)):
        follow(boards, rounds, event)
        if isinstance(event, BoardRound):
            for name in {*event.scores["loss"], *event.unscorable.get("loss", ())}:
                known = firsts.setdefault(name, {})
                known[event.key] = min(event.at, known.get(event.key, event.at))
        if chance.random() < 0.08:
            moment = number / 3 - chance.uniform(0, 3)
            latest = max(latest, moment)
            boards.standings(at(moment), first_answers=firsts)
    found, expected = boards.standings(at(latest), first_answers=firsts), Plainly(rounds, metric)
    assert found == expected.standings(at(latest), firsts)


@settings(max_examples=30, deadline=None)
@given(of_all())
def test_corrected_to_the_same_rounds_it_has_the_same_bits(drawn: tuple[random.Random, Metric, bool, int]) -> None:
    """Beside boards that were made anew, with the rounds in another order."""
    chance, metric, harsh, hours = drawn
    boards, rounds = Boards(BOARDS, {"loss": metric}, ["bench"]), dict[Id, BoardRound]()
    for event in history(chance, hours, harsh):
        follow(boards, rounds, event)
        if chance.random() < 0.05:
            boards.standings(at(0))
    shuffled = list(rounds.values())
    chance.shuffle(shuffled)
    anew = Boards(BOARDS, {"loss": metric}, ["bench"])
    for each in shuffled:
        anew.put(each)
    assert {each: boards.facts(*each) for each in rounds} == {each: anew.facts(*each) for each in rounds}
    assert boards.standings(at(hours)) == anew.standings(at(hours))


def test_started_with_the_facts_of_what_is_past_they_are_what_they_were() -> None:
    """Rounds older than every window are recalled by their facts; of who answered first, the store tells."""
    chance, boards_of = random.Random(5), [each for each in BOARDS if Last not in map(type, each.windows.values())]
    whole, facts, firsts = Boards(boards_of, {"loss": Metric()}, ["bench"]), [], dict[str, dict[str, datetime]]()
    rounds = [random_round(chance, hour, key, harsh=False) for hour in range(400) for key in ("BTC", "ETH")]
    for each in rounds:
        whole.put(each)
        for name in {*each.scores["loss"], *each.unscorable["loss"]}:
            firsts.setdefault(name, {}).setdefault(each.key, each.at)
    now = at(401)
    whole_facts = {(each.key, each.at): whole.facts(each.key, each.at)["loss"] for each in rounds}
    started = Boards(boards_of, {"loss": Metric()}, ["bench"])
    oldest = started.oldest(now)
    assert oldest == now - timedelta(days=7)
    for each in rounds:
        if each.resolves_at > oldest:
            started.put(each)
        elif each.at > oldest - timedelta(hours=80):
            known = whole_facts[each.key, each.at]
            facts.append((each.key, "loss", each.at, each.resolves_at, known.entry, known.answers))
    for recalled in facts:
        started.recall(*recalled)
    assert started.standings(now, first_answers=firsts) == whole.standings(now, first_answers=firsts)
    assert {each for each in started.changed() if started.facts(*each)["loss"] != whole_facts[each]} == set()


def test_boards_of_the_last_rounds_need_them_all_at_a_start() -> None:
    assert Boards(BOARDS, {"loss": Metric()}, ["bench"]).oldest(at(0)) is None


def test_rounds_that_no_board_needs_are_forgotten() -> None:
    boards = Boards([Board("day", windows={"day": "1d"}), Board("last", windows={"last": Last(5)})], {"loss": Metric()})
    for hour in range(1000):
        boards.put(played(hour, {"ada": 1.0, "bob": 2.0 + hour, "cid": 3000.0}))
        boards.standings(at(hour + 1))
    assert len(boards._rounds) == len(boards._order) == 24
    assert all(len(ranking._rounds) <= 24 for ranking in boards._rankings)
    assert len(boards._usual["loss", "BTC"]._entries) <= 24 + 128
    boards.changed()
    boards.void("BTC", at(970))  # forgotten, but still read
    assert len(boards.changed()) == 24
