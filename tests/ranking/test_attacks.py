"""What a participant gains by tricks: its place, and a rival's, with the trick and without it.

Each is played in the same small league, 480 hours long with fixed seeds, by the worst of its models ("eve") unless it
says otherwise, on the default board. The table in `docs/ranking.md` is made of these numbers, and held true to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from crunch_game.ranking import Board, BoardRound, Boards, Metric, Standing

Losses = NDArray[np.float64]
League = dict[tuple[str, str], Losses]
"""By key and model, the loss of each hour: NaN is no answer, infinity one that cannot be scored."""

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = 480
PAGE = Path(__file__).parents[2] / "docs" / "ranking.md"
HONEST = {"ada": 0.9, "bob": 1.0, "cy": 1.05, "dan": 1.15, "eve": 1.3}
"""How large their losses are. Eve's are the largest."""


def wildness(draw: np.random.Generator) -> Losses:
    level = np.zeros(HOURS)
    for hour in range(1, HOURS):
        level[hour] = 0.97 * level[hour - 1] + 0.07 * draw.normal()
    level[100:124] += 1.2  # a wild day
    return np.exp(level)


@cache
def season(seed: int) -> tuple[Losses, Mapping[str, Losses]]:
    draw = np.random.default_rng(seed)
    return wildness(draw), {name: abs(draw.normal(size=HOURS)) * bad for name, bad in HONEST.items()}


def league(seed: int = 3, keys: Mapping[str, float] | None = None, names: tuple[str, ...] = tuple(HONEST)) -> League:
    """Honest models only. `keys` are the sizes of the losses of each key."""
    wild, errors = season(seed)
    shifted = enumerate((keys or {"BTC": 1.0}).items())
    return {
        (key, name): np.roll(errors[name], 7 * number) * wild * size
        for number, (key, size) in shifted
        for name in names
    }


def play(losses: League, **options: object) -> dict[str, Standing]:
    board = Board("all", windows={"all": "3650d"}, **options)  # type: ignore[arg-type]
    benchmarks = ["bench"] if board.reference else []
    boards = Boards([board], {"loss": Metric()}, benchmarks)
    for key in dict.fromkeys(key for key, _ in losses):
        of_key = {name: found.tolist() for (each, name), found in losses.items() if each == key}
        for hour in range(HOURS):
            scores = {name: column[hour] for name, column in of_key.items() if math.isfinite(column[hour])}
            worst = frozenset(name for name, column in of_key.items() if column[hour] == math.inf)
            at = T0 + timedelta(hours=hour)
            scored = {"loss": scores}
            boards.put(BoardRound(key, at, at + timedelta(hours=1), scores=scored, unscorable={"loss": worst}))
    [found] = boards.standings(T0 + timedelta(hours=HOURS)).values()
    return {standing.model_id: standing for standing in found}


def placed(standing: Standing | None) -> tuple[int | None, float]:
    return (None, -math.inf) if standing is None else (standing.rank, standing.skill or 0.0)


@dataclass(frozen=True)
class Attack:
    """One trick.

    Attributes:
        trick: In words, for the page.
        who: Whose place is told: who plays the trick, or whom it is to hurt.
        before: The league without it.
        after: The league with it.
        noise: By how much the skill may be better all the same.
    """

    trick: str
    who: str
    before: Callable[[], League]
    after: Callable[[League], League]
    noise: float = 0.03

    @cache  # noqa: B019 - the page shows what its own test looked at
    def places(self) -> tuple[tuple[int | None, float], tuple[int | None, float]]:
        before = self.before()
        return placed(play(before).get(self.who)), placed(play(self.after(dict(before))).get(self.who))


def without(name: str, hours: Losses | slice) -> Callable[[League], League]:
    """Somebody gives no answer in these hours."""

    def gone(losses: League) -> League:
        for key in [each for each in losses if each[1] == name]:
            losses[key] = losses[key].copy()
            losses[key][hours] = np.nan
        return losses

    return gone


