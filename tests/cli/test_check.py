"""check: what is wrong with a submission, in sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

FAIR_GAME = "policy=walk.Policy(timeout=5)"
SLOW_GAME = "policy=walk.Policy(timeout=0.3)"
ABOVE = (
    "from walk import Walk\n\n\nclass Mine(Walk):\n    def tick(self, prices):\n        self.price = prices['BTC']\n\n"
)
PREDICT = "    def predict(self, asset, horizon):\n        "
RAISING = """ValueError: no [bold]idea[/]
Traceback (most recent call last):
  File "{path}", line 9, in predict
    raise ValueError("no [bold]idea[/]")
ValueError: no [bold]idea[/]"""


@pytest.fixture
def checked(command, game, tmp_path):
    def check(name: str, body: str, *arguments: str, whole: str | None = None, options: str = FAIR_GAME):
        path = tmp_path / f"{name}.py"
        path.write_text(whole if whole is not None else ABOVE + PREDICT + body + "\n")
        return command("check", path, "--game", game("", options), *arguments)

    return check


def messages(ended) -> list[str]:
    return [finding["message"] for finding in ended.document["findings"]]


def test_a_good_one_is_ready_to_play(checked):
    ended = checked("good", "return self.price")
    assert (ended.code, ended.stdout) == (0, "✓ good.py is ready to play\n")
    document = checked("good", "print('hello'); return self.price", "--json").document
    assert document == {"submission": str(Path.cwd() / "good.py"), "ok": True, "findings": []}


def test_one_that_raises(checked, tmp_path):
    ended = checked("raising", 'raise ValueError("no [bold]idea[/]")')
    assert ended.code == 1
    assert ended.stdout == (
        "✗ predict failed in 4 of 4 calls; the first time: " + RAISING.format(path=tmp_path / "raising.py") + "\n"
        "✗ in the game it would have been stopped: 3 failures of predict(asset='BTC', horizon=7200) in a row "
        "(the limit is 3)\n"
    )


def test_one_that_raises_now_and_then_in_tick(checked):
    body = (
        "return 1.0\n\n    def tick(self, prices):\n        if prices['BTC'] > 100:\n            raise KeyError('dear')"
    )
    ended = checked("ticking", body, "--json", options="policy=walk.Policy(max_consecutive_failures=0)")
    assert ended.code == 1
    [message] = messages(ended)
    assert message.startswith("tick failed in ")
    assert message.endswith(" of 20 calls; the first time: KeyError: 'dear'")


def test_one_that_is_slow(checked):
    game = "policy=walk.Policy(timeout=1.0)"
    ended = checked("slow", "import time; time.sleep(0.55); return 1.0", "--json", "--rounds", "4", options=game)
    assert (ended.code, ended.document["ok"]) == (0, True)
    [finding] = ended.document["findings"]
    assert finding["serious"] is False
    assert re.fullmatch(r"its slowest answer took 0\.[5-9]\d s; the budget is 1 s", finding["message"])


def test_one_that_is_too_slow(checked):
    ended = checked("slow", "import time; time.sleep(60)", "--json", options=SLOW_GAME)
    assert ended.code == 1
    hung, stopped = messages(ended)  # and nothing about the ticks that it missed meanwhile
    assert hung == "predict failed in 1 of 1 calls; the first time: no answer within 0.3 s"
    assert stopped.startswith("in the game it would have been stopped: 3 timeouts of ")
    assert "; the last: not asked within 0.3 s: it has been busy with predict for " in stopped


def test_one_whose_answer_breaks_the_contract(checked):
    ended = checked("invalid", "return 'much'", "--json")
    assert ended.code == 1
    assert messages(ended)[0] == (
        "predict failed in 4 of 4 calls; the first time: the answer does not fit predict's contract: "
        "Input should be a valid number, not 'much'"
    )


def test_one_whose_process_ends(checked):
    ended = checked("dying", "import os; os._exit(3)", "--json")
    assert ended.code == 1
    assert "; the first time: its process ended during predict: exit code 3;" in messages(ended)[0]


def test_one_that_cannot_be_imported(checked):
    ended = checked("broken", "", "--json", whole="import nothing_like_it\n")
    assert ended.code == 1
    [finding] = ended.document["findings"]
    sentence = "importing it raised ModuleNotFoundError: No module named 'nothing_like_it'"
    assert finding["message"] == f"broken.py: {sentence}"
    assert finding["traceback"].splitlines()[2] == "    import nothing_like_it"


def test_one_without_a_model(checked):
    ended = checked("empty", "", "--json", whole="x = 5\n")
    assert ended.code == 1
    wanted = "define a subclass of walk.Walk with predict and tick, or a create_model()"
    assert messages(ended) == [f"empty.py has no model: {wanted}; it has no class of its own"]


def test_one_with_two_models_is_told_which_one_plays(checked):
    ended = checked("two", "return 1.0\n\n\nclass Second(Mine):\n    pass")
    assert ended.code == 0
    assert ended.stdout == "! two.py: Mine plays; it also defines Second\n✓ two.py is ready to play\n"


def test_answers_that_cannot_be_scored(checked):
    ended = checked("unscored", "return 1.0", "--json", options="score=lambda p, o: float('nan')")
    assert ended.code == 1
    [message] = messages(ended)
    assert message.endswith(" of its answers could not be scored: score gave nan, which is no finite number")


def test_a_folder_is_a_submission(command, game, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "main.py").write_text(ABOVE + PREDICT + "return self.price\n")
    ended = command("check", folder, "--game", game())
    assert (ended.code, ended.stdout) == (0, "✓ mine is ready to play\n")


def test_history_may_be_given(command, game, csv, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(ABOVE + PREDICT + "return self.price\n")
    needs = command("check", path, "--game", game("", "feed=None"), "--json")
    sentence = "the game walk has no history of its own to check with; give one with --replay FILE"
    assert (needs.code, needs.document) == (2, {"error": sentence})
    assert command("check", path, "--game", game("", "feed=None", "other.py"), "--replay", csv).code == 0
