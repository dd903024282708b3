"""The notebooks run from top to bottom, headless and offline."""

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.processes

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_offline(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
    told = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    tables = [output["data"]["text/html"] for output in told if "text/html" in output.get("data", {})]
    assert any("<td>MyTracker</td>" in table and "<td>constant_normal</td>" in table for table in tables)


CELL = """
import time
import walk
from crunch_game import backtest

class Endless(walk.Mean):
    def predict(self, asset, horizon):
        if len(self.heard) == 5:
            print("busy", flush=True)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                pass
        return 1.0

result = backtest(walk.game(feed=walk.ReplayFeed(walk.rows(20_000))), [Endless, walk.Mean])
print(result.ticks)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_stop_button_gives_the_result_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "games"))
    told: list[str] = []
    manager, client = start_new_kernel()

    def hear(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            told.append(message["content"]["text"])
            if told == ["busy\n"]:
                manager.interrupt_kernel()

    try:
        reply = client.execute_interactive(CELL, output_hook=hear, timeout=100)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok"
    assert told[0] == "busy\n"
    assert told[-1] == "5\n"
