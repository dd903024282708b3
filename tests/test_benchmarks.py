"""The benchmark command runs to its end, the floor does what it is said to, and the pages show what was measured."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]  # the tiny run starts thirty of them

from benchmarks import __main__ as entry  # noqa: E402 - the benchmarks are no part of the package
from benchmarks import growth, pages, session, table  # noqa: E402
from benchmarks.apart import Broken, apart  # noqa: E402
from benchmarks.meter import Meter  # noqa: E402
from benchmarks.peer import install  # noqa: E402
from benchmarks.rows import FULL, TINY, Measure, Row, measures, rows  # noqa: E402
from crunch_game import MissingExtra  # noqa: E402

SIDES_OF_NODES = ("peer", "ours")


@pytest.fixture(scope="module")
def run(once, tmp_path_factory):
    """The document of a tiny run of everything, peers left out."""
    return json.loads(once("benchmarks", lambda: json.dumps(tiny_run(tmp_path_factory.mktemp("results")))))


def tiny_run(out):
    command = [sys.executable, "-m", "benchmarks", "--tiny", "--repeat", "1", "--no-peers", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads((out / "results.json").read_text())
    assert (out / "results.md").read_text() == done.stdout == table.page(document) + "\n"
    return document


def test_the_command_measures_every_row(run):
    needing = {one.name for one in measures(TINY) if one.nodes is not None}
    assert [row["title"] for row in run["rows"]] == [row.title for row in rows(TINY) if row.measure not in needing]
    assert needing == {"network-2"}
    for row in run["rows"]:
        assert row["ours"]["low"] <= row["ours"]["median"] <= row["ours"]["high"]
        assert row["ours"]["high"] > 0
        assert row["peer"] is None


def test_ours_and_the_floor_are_measured_in_the_same_run(run):
    beside = [row["title"] for row in run["rows"] if row["floor"] is not None]

    assert len(beside) == 25, (
        "all but the spinning models, the demo game, and what a start, or who joins, costs the live one"
    )
    for row in run["rows"]:
        if row["floor"] is not None:
            assert row["times_floor"] == pytest.approx(row["ours"]["median"] / row["floor"]["median"])


def test_the_cost_is_shown_as_it_grows(run):
    assert [grown["models"] for grown in run["growth"]] == [2, 3]
    assert all({"floor", "ours"} <= set(grown) for grown in run["growth"])


def test_what_arrived_is_what_was_sent_for_both(run):
    for kind in ("floats", "frame"):
        sides = run["measured"][kind]
        assert sides["floor"]["total"] == sides["ours"]["total"]
        assert sides["floor"]["total"][0] > 0


def test_the_whole_field_of_the_demo_is_asked_in_every_round(run):
    assert run["measured"]["demo"]["ours"]["predictions"] == [TINY.demo_models * TINY.demo_rounds * 3]
    assert run["measured"]["demo"]["ours"]["looked"][0] > 0


def test_a_row_of_a_tiny_run_claims_nothing(run):
    assert {row["met"] for row in run["rows"]} == {None}


def test_the_rows_that_need_nodes_are_left_out_with_a_sentence(run):
    assert run["notes"] == ["the rows of model nodes are left out: the nodes are the peer's"]
    assert "The rows of model nodes are left out: the nodes are the peer's." in table.heading(run)


# The floor


def test_a_floor_child_answers_from_what_it_was_told():
    played = apart("tests.floor_played:small", {})
    assert played["told"] == [None] * 3
    assert played["answers"] == [[{"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": 5.0}}]] * 3
    assert len(set(played["pids"])) == 3
    assert set(played["during"]) >= set(played["pids"])
    assert played["memory"] > 0
    assert played["left"] == [], "they are gone, and reaped"


@pytest.mark.parametrize("size", [1, 10_000, 200_000])
def test_the_floor_carries_large_frames_whole(size):
    played = apart("tests.floor_played:large", {"size": size})
    assert played["answers"] == [pytest.approx(played["right"])] * 2


def test_the_small_rounds_of_all_sides_are_the_same_calls():
    asked = {one.name: one.sides for one in measures(FULL)}["rounds"]

    assert {side: arguments["models"] for side, (_, arguments) in asked.items()} == {
        "floor": 100,
        "ours": 100,
        "peer": 100,
    }


# The document


def measured(ours, limit=None, of_floor=None, floors=(2.0,), peers=(90.0,)):
    sides = {"peer": {"ms": list(peers)}, "floor": {"ms": list(floors)}, "ours": {"ms": list(ours)}}
    row = Row("a round", "one", "ms", "ms", limit, of_floor)
    [line] = session.document({"one": sides}, [row], len(ours), [])["rows"]
    return line


def test_a_row_has_the_median_the_extremes_and_the_ratios():
    line = measured([3.0, 9.0, 4.0])

    assert line["ours"] == {"median": 4.0, "low": 3.0, "high": 9.0}
    assert (line["times_floor"], line["peer_times_ours"], line["met"]) == (2.0, 22.5, None)


@pytest.mark.parametrize(
    ("limit", "of_floor", "met"),
    [(4, None, True), (3.9, None, False), (None, 2, True), (None, 1.9, False), (4, 1.9, False)],
)
def test_a_limit_is_met_or_missed(limit, of_floor, met):
    assert measured([4.0], limit, of_floor)["met"] is met


def test_a_missed_limit_is_said_in_the_table():
    run = {"rows": [measured([4.0, 4.4, 5.0], 4, 3)]}

    assert table.table(run).splitlines()[-1] == (
        "| a round | 90 ms | 2 ms | 4.4 ms (4 to 5) | ≤ 4 ms, ≤ 3 × floor: missed | 2.2 × | 20.5 × |"
    )


def test_sides_that_did_not_do_the_same_are_refused():
    with pytest.raises(session.Broken, match="floats: what arrived was not the same for all"):
        session._agree("floats", {"floor": {"total": [1.0]}, "ours": {"total": [1.5]}})


def test_processor_time_is_counted_per_call():
    meter = Meter()
    for _ in range(2):
        with meter.round():
            sum(range(1_000_000))

    assert meter.cpu_per_call(10)["cpu_us"] == pytest.approx(meter.cpu / 20 * 1e6)
    assert meter.cpu > 0


# The peers


def test_peers_that_cannot_be_had_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(install, "FOLDER", tmp_path / "peers")
    monkeypatch.setattr(install, "PACKAGES", {"client": ["no-such-peer-of-crunch-game==1"]})
    monkeypatch.setattr(
        install, "_commands", lambda venv, packages: [[sys.executable, "-c", "raise OSError('no way')"]]
    )

    with pytest.raises(install.Unavailable) as caught:
        install.install("client")

    assert str(caught.value) == "no-such-peer-of-crunch-game==1 cannot be installed (OSError: no way)"


def test_peers_that_are_there_are_not_installed_again(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(install, "FOLDER", tmp_path)
    (tmp_path / "client").mkdir()
    (tmp_path / "node").mkdir()
    monkeypatch.setattr(install, "_commands", lambda venv, packages: ran.append(venv.name) or [])

    install.install("client", "node")
    install.install("client", "node")

    assert ran == ["client", "node"]


def test_both_coordinators_play_on_the_same_nodes(tmp_path):
    """Really: the peer's nodes, its client, and ours."""
    pytest.importorskip("crunch_game.crunchdao", reason="needs the extra crunchdao", exc_type=ImportError)
    try:
        install.install("client", "node")
    except install.Unavailable as error:
        pytest.skip(str(error))
    [network] = [one for one in measures(TINY) if one.nodes is not None]
    told = []

    measured, notes = session.measure([network], 2, peers=True, tell=told.append)

    assert notes == []
    assert told == [
        "network-2, its nodes start",
        *(f"network-2, {side}, {run} of 2" for run in (1, 2) for side in SIDES_OF_NODES),
    ]
    for side in SIDES_OF_NODES:
        assert measured["network-2"][side]["models"] == [2, 2]
        assert len(measured["network-2"][side]["round_ms"]) == len(measured["network-2"][side]["cpu_us"]) == 2


