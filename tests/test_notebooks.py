"""The notebooks run from top to bottom, headless and offline."""

import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.processes

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def told(notebook: Any) -> list[str]:
    """What its cells print and show, without the folder that libraries are in."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [output.get("text") or output["data"]["text/plain"] for output in outputs if output.get("name") != "stderr"]
    return [re.sub(r'(?<=")/.*/(?=site-packages/)', "", text) for text in texts]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_offline(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    notebook = nbformat.read(path, as_version=4)
    kept = told(notebook)
    nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
    now = told(notebook)
    assert any("MyTracker" in text and "constant_normal" in text for text in now)
    assert kept == now  # what a reader sees who does not run it


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
