"""Draws the pictures of docs/ranking.md from the demo's real history: `pip install matplotlib`, then run this file.

Each is drawn twice, for a light and for a dark background. Skill is computed here a second time, from the formulas on
the page, and not by the package.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "examples" / "daily_density"))

from crunch_game import CRPS, History, Prediction  # noqa: E402
from crunch_game.datasets import daily_prices  # noqa: E402
from crunch_game.loading import load_model  # noqa: E402
from crunch_game.scoring import as_normal_mixture  # noqa: E402
from daily_density import ASSETS, EXAMPLES, TrackerBase  # noqa: E402
from daily_density.game import game  # noqa: E402

DAY = timedelta(days=1)
COLORS = {
    "ewma_volatility": "#1a85ff",
    "empirical_mixture": "#d41159",
    "momentum": "#e69f00",
    "constant_normal": "#7a8594",
    "moody": "#2ca58d",
}
"""Told apart by the colour-blind, and on both backgrounds."""
LOOKS = {"": ("#1f2328", "#d0d7de"), "-dark": ("#e6edf3", "#3d444d")}
"""Ink and grid, by what the file's name ends in."""


class Played(NamedTuple):
    """One round: each model's answer and loss, by name."""

    asset: str
    at: datetime
    outcome: float
    answers: dict[str, Any]
    losses: dict[str, float]


def play() -> list[Played]:
    """Every round of the demo's whole history."""
    rows = daily_prices()
    history, rule = History(rows), CRPS()
    models = {file.stem: load_model(str(file), TrackerBase) for file in sorted(EXAMPLES.glob("*.py"))}
    asked: list[Prediction] = []
    for row in rows:
        for name, model in models.items():
            model.tick(row.prices)
            for asset in ASSETS:
                arguments = {"asset": asset, "horizon": 86400, "step": 86400}
                try:
                    value = model.predict(**arguments)
                except RuntimeError:  # moody's, which is absent then
                    continue
                asked.append(Prediction(name, "1", asset, row.time, row.time + DAY, 86400.0, arguments, value=value))
    truths = [game.resolve(prediction, history) for prediction in asked]
    known = [(each, truth) for each, truth in zip(asked, truths, strict=True) if isinstance(truth, float)]
    losses = rule.score_many([each for each, _ in known], [truth for _, truth in known])
    rounds: dict[tuple[datetime, str], Played] = {}
    for (each, truth), loss in zip(known, losses, strict=True):
        found = rounds.setdefault((each.at, each.key), Played(each.key, each.at, truth, {}, {}))
        found.answers[each.model_id], found.losses[each.model_id] = each.value[0], float(loss)
    return [rounds[moment] for moment in sorted(rounds)]


def skills(rounds: list[Played]) -> tuple[list[dict[str, float]], list[float]]:
    """Each model's skill in each round, its absence included; and what absence counts as in each."""
    past: dict[str, list[float]] = {asset: [] for asset in ASSETS}
    found, absences = [], []
    for each in rounds:
        entries, own = past[each.asset], median(each.losses.values())
        usual = fmean(entries[-30:]) if len(entries) >= 10 else fmean([*entries, own])
        entries.append(own)
        absences.append(-2.0 * max(1.0, min(5.0, own / usual)))
        skill = {}
        for model in COLORS:
            if model in each.losses:
                others = [loss for other, loss in each.losses.items() if other != model]
                skill[model] = max(-10.0, min(10.0, (median(others) - each.losses[model]) / usual))
            else:
                skill[model] = absences[-1]
        found.append(skill)
    return found, absences


def figure(width: float, height: float, look: str, columns: int = 1, *, shared: bool = False) -> tuple[Any, list[Axes]]:
    ink, grid = LOOKS[look]
    mpl.rcParams.update(
        {
            "svg.fonttype": "path",
            "svg.hashsalt": "crunch_game",
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "text.color": ink,
            "axes.labelcolor": ink,
            "xtick.color": ink,
            "ytick.color": ink,
            "axes.edgecolor": grid,
            "grid.color": grid,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
        }
    )
    drawn, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained", sharey=shared)
    shown = list(np.atleast_1d(axes))
    for axis in shown:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(length=0)
    return drawn, shown


def save(drawn: Any, name: str, look: str) -> None:
    drawn.savefig(HERE / f"{name}{look}.svg", transparent=True, metadata={"Date": None})
    plt.close(drawn)


def label_ends(axis: Axes, ends: dict[str, tuple[Any, float]], gap: float) -> None:
    """Write each line's name beside its end, no two upon each other."""
    lowest = -math.inf
    for name, (x, y) in sorted(ends.items(), key=lambda each: each[1][1]):
        lowest = max(y, lowest + gap)
        axis.annotate(
            name, (x, lowest), xytext=(6, 0), textcoords="offset points", va="center", color=COLORS[name], fontsize=9
        )


def normal_cdf(x: np.ndarray, density: Any) -> np.ndarray:
    parts = zip(*as_normal_mixture(density), strict=True)
    shares = [w * np.array([0.5 * math.erfc((loc - each) / (s * math.sqrt(2))) for each in x]) for w, loc, s in parts]
    return np.sum(shares, axis=0)