def hardest(share: float, name: str = "eve") -> Losses:
    """The hours in which it would lose most, as if it knew."""
    lost = league()["BTC", name]
    return np.argsort(lost)[-int(share * HOURS) :].astype(float).astype(int)  # type: ignore[return-value]


def wildest(share: float) -> Losses:
    wild, _ = season(3)
    return np.argsort(wild)[-int(share * HOURS) :]  # type: ignore[return-value]


def added(name: str, values: Losses | float, hours: slice = slice(None)) -> Callable[[League], League]:
    """An account more, which answers in these hours."""

    def more(losses: League) -> League:
        for key in {key for key, _ in losses}:
            losses[key, name] = np.full(HOURS, np.nan)
            losses[key, name][hours] = values if isinstance(values, float) else values[hours]
        return losses

    return more


def answers(name: str, value: float, hours: slice) -> Callable[[League], League]:
    """It loses this much in these hours."""

    def changed(losses: League) -> League:
        losses["BTC", name] = losses["BTC", name].copy()
        losses["BTC", name][hours] = value
        return losses

    return changed


def both(*tricks: Callable[[League], League]) -> Callable[[League], League]:
    def all_of_them(losses: League) -> League:
        for trick in tricks:
            losses = trick(losses)
        return losses

    return all_of_them


def renamed(after: int) -> Callable[[League], League]:
    """From an hour on, eve plays under a new name."""

    def anew(losses: League) -> League:
        losses["BTC", "eve2"] = losses["BTC", "eve"].copy()
        losses["BTC", "eve2"][:after] = np.nan
        losses["BTC", "eve"] = losses["BTC", "eve"].copy()
        losses["BTC", "eve"][after:] = np.nan
        return losses

    return anew


def lucky(hours: int) -> slice:
    """The stretch in which eve did best, as if it had known."""
    losses = league()
    mean = np.mean([losses["BTC", name] for name in HONEST if name != "eve"], axis=0)
    gain = np.convolve(mean - losses["BTC", "eve"], np.ones(hours), "valid")
    start = int(np.argmax(gain))
    return slice(start, start + hours)


def only(name: str, hours: slice) -> Callable[[League], League]:
    outside = np.ones(HOURS, dtype=bool)
    outside[hours] = False
    return without(name, outside)  # type: ignore[arg-type]


def pair() -> League:
    return league(names=("ada", "eve"))


def two_keys() -> League:
    """The second has losses of a thousandth: in raw means it would not count."""
    return league(keys={"BTC": 1000.0, "XRP": 1.0})


def easy_only(losses: League) -> League:
    losses["BTC", "eve"] = np.full(HOURS, np.nan)
    return losses


