"""`leaderboard` and `copies`: what a store says of its models."""

from __future__ import annotations

import pytest
import walk

from crunch_game import open_store
from crunch_game.ranking import Board
from crunch_game.sync import run_game

BTC = walk.Predict(every="1h", horizon="2h", asset="BTC")


class Twin(walk.Last):
    """An account of its own, and somebody else's model."""


@pytest.fixture
def kept():
    boards = [Board("near", windows={"day": "1d"}), Board("far", windows={"week": "7d"}, by="mean", missing="worst")]
    game = walk.game(predictions=[BTC], windows=None, boards=boards)
    url = "sqlite:///walk.db"
    with open_store(url) as store:
        run_game(game, ["walk:Mean", "walk:Last", Twin], store=store, host="inline")
    return url


def test_every_board_is_shown_with_its_name(command, kept):
    shown = command("leaderboard", "--store", kept).stdout

    for text in ("walk, as of 2024-01-03", "UTC: near", "UTC: far", "day ▾", "week ▾", "mean score"):
        assert text in shown
    # The board by the mean has none.
    assert shown.count("skill: by how much better than the others, in % of the usual loss") == 1


def test_a_board_of_an_earlier_version_is_to_be_made_anew(command, kept):
    with open_store(kept) as store:
        note = store.noted("leaderboard")
        store.note("leaderboard", {name: note[name] for name in ("game", "at", "rank_by", "leaderboard")})
    ended = command("leaderboard", "--store", kept)

    assert (ended.code, ended.stderr.strip()) == (
        2,
        "error: the store was last scored by an earlier version; start its game to have its boards",
    )


def test_copies_are_named_with_whose_they_are(command, kept):
    shown = command("copies", "--store", kept)
    [copy] = command("copies", "--store", kept, "--json").document["copies"]

    assert (copy["model_id"], copy["of"], copy["share"], copy["distance"], copy["late"]) == ("Twin", "Last", 1, 0, 0)
    assert shown.code == 0
    [row] = [line.split() for line in shown.stdout.splitlines() if "Twin" in line]
    assert row[:2] == ["Twin", "Last"]
    assert row[3:6] == ["100%", "equal", "-"]


def test_where_nobody_copies_it_says_so(command, kept):
    shown = command("copies", "--store", kept, "--window", "1h")

    assert shown.stdout.strip() == (
        "no model answers as another does, in the last 1h of this game; models that share fewer than ten different "
        "answers are not compared: a longer --window has more"
    )


def test_who_answers_as_a_benchmark_is_its_copy_whoever_was_first(command):
    game = walk.game(predictions=[BTC], windows=None, boards=[Board("day", windows={"day": "1d"})], benchmarks=["Twin"])
    with open_store("sqlite:///bench.db") as store:
        run_game(game, ["walk:Mean", "walk:Last", Twin], store=store, host="inline")
    [copy] = command("copies", "--store", "sqlite:///bench.db", "--json").document["copies"]

    assert (copy["model_id"], copy["of"]) == ("Last", "Twin")
