"""A board as its author writes it: what is made of what is left out, and what is told where it cannot be."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crunch_game.errors import GameError
from crunch_game.ranking import Board, BoardRound, Boards, Last, Metric, RoundInfo

T0 = datetime(2024, 1, 1, tzinfo=UTC)
INFO = RoundInfo("BTC", T0, 3600.0, {"asset": "BTC"})


@pytest.mark.parametrize(
    ("windows", "longest"),
    [
        ({"recent": "24h", "anchor": "7d"}, "anchor"),
        ({"anchor": timedelta(days=7), "recent": 60}, "anchor"),
        ({"last": Last(10_000), "day": "1d"}, "day"),
        ({"few": Last(3), "many": Last(600)}, "many"),
    ],
)
def test_the_longest_window_determines_the_ranks(windows: Any, longest: str) -> None:
    assert Board("all", windows=windows).rank_by == longest
    assert Board("all", windows=windows, rank_by=next(iter(windows))).rank_by == next(iter(windows))


def test_a_share_is_what_was_written() -> None:
    needed = {least: Board("all", least=least).needed(30) for least in (0.1, 0.3, 0.7, 1.0, 0, 0.0, 200)}
    assert needed == {0.1: 3, 0.3: 9, 0.7: 21, 1.0: 30, 0: 0, 200: 200}
    assert Board("all").needed(31) == 4
    assert Board("all", least=0.07).needed(100) == 7  # as a float, 0.07 * 100 is above 7


def test_a_board_chooses_and_weighs_rounds() -> None:
    board = Board("all", of=lambda r: r.arguments["asset"] == "BTC", weight=lambda r: r.horizon / 7200)
    assert board.weight_of(INFO) == 0.5
    assert board.weight_of(RoundInfo("ETH", T0, 3600.0, {"asset": "ETH"})) is None
    assert Board("all").weight_of(INFO) == 1.0


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf, "1", None, True, 10**400])
def test_a_weight_is_finite_and_above_zero(weight: Any) -> None:
    with pytest.raises(GameError) as caught:
        Board("1h", weight=lambda r: weight).weight_of(INFO)
    message = str(caught.value)
    assert message.startswith(
        "board '1h': the weight of the round 'BTC' at 2024-01-01T00:00:00+00:00 must be a finite "
    )
    assert message.endswith(f"number above zero, not {weight!r}") or isinstance(weight, int)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "a board has a name, such as Board(\"global\"), not ''"),
    ({"name": 3}, 'a board has a name, such as Board("global"), not 3'),
    ({"windows": {}}, 'it has no window; give one, for example windows={"anchor": "7d"}'),
    ({"windows": "7d"}, 'windows is \'7d\'; give lengths by name, such as {"anchor": "7d"}'),
    ({"windows": {"day": 0}}, "windows['day'] 0 must be longer than zero and finite"),
    ({"rank_by": "year"}, "rank_by 'year' is not a window; the windows are recent, steady, anchor"),
    ({"least": -0.1}, "least is a share, such as 0.1, or a number of rounds, such as 200, not -0.1"),
    ({"least": "10%"}, "least is a share, such as 0.1, or a number of rounds, such as 200, not '10%'"),
    ({"least": True}, "least is a share, such as 0.1, or a number of rounds, such as 200, not True"),
    ({"least": 20.0}, "least 20.0 is more than all rounds; a number of rounds is written without a point"),
    ({"by": "median"}, 'by is "skill" or "mean", not \'median\''),
    ({"missing": "worst"}, 'missing is only for a board by the mean; write by="mean" too, or leave it out'),
    ({"newcomers": "absent"}, 'newcomers is only for a board by the mean; write by="mean" too, or leave it out'),
    ({"newcomers": "late", "by": "mean"}, "newcomers is None or \"absent\", not 'late'"),
    ({"reference": "ada", "by": "mean"}, "reference is only for a board by skill: a mean compares with nobody"),
    ({"missing": "best", "by": "mean"}, "missing is \"worst\", a number or a function, not 'best'"),
    ({"missing": math.nan, "by": "mean"}, "the rule for missing predictions must give a finite number, got nan"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_a_board_that_cannot_be_says_why(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GameError) as caught:
        Board(**{"name": "b", **arguments})
    assert str(caught.value).removeprefix("board 'b': ") == message


@pytest.mark.parametrize("n", [0, -1, 2.0, "600", True])
def test_last_is_a_number_of_rounds(n: Any) -> None:
    with pytest.raises(GameError, match=r"give a number of rounds, such as Last\(600\)"):
        Last(n)


@pytest.mark.parametrize("unit", ["skill", 0, math.inf, math.nan, True])
def test_a_unit_is_usual_a_number_or_none(unit: Any) -> None:
    with pytest.raises(GameError, match="a rule's unit"):
        Metric(unit=unit)


@pytest.mark.parametrize(
    ("boards", "metrics", "message"),
    [
        ([Board("a"), Board("a")], {"loss": Metric()}, "two boards are called 'a'; give each a name of its own"),
        ([Board("a")], {}, "board 'a' must say which metric it counts; the metrics are none"),
        (
            [Board("a")],
            {"price": Metric(), "volatility": Metric()},
            "board 'a' must say which metric it counts; the metrics are price, volatility",
        ),
        (
            [Board("a", metric="brier")],
            {"price": Metric()},
            "board 'a' counts 'brier', which is no metric; the metrics are price",
        ),
        (
            [Board("a")],
            {"loss": Metric(unit=None)},
            "board 'a' is by skill, but the scores of its rule are normalised already, and have no unit; "
            'write by="mean"',
        ),
        (
            [Board("a", reference="eve")],
            {"loss": Metric()},
            "board 'a' compares with 'eve', which is no benchmark; the benchmarks are bench",
        ),
    ],
)
def test_boards_that_do_not_fit_their_metrics_say_so(boards: Any, metrics: Any, message: str) -> None:
    with pytest.raises(GameError) as caught:
        Boards(boards, metrics, ["bench"])
    assert str(caught.value) == message


def of(value: float, second: int = 0) -> BoardRound:
    start = T0 + timedelta(hours=second)
    return BoardRound("BTC", start, start + timedelta(hours=1), scores={"loss": {"ada": value, "bob": 2.0}})


@pytest.mark.parametrize(
    ("board", "message"),
    [
        (Board("a", weight=lambda r: 1.0 if r.at == T0 else 0.0), "must be a finite number above zero, not 0.0"),
        (Board("a", by="mean", missing=lambda scores: 9.0 if scores == [1.0, 2.0] else math.nan), "number, got nan"),
    ],
)
def test_a_round_that_an_authors_function_fails_for_changes_nothing(board: Board, message: str) -> None:
    boards = Boards([board], {"loss": Metric()})
    boards.put(of(1.0))
    before = boards.standings(T0 + timedelta(hours=9))
    with pytest.raises(GameError, match=message):
        boards.put(of(5.0, 1))
    assert boards.standings(T0 + timedelta(hours=9)) == before
    assert boards.facts("BTC", T0 + timedelta(hours=1)) == {}


def test_what_is_no_round_is_told_and_changes_nothing() -> None:
    boards = Boards([Board("a")], {"loss": Metric()})
    with pytest.raises(GameError) as caught:
        boards.put(of(math.inf))
    assert str(caught.value) == (
        "the round 'BTC' at 2024-01-01T00:00:00+00:00 has the score inf for ada; what has no finite score is unscorable"
    )
    with pytest.raises(GameError, match=r"the round 'BTC' at 2024-01-01T00:00:00\+00:00 must resolve after its slot"):
        boards.put(BoardRound("BTC", T0, T0))
    assert boards.standings(T0 + timedelta(hours=9)) == {"a": []}
