"""Boards as people read them."""

from __future__ import annotations

import pytest

from crunch_game.ranking import Board, Metric, Standing, legend, shown
from crunch_game.ranking._shown import labels


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["predict(asset='BTC', horizon=3600)"], ["mean score"]),
        (["predict(asset='BTC', horizon=3600)", "predict(asset='ETH', horizon=3600)"], ["BTC", "ETH"]),
        (["predict(asset='BTC', horizon=60)", "predict(asset='ETH', horizon=3600)"], ["BTC", "ETH"]),
        (["predict('BTC', 60)", "predict('BTC', 1)", "predict('ETH', 1)"], ["BTC, 60", "BTC, 1", "ETH, 1"]),
        (["predict(asset='B, C')", "predict(asset='B, D')"], ["B, C", "B, D"]),
        (["predict() +60s", "predict(asset='BTC') +60s"], ["predict() +60s", "predict(asset='BTC') +60s"]),
        ([], []),
    ],
)
def test_keys_are_named_by_what_they_do_not_share(keys, names):
    assert labels(keys) == names


def test_a_board_by_skill_shows_per_cent_and_the_mean_of_each_key_but_none_across_keys():
    keys = ["predict(asset='BTC')", "predict(asset='ETH')"]
    leader = Standing(1, "ada", {"day": 5.0, "week": 4.0}, 0.75, 8, 6, 0.031, {"day": None, "week": 0.031})
    leader = Standing(
        *(getattr(leader, name) for name in list(leader.__slots__)[:8]), keys={keys[0]: 0.5, keys[1]: 9.5}
    )
    last = Standing(None, "bob", {"day": 1.0, "week": 2.0}, 1.0, 1, 1, -10, {"day": -10, "week": -10}, {keys[0]: 1e9})
    last = Standing(*(getattr(last, name) for name in list(last.__slots__)[:9]), marks=("provisional", "left"))

    assert shown([leader, last], "week") == [
        ["rank", "model", "day", "week ▾", "rounds", "coverage", "BTC", "ETH", "marks"],
        ["1", "ada", "–", "+3.1%", "8", "75.0%", "0.5", "9.5", ""],
        ["–", "bob", "-1000.0%", "-1000.0%", "1", "100.0%", "1e+09", "–", "provisional, left"],
    ]


def test_a_board_by_the_mean_shows_means():
    standing = Standing(1, "ada", {"day": 5.0, "week": None}, 1.0, 8, 8)

    assert shown([standing]) == [
        ["rank", "model", "day", "week", "rounds", "coverage"],
        ["1", "ada", "5", "–", "8", "100.0%"],
    ]


@pytest.mark.parametrize(
    ("skill", "cell"), [(0.0004, "0.0%"), (-0.0004, "0.0%"), (0.0, "0.0%"), (0.0006, "+0.1%"), (-0.0006, "-0.1%")]
)
def test_no_skill_has_no_sign(skill, cell):
    standing = Standing(1, "ada", {"day": 5.0}, 1.0, 8, 8, skill, {"day": skill})

    assert shown([standing])[1][2] == cell


@pytest.mark.parametrize(
    ("board", "unit", "said"),
    [
        (Board("a"), "usual", "skill: by how much better than the others, in % of the usual loss"),
        (
            Board("a", metric="brier"),
            "usual",
            "skill: by how much better than the others, in % of the rule's unit, 0.25",
        ),
        (Board("a", reference="half"), 1.0, "skill: by how much better than half, in % of the rule's unit, 1"),
        (Board("a", by="mean"), "usual", None),
    ],
)
def test_a_legend_says_what_skill_compares_with_and_is_a_share_of(board, unit, said):
    assert legend(board, {"first": Metric(unit=unit), "brier": Metric(unit=0.25)}) == said


def test_an_empty_board_has_a_head():
    assert shown([]) == [["rank", "model", "rounds", "coverage"]]
