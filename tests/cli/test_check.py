"""check: what is wrong with a submission, in sentences."""

from __future__ import annotations

import re
import shutil
import sys
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
    document = checked("good", "return self.price", "--json").document
    assert document == {"submission": str(Path.cwd() / "good.py"), "ok": True, "findings": [], "printed": {}}


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


# What it printed


def test_what_it_printed_is_in_the_report_though_it_is_fine(checked):
    ended = checked("good", "print('[bold]my price', self.price); return self.price", "--rounds", "2")
    first, *lines, last = ended.stdout.splitlines()
    assert (ended.code, first, last) == (0, f"it wrote {len(lines)} lines to stdout:", "✓ good.py is ready to play")
    assert lines
    assert all(re.fullmatch(r"\[bold\]my price \d+\.\d+", line) for line in lines)


def test_what_it_printed_when_it_failed(checked):
    body = "print('seen', self.price); import sys; sys.stderr.write('and warned'); raise ValueError('no')"
    ended = checked("failing", body, "--json", "--rounds", "1")
    assert ended.code == 1
    out, err = ended.document["printed"]["stdout"], ended.document["printed"]["stderr"]
    assert re.fullmatch(r"(seen \d+\.\d+\n?)+", out["text"])
    assert (out["lines"], out["file"]) == (out["text"].count("\n") + 1, None)
    assert err["text"].startswith("and warned")


def test_what_is_printed_while_it_is_loaded_is_told_though_it_cannot_be(checked):
    ended = checked("broken", "", "--json", whole="print('before')\nraise ValueError('no')\n")
    assert ended.code == 1
    assert ended.document["printed"] == {"stdout": {"text": "before", "lines": 1, "file": None, "whole": True}}


def test_who_prints_much_is_told_how_much_and_where_all_is(checked):
    ended = checked("chatty", "[print(f'line {n}') for n in range(100)]; return 1.0", "--rounds", "1")
    assert ended.code == 0
    found = re.match(r"the last of (\d+) lines that it wrote to stdout \(all: (.*)\):\n", ended.stdout)
    whole = Path(found[2]).read_text().splitlines()
    assert len(whole) == int(found[1]) == 100
    assert ended.stdout.splitlines()[1:-1] == [f"line {n}" for n in range(90, 100)]
    shutil.rmtree(Path(found[2]).parent)


def test_who_prints_more_than_a_log_holds_is_told_that_it_is_not_all(checked):
    ended = checked("flooding", "[print('x' * 999) for n in range(5_000)]; return 1.0", "--rounds", "1")
    assert ended.code == 0
    found = re.match(r"the last of what it wrote to stdout \(the last ([\d,]+) lines: (.*)\):\n", ended.stdout)
    assert 0 < int(found[1].replace(",", "")) < 5_000
    assert Path(found[2]).is_file()
    shutil.rmtree(Path(found[2]).parent)


def test_nothing_is_left_behind_where_the_report_has_it_all(checked, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert checked("good", "print('hello'); return 1.0", "--rounds", "1").code == 0
    assert list(temporary.iterdir()) == []


def test_the_game_says_where_it_is_checked(checked, command, tmp_path):
    """In its sandbox, with its variables, or inline: then what is printed goes to the terminal, and once."""
    body = "import os; print('place', os.environ.get('PLACE')); return 1.0"

    def where(host: str, *arguments: str):
        sys.modules.pop("mygame", None)
        return checked("placed", body, "--rounds", "1", *arguments, options=f"{FAIR_GAME}, host={host}")

    ready = "✓ placed.py is ready to play\n"
    for host, place in (("__import__('crunch_game').ProcessHost(env={'PLACE': 'x'})", "x"), ("None", "None")):
        assert where(host).stdout == f"it wrote 1 line to stdout:\nplace {place}\n{ready}"
    assert where("'inline'").stdout == f"place None\n{ready}"
    ended = where("'inline'", "--json")
    assert (ended.document["printed"], ended.stderr) == ({}, "place None\n")


# Folders


@pytest.fixture
def folder(tmp_path) -> Path:
    """Submissions as people lay them out: two that play, one that raises, one that is none."""
    models = tmp_path / "models"
    for name in ("ada", "eve"):
        (models / name).mkdir(parents=True)
    (models / "ada" / "main.py").write_text(ABOVE + PREDICT + "print('ada here'); return self.price\n")
    (models / "bo.py").write_text(ABOVE + PREDICT + "return self.price\n")
    (models / "cy.py").write_text(ABOVE + PREDICT + "raise ValueError('no')\n")
    (models / "eve" / "model.py").write_text(ABOVE + PREDICT + "return self.price\n")
    (models / "_helper.py").write_text("")
    (models / "notes.txt").write_text("")
    return models


def test_each_of_a_folder_is_checked_with_a_table_at_the_end(command, game, folder):
    ended = command("check", folder, "--game", game("", FAIR_GAME))
    assert ended.code == 1
    *_, table = ended.stdout.split("\n\n")
    ada, bo, cy, eve, last = table.splitlines()
    assert (ada, bo) == ("✓ ada  is ready to play", "✓ bo   is ready to play")
    assert cy.startswith("✗ cy   predict failed in 4 of 4 calls; the first time: ValueError: no")
    assert eve.startswith("✗ eve  ")
    assert "main.py" in eve
    assert last == "4 submissions, 2 ready to play, 2 not"
    for line in (f"ada ({folder}/ada)", "ada here", "✓ bo.py is ready to play", "    raise ValueError('no')"):
        assert line in ended.stdout.splitlines()


def test_a_folder_as_json_is_one_document(command, game, folder):
    ended = command("check", folder, "--game", game("", FAIR_GAME), "--json")
    assert ended.code == 1
    document = ended.document
    assert (document["folder"], document["ok"]) == (str(folder), False)
    assert [(each["model_id"], each["ok"]) for each in document["submissions"]] == [
        ("ada", True),
        ("bo", True),
        ("cy", False),
        ("eve", False),
    ]
    assert document["submissions"][0]["printed"]["stdout"]["text"].startswith("ada here")
    assert document["submissions"][2]["findings"][0]["traceback"].endswith("ValueError: no")
    assert [each["submission"] for each in document["submissions"]] == [
        str(folder / name) for name in ("ada", "bo.py", "cy.py", "eve")
    ]


def test_a_folder_in_which_all_can_play_ends_with_0(command, game, folder):
    (folder / "cy.py").unlink()
    (folder / "eve" / "model.py").rename(folder / "eve" / "main.py")
    ended = command("check", folder, "--game", game("", FAIR_GAME))
    assert (ended.code, ended.stdout.splitlines()[-1]) == (0, "3 submissions, 3 ready to play, 0 not")


def test_a_folder_that_is_no_submission_is_told_what_to_change(command, game, tmp_path):
    (tmp_path / "fay").mkdir()
    (tmp_path / "fay" / "model.py").write_text(ABOVE + PREDICT + "return self.price\n")
    ended = command("check", tmp_path / "fay", "--game", game("", FAIR_GAME), "--json")
    assert (ended.code, ended.document["submission"]) == (1, str(tmp_path / "fay"))
    [finding] = ended.document["findings"]
    assert "main.py" in finding["message"]


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