def test_nodes_that_do_not_start_are_one_sentence():
    @contextmanager
    def none():
        raise Broken("3 of the peer's nodes could not be started")
        yield

    measured, notes = session.measure([Measure("network-3", {}, none)], 1, peers=True, tell=lambda line: None)

    assert measured == {}
    assert notes == ["network-3 is left out: 3 of the peer's nodes could not be started"]


def test_without_the_extra_the_rows_that_need_nodes_are_left_out(monkeypatch):
    def missing(name):
        raise MissingExtra("grpc", "crunchdao")

    monkeypatch.setattr(entry.importlib, "import_module", missing)

    assert entry._without_nodes(peers=True) == (
        "grpc is not installed; from a clone of crunch_game: pip install '.[crunchdao]'"
    )


# The pages


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.name)
def test_a_page_shows_the_numbers_that_were_measured(page):
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))

    assert pages.shown(page) == pages.PAGES[page](results), "write it with: python -m benchmarks --show ... --pages"


def test_writing_the_pages_changes_their_numbers_only(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- numbers -->\nold\n<!-- /numbers -->\nafter\n")
    monkeypatch.setattr(pages, "PAGES", {page: lambda run: f"{run['cores']} cores"})

    pages.write({"cores": 2})

    assert page.read_text() == "before\n<!-- numbers -->\n2 cores\n<!-- /numbers -->\nafter\n"


@pytest.mark.parametrize("names", [["roundz"], ["rounds", "roundz"]])
def test_a_name_that_is_no_measurement_is_told(names):
    command = [sys.executable, "-m", "benchmarks", "--only", *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("nothing is called roundz; there is rounds, slot, growth-1, ")


def test_a_grown_store_is_asked_every_question():
    found = growth.grown("sqlite", 40_000)

    assert found["predictions"] == 40_000
    for question in ("board", "due", "one_model", "store"):
        assert 0 < found[f"{question}_ms"] <= found[f"{question}_most_ms"]
