"""`crunch-game stop` and `readmit`: what a running game's worker is asked to do about a model, by the store."""

from __future__ import annotations

from typing import Annotated

import typer

from crunch_game.cli import _output as output
from crunch_game.cli._boards import StoreUrl
from crunch_game.cli._output import AsJson
from crunch_game.cli.correcting._asking import By, CorrectionRequest, Reason, Wait, append, check
from crunch_game.storage import open_store
from crunch_game.workers import HANDLED

ModelId = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id.")]


def stop(
    model_id: ModelId, store: StoreUrl, reason: Reason, by: By = None, wait: Wait = 10.0, as_json: AsJson = False
) -> None:
    """Take a model out of a game, until it has new code or is readmitted; exit code 1 if it is not done in time."""
    _ask("stop", model_id, store, reason, by, wait, as_json=as_json)


def readmit(
    model_id: ModelId, store: StoreUrl, reason: Reason, by: By = None, wait: Wait = 10.0, as_json: AsJson = False
) -> None:
    """Let a model that was stopped play again, with clean strikes; exit code 1 if it is not done in time."""
    _ask("readmit", model_id, store, reason, by, wait, as_json=as_json)


def _ask(verb: str, model_id: str, url: str, reason: str, by: str | None, wait: float, *, as_json: bool) -> None:
    with open_store(url, create=False) as store:
        check(store, reason, model_id)
        number = append(store, verb, reason, by, model_id=model_id)
        asked = CorrectionRequest(store, number, "predict", HANDLED, wait)
        state = next((str(each.state) for each in store.models() if each.model_id == model_id), None)
    if as_json:
        output.print_json({**asked.document, "model_id": model_id, "state": state})
    else:
        asked.say(f"{model_id} is {state}")
    asked.end()
