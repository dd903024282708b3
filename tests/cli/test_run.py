"""demo, run and leaderboard: what they print, how they end, and that Ctrl-C loses nothing."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import walk

from crunch_game import MemoryStore, open_store
from crunch_game.sync import run_game

pytestmark = pytest.mark.processes

HONEST = {"constant_normal", "ewma_volatility", "empirical_mixture", "momentum"}


def test_the_demo_as_json_has_the_documented_shape(installed, tmp_path):
    ended = installed("demo", "--json", "--max-ticks", 60, "--store", f"sqlite:///{tmp_path}/demo.db")
    # A machine that does much else holds the event loop up, and whoever plays is told so.
    told = [line for line in ended.stderr.splitlines() if not line.startswith("the event loop was blocked for ")]
    assert (ended.code, told) == (0, [])
    document = ended.document
    assert (document["ticks"], document["rounds"], document["predictions"]) == (60, 180, 900)
    assert (document["missed"], document["late"]) == (75, 0), "three assets, on the 25 days that markets were closed"
    assert document["game"] == "daily-density"
    board = document["leaderboard"]
    assert [each["rank"] for each in board] == [1, 2, 3, 4, 5]
    for each in board:
        assert {"rank", "model_id", "scores", "skill", "coverage", "rounds", "scored", "marks"} < set(each)
        assert list(each["scores"]) == list(each["skills"]) == ["month", "quarter", "year"]
        assert all(score > 0 for score in each["scores"].values())
    assert {each["model_id"] for each in board} == {*HONEST, "moody"}
    assert {(each["model_id"], each["state"]) for each in document["models"]} == {
        (m, "ready") for m in (*HONEST, "moody")
    }
    again = installed("leaderboard", "--store", document["store"], "--json")
    assert again.code == 0
    assert again.document["leaderboard"] == board


@pytest.mark.parametrize("ticks", [15, 60])
def test_the_faulty_tracker_is_never_above_an_honest_one(command, tmp_path, ticks):
    ended = command("demo", "--json", "--max-ticks", ticks, "--store", f"sqlite:///{tmp_path}/demo.db")
    board = {each["model_id"]: each for each in ended.document["leaderboard"]}
    moody = board.pop("moody")
    assert set(board) == HONEST
    assert all(honest["rank"] <= moody["rank"] for honest in board.values())
    assert moody["coverage"] < 1.0 == min(honest["coverage"] for honest in board.values())


def test_the_demo_for_people_ends_with_the_leaderboard_and_where_it_is_kept(installed, tmp_path):
    ended = installed("demo", "--max-ticks", 30, "--store", f"sqlite:///{tmp_path}/demo.db")
    assert (ended.code, ended.stderr) == (0, "")
    for text in ("daily-density: the leaderboard", "year ▾", "coverage", "moody", "p50", "strikes", "30/30"):
        assert text in ended.stdout
    assert "30 rows, 90 rounds, 450 predictions stored" in ended.stdout
    assert ended.stdout.splitlines()[-1] == (
        f"the database: sqlite:///{tmp_path}/demo.db   (crunch-game leaderboard --store sqlite:///{tmp_path}/demo.db)"
    )


def test_a_game_is_run_over_a_file_and_its_leaderboard_shown(command, game, models, csv):
    url = "sqlite:///game.db"
    ended = command("run", game(), "--models", models, "--store", url, "--replay", csv, "--json")
    assert ended.code == 0
    document = ended.document
    assert (document["ticks"], document["rounds"]) == (10, 10 + 4)
    assert [each["model_id"] for each in document["leaderboard"]] == ["last", "loud"]
    assert [each["rank"] for each in document["leaderboard"]] == [1, 1]
    shown = command("leaderboard", "--store", url)
    assert shown.code == 0
    assert "walk, as of 2024-02-01 09:00:00 UTC" in shown.stdout
    assert "long ▾" in shown.stdout
    assert "100.0%" in shown.stdout
    further = command("run", game(), "--models", models, "--store", url, "--replay", csv, "--json").document
    assert (further["ticks"], further["predictions"]) == (0, 0)
    assert further["leaderboard"] == document["leaderboard"]


def test_a_feed_that_can_be_read_only_once_is_played(command, game, models):
    path = game("", "feed=walk.ReplayFeed(row for row in walk.rows(10))")
    for further in ([], ["--max-ticks", 10], ["--json"]):
        sys.modules.pop("mygame", None)  # its generator is used up
        ended = command("run", path, "--models", models, "--store", "memory:", *further)
        assert ended.code == 0
        summary = "10 rows, 14 rounds, 28 predictions stored; 4 rounds left out, for want of a new row"
        assert ('"ticks": 10' if further == ["--json"] else summary) in ended.stdout


def test_what_models_print_is_kept_where_the_command_says(command, game, models, tmp_path):
    logs = tmp_path / "logs"
    ended = command("run", game(), "--models", models, "--store", "memory:", "--max-ticks", 3, "--logs", logs)
    assert ended.code == 0
    assert (logs / "loud.out.log").read_text() == "imported\n" + "told\n" * 3
    assert (logs / "loud.err.log").read_text() == "told\n" * 3
    assert (logs / "last.out.log").read_text() == ""


def test_the_option_for_logs_leaves_the_rest_of_the_games_host(command, game, models, tmp_path):
    host = f"crunch_game.ProcessHost(env={{'PLACE': 'x'}}, logs={str(tmp_path / 'others')!r})"
    (models / "placed.py").write_text(
        "import os\nfrom walk import Last\n\nprint(os.environ['PLACE'])\n\n\nclass Mine(Last):\n    pass\n"
    )
    path = game("import crunch_game", f"host={host}")
    arguments = ["run", path, "--models", models, "--store", "memory:", "--max-ticks", 1]
    assert command(*arguments, "--logs", tmp_path / "logs").code == 0
    assert (tmp_path / "logs" / "placed.out.log").read_text() == "x\n"
    assert not (tmp_path / "others").exists()
    assert command(*arguments).code == 0
    assert (tmp_path / "others" / "placed.out.log").read_text() == "x\n"


def test_logs_of_models_that_have_no_process_are_refused(command, game, models, tmp_path):
    arguments = ["--models", models, "--store", "sqlite:///game.db", "--logs", tmp_path / "logs", "--json"]
    ended = command("run", game("", "host='inline'"), *arguments)
    sentence = (
        "--logs keeps what models print in processes of their own; the game walk says host='inline', so it goes "
        "wherever that lets them print"
    )
    assert (ended.code, ended.document) == (2, {"error": sentence})
    assert not (tmp_path / "logs").exists()
    assert not (tmp_path / "game.db").exists()


def test_a_fault_is_told_below_the_leaderboard_with_what_the_model_printed(command, game, models):
    (models / "loud.py").write_text(
        "from walk import Last\n\n\nclass Mine(Last):\n    def predict(self, asset, horizon):\n"
        "        print('[bold]the price is', self.heard[-1])\n        raise ValueError('no')\n"
    )
    ended = command("run", game(), "--models", models, "--store", "memory:", "--max-ticks", 3)
    assert ended.code == 0
    _, below = ended.stdout.split("loud: predict(asset='BTC', horizon=7200): 3 of 3 times, first at ", 1)
    first, *lines = below.splitlines()
    assert first.endswith(" UTC: ValueError: no")
    assert lines[0] == "  Traceback (most recent call last):"
    at = lines.index("  stdout:")
    assert lines[at + 1].startswith("  [bold]the price is ")


FAILS = "score raised AttributeError: 'Row' object has no attribute 'heads'"


@pytest.mark.parametrize(
    ("options", "sentence", "document"),
    [
        (
            "score=lambda prediction, outcome: walk.rows(1)[0].heads",
            f"0 of 6 due predictions scored: {FAILS} (6 times)",
            {"scored": 0, "set_aside": {FAILS: 6}, "waiting": 0},
        ),
        (
            "resolve=lambda prediction, history: None",
            "0 of 6 due predictions scored: resolve did not know the truth yet (6 times)",
            {"scored": 0, "set_aside": {}, "waiting": 6},
        ),
    ],
)
def test_a_game_that_can_score_nothing_says_so_and_ends_with_1(command, game, models, options, sentence, document):
    path = game("", options)
    arguments = ["run", path, "--models", models, "--store", "memory:", "--max-ticks", 4]
    ended = command(*arguments)
    assert ended.code == 1
    assert sentence in " ".join(ended.stdout.split())
    ended = command(*arguments, "--json")
    assert (ended.code, ended.document | document) == (1, ended.document)


def test_numbers_of_one_read_right(command, game, models):
    (models / "loud.py").unlink()
    path = game("", "predictions=[walk.Predict(every='1h', horizon='1h', asset='BTC')]")
    arguments = ["run", path, "--models", models, "--store", "sqlite:///game.db", "--max-ticks", 1]
    assert "1 row, 1 round, 1 prediction stored\n" in command(*arguments).stdout
    assert "1 of 1 due prediction scored\n" in command(*arguments).stdout


def test_a_store_in_memory_is_not_pointed_to(command, game, models):
    for url in ("memory:", "memory://"):
        ended = command("run", game(), "--models", models, "--store", url, "--max-ticks", 2)
        assert ended.code == 0
        assert "database" not in ended.stdout
    assert "memory:" in command("run", "--help").stdout


@pytest.mark.parametrize("further", [(), ("--json",)], ids=["people", "json"])
def test_a_folder_without_submissions_is_told_once(command, game, tmp_path, further):
    (tmp_path / "empty").mkdir()
    ended = command("run", game(), "--models", "empty", "--store", "memory:", *further)
    assert ended.code == 0
    assert ended.stderr == "no submissions in empty yet\n"


def test_a_game_is_named_by_its_module(command, models, csv):
    ended = command("run", "walkgame:mine", "--models", models, "--store", "memory:", "--replay", csv, "--json")
    assert ended.code == 2
    Path("walkgame.py").write_text("import walk\nmine = walk.game()\n")
    ended = command("run", "walkgame:mine", "--models", models, "--store", "memory:", "--replay", csv, "--json")
    assert ended.document["ticks"] == 10


def test_a_file_is_the_one_that_was_named_whatever_else_has_its_name(command, models, game, tmp_path):
    (tmp_path / "mygame.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "deep").mkdir()
    path = game(name="deep/mygame.py")
    assert command("run", path, "--models", models, "--store", "memory:", "--max-ticks", 2, "--json").code == 0


def test_nothing_that_authors_or_participants_print_spoils_the_document(installed, game, models):
    author = """
        print("the author's import")
        def loud(prediction, history):
            print("the author's resolve")
            return walk.truth(prediction, history)
    """
    ended = installed(
        "run", game(author, "resolve=loud"), "--models", models, "--store", "memory:", "--json", "--max-ticks", 10
    )
    assert ended.code == 0
    assert ended.document["ticks"] == 10
    assert "the author's import" in ended.stderr
    assert "the author's resolve" in ended.stderr
    assert "told" not in ended.stderr


def test_an_authors_code_that_raises_is_one_document_too(installed, game, models):
    ended = installed(
        "run",
        game("", "per_model=lambda model, standing: {}['DOGE']"),
        "--models",
        models,
        "--store",
        "memory:",
        "--json",
    )
    assert (ended.code, ended.document) == (2, {"error": "the per_model of the game walk raised KeyError: 'DOGE'"})


def children(pid: int) -> set[int]:
    """All processes below this one."""
    found, ahead = set(), [pid]
    while ahead:
        parent = ahead.pop()
        for task in Path(f"/proc/{parent}/task").iterdir():
            more = {int(child) for child in (task / "children").read_text().split()}
            found |= more
            ahead += more
    return found


@pytest.mark.parametrize("as_json", [True, False])
def test_ctrl_c_stores_the_row_in_hand_leaves_no_process_and_a_second_run_continues(
    start, installed, game, models, as_json
):
    """The signal goes to the whole group, as from a terminal."""
    path = game(
        """
        import sys
        def tick(row):
            if row.time == walk.rows(3000)[20].time:
                print("twenty", file=sys.stderr, flush=True)
            return (row.prices,)
        """,
        "tick=tick, feed=walk.ReplayFeed(walk.rows(3000))",
    )
    url = "sqlite:///game.db"
    arguments = ["run", path, "--models", models, "--store", url]
    process = start(*arguments, *["--json"][: int(as_json)])
    assert process.stderr is not None
    assert process.stderr.readline() == "twenty\n"
    below = children(process.pid)
    assert len(below) >= 3
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")
    with open_store(url) as store:
        ticks = len(store.rows())
        assert 20 < ticks < 3000
        assert {row.time for row in store.rows()[:-1]} < {p.at for p in store.predictions()} | {
            r.time for r in store.rows()
        }
    assert (f'"ticks": {ticks}' if as_json else f"{ticks} rows") in stdout
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in below) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}").exists() for pid in below)
    ended = installed(*arguments, "--json", "--max-ticks", 30)
    assert ended.document["ticks"] == 30
    whole = MemoryStore()
    feed = walk.ReplayFeed(walk.rows(3000))
    run_game(walk.game(feed=feed), models, store=whole, host="inline", max_ticks=ticks + 30)
    with open_store(url) as store:
        assert [replace(p, elapsed=0, asked_at=None) for p in store.predictions()] == [
            replace(p, elapsed=0, asked_at=None) for p in whole.predictions()
        ]
        assert store.scores() == whole.scores()