def draw_crps(rounds: list[Played], look: str) -> None:
    """What the CRPS measures: how far the forecast's distribution is from the truth's step, on a real day."""
    day = next(each for each in rounds if each.asset == "IBM" and each.at.date().isoformat() == "2006-05-02")
    drawn, axes = figure(9, 3.2, look, columns=2, shared=True)
    ink, _ = LOOKS[look]
    reach = np.linspace(-0.06, 0.06, 241)
    truth = day.outcome
    for axis, model in zip(axes, ("constant_normal", "ewma_volatility"), strict=True):
        forecast = normal_cdf(reach, day.answers[model])
        for side, level in ((reach <= truth, 0.0), (reach >= truth, 1.0)):
            axis.fill_between(100 * reach[side], forecast[side], level, color=COLORS[model], alpha=0.25, linewidth=0)
        axis.plot(100 * reach, forecast, color=COLORS[model], linewidth=2.2)
        axis.plot([-6, 100 * truth, 100 * truth, 6], [0, 0, 1, 1], color=ink, linewidth=1.4)
        axis.set_title(f"{model}: CRPS {100 * day.losses[model]:.2f} %", color=COLORS[model])
        axis.set_xlabel("IBM's return from 2 to 3 May 2006, in %")
        axis.annotate(f"it was {100 * truth:.1f} %", (100 * truth - 0.2, 0.93), ha="right", va="center", fontsize=9)
    axes[0].set_ylabel("probability of at most this")
    save(drawn, "crps", look)


def rolling(values: list[tuple[datetime, float]], length: timedelta) -> Iterator[tuple[datetime, float]]:
    """The mean over the window that ends at each time."""
    total, start = 0.0, 0
    for number, (at, value) in enumerate(values):
        total += value
        while values[start][0] <= at - length:
            total -= values[start][1]
            start += 1
        if at - values[0][0] >= length:
            yield at, total / (number + 1 - start)


def draw_years(rounds: list[Played], skill: list[dict[str, float]], look: str) -> None:
    """A year's mean of the raw score follows the market; skill shows who is better."""
    drawn, [left, right] = figure(10, 3.8, look, columns=2)
    ends: dict[str, tuple[Any, float]] = {}
    for model, color in COLORS.items():
        raw = [(each.at, 100 * each.losses[model]) for each in rounds if model in each.losses]
        left.plot(*zip(*list(rolling(raw, 365 * DAY))[::25], strict=True), color=color, linewidth=1.4)
        own = [(each.at, 100 * each_skill[model]) for each, each_skill in zip(rounds, skill, strict=True)]
        line = list(rolling(own, 365 * DAY))[::25]
        right.plot(*zip(*line, strict=True), color=color, linewidth=1.6)
        ends[model] = line[-1]
    left.set_title("Mean CRPS of a year, in % of the price")
    right.set_title("Skill of a year, in % of what is usually lost")
    label_ends(right, ends, gap=1.9)
    save(drawn, "years", look)


def draw_skipping(skill: list[dict[str, float]], absences: list[float], look: str) -> None:
    """What a model gains by leaving out its worst rounds, if it knew them beforehand."""
    drawn, [axis] = figure(8, 3.4, look)
    rounds = sorted((100 * each["momentum"], 100 * absent) for each, absent in zip(skill, absences, strict=True))
    counts = [len(rounds) * share // 200 for share in range(41)]  # half per cents
    alone = [fmean(own for own, _ in rounds[left:]) for left in counts]
    with_absences = [
        fmean([absent for _, absent in rounds[:left]] + [own for own, _ in rounds[left:]]) for left in counts
    ]
    shares = [100 * left / len(rounds) for left in counts]
    scores = [min(both) for both in zip(alone, with_absences, strict=True)]
    ink, _ = LOOKS[look]
    axis.axhline(scores[0], color=ink, linewidth=0.8, linestyle=(0, (1, 2)))
    axis.plot(shares, alone, color=COLORS["constant_normal"], linewidth=2, linestyle=(0, (4, 2)))
    axis.plot(shares, scores, color=COLORS["ewma_volatility"], linewidth=2.2)
    axis.set_xlabel("share of its rounds that momentum leaves out, its worst ones first, in %")
    axis.set_ylabel("skill, in %")
    for name, y, color in (
        ("mean of what it answered", alone[-1], COLORS["constant_normal"]),
        ("its score on the board", scores[-1], COLORS["ewma_volatility"]),
    ):
        axis.annotate(name, (20, y), xytext=(6, 0), textcoords="offset points", va="center", color=color)
    axis.annotate(
        "what it has with all its rounds",
        (20, scores[0]),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )
    for share in (0, 2, 5, 10):
        print(f"leaving out the worst {share} %: {scores[2 * share]:6.1f} %, own mean {alone[2 * share]:6.1f} %")
    save(drawn, "skipping", look)


def main() -> None:
    rounds = play()
    skill, absences = skills(rounds)
    for look in LOOKS:
        draw_crps(rounds, look)
        draw_years(rounds, skill, look)
        draw_skipping(skill, absences, look)
    for model in COLORS:
        own = [each[model] for each in skill]
        print(f"{model:20} {100 * fmean(own):6.2f} %")


if __name__ == "__main__":
    main()