MISSED = slice(300, 302)
ATTACKS = [
    Attack("sits out the hours that are wild for all", "eve", league, without("eve", wildest(0.2))),
    Attack(
        "sits out the tenth of hours that it would lose most in, if it could know",
        "eve",
        league,
        without("eve", hardest(0.1)),
    ),
    Attack(
        "fails, dies or is late on purpose in every fourth hour", "eve", league, without("eve", slice(None, None, 4))
    ),
    Attack("is infinitely wrong in one hour of twenty", "eve", league, answers("eve", math.inf, slice(None, None, 20))),
    Attack("joins after the wild day", "eve", league, without("eve", slice(0, 124))),
    Attack("leaves after its luckiest day", "eve", league, only("eve", lucky(24))),
    Attack("leaves after its luckiest three days", "eve", league, only("eve", lucky(72))),
    Attack("begins anew under another name after half the season", "eve2", league, renamed(240)),
    Attack("begins anew for the last day", "eve2", league, renamed(456)),
    Attack("one lucky answer against one rival", "eve", pair, only("eve", lucky(1))),
    Attack("answers only the easier of two assets", "eve", two_keys, easy_only),
    Attack(
        "an exact copy of it joins after the wild day",
        "copy",
        league,
        added("copy", league()["BTC", "eve"], slice(124, HOURS)),
        noise=0.12,  # two standard errors: it has other hours
    ),
    Attack(
        "a rival of the leader has an accomplice who is infinitely wrong always", "ada", league, added("mal", math.inf)
    ),
    Attack(
        "the leader misses two hours, an accomplice is absurd in them",
        "ada",
        lambda: without("ada", MISSED)(league()),
        added("mal", 1e300, MISSED),
    ),
    Attack(
        "the same with one rival only",
        "ada",
        lambda: without("ada", MISSED)(pair()),
        added("mal", 1e300, MISSED),
    ),
    Attack(
        "two accomplices of eve's are infinitely wrong always",
        "eve",
        league,
        both(added("mal", math.inf), added("nel", math.inf)),
        noise=0.6,  # everybody gains as much, and nobody a place
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.trick)
def test_no_trick_gains_nor_hurts(attack: Attack) -> None:
    before, after = attack.places()
    if attack.who == "ada":  # whom it is to hurt
        assert after[0] == before[0] == 1
        assert after[1] > before[1] - 0.05
    else:  # who plays it
        known = before if before[0] is not None else placed(play(league())["eve"])
        assert after[0] is None or after[0] >= known[0]  # type: ignore[operator]
        if after[0] is not None:
            assert after[1] <= known[1] + attack.noise


@pytest.mark.parametrize("others", [*range(1, 11), 17, 30])
def test_an_accomplice_does_not_put_an_absent_leader_last_in_any_field(others: int) -> None:
    """Nor does the hour weigh more than the few that an absence may."""
    draw = np.random.default_rng(others)
    names = [f"m{number}" for number in range(others)]
    losses: League = {("BTC", name): abs(draw.normal(size=HOURS)) * 1.3 for name in names}
    losses["BTC", "ada"] = abs(draw.normal(size=HOURS)) * 0.8
    losses["BTC", "ada"][400] = np.nan
    before, after = play(losses), play(added("mal", 1e300, slice(400, 401))(dict(losses)))

    assert before["ada"].rank == after["ada"].rank == 1
    assert after["ada"].skill == pytest.approx(before["ada"].skill, abs=10 / HOURS)
    assert all(abs((after[name].skill or 0) - (before[name].skill or 0)) < 10 / HOURS for name in names)


def test_a_lucky_start_is_not_paid() -> None:
    """Whoever plays a tenth of the window in his luckiest hours may be shown, and is not paid."""
    found = play(only("eve", lucky(72))(league()))["eve"]

    assert found.scored == 72
    assert not found.payable
    assert play(only("eve", lucky(24))(league()))["eve"].marks == ("provisional",)


def test_with_a_benchmark_a_majority_of_accomplices_moves_nobody() -> None:
    honest = league()
    honest["BTC", "bench"] = season(3)[0] * abs(np.random.default_rng(9).normal(size=HOURS)) * 1.2
    crowd = dict(honest)
    for number in range(20):
        crowd = added(f"mal{number}", 1e6)(crowd)
    before, after = play(honest, reference="bench"), play(crowd, reference="bench")

    order = [name for name, standing in after.items() if name in honest_names(before)]
    assert order == [name for name in before if name in honest_names(before)]
    assert all(standing.rank is not None and standing.rank > 5 for name, standing in after.items() if name[:3] == "mal")


def honest_names(found: Mapping[str, Standing]) -> set[str]:
    return {name for name in found if not name.startswith("mal")}


def row(attack: Attack) -> str:
    def told(place: tuple[int | None, float]) -> str:
        rank, skill = place
        if skill == -math.inf:
            return "not on the board"
        return f"{'no rank' if rank is None else rank}, {100 * skill:+.1f}%"

    before, after = map(told, attack.places())
    return f"| {attack.trick} | {attack.who} | {before} | {after} |"


def table() -> list[str]:
    head = ["| trick | whose place | without | with |", "|---|---|---|---|"]
    return head + [row(attack) for attack in ATTACKS]


def test_the_page_has_these_numbers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = text[text.index("<!-- attacks -->") : text.index("<!-- /attacks -->")]

    assert [line for line in shown.splitlines() if line.startswith("|")] == table()
