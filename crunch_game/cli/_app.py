"""The commands of `crunch-game`: their names, and where each is. A command is imported when it is called."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from crunch_game.cli import _output as output

COMMANDS: Final = {
    "demo": (
        "playing:demo",
        "Play the demo game: five models, one faulty on purpose, forecast thirteen years of daily stock returns.",
    ),
    "run": ("playing:run", "Play a game, live or over history, until its feed ends or Ctrl-C."),
    "predict": (
        "playing:predict",
        "Tell and ask the models of a game, and store their answers, which `score` scores: half of `run`.",
    ),
    "score": (
        "playing:score",
        "Score the answers that `predict` stores, here or on another machine, until Ctrl-C: the other half of `run`.",
    ),
    "check": (
        "_check:check",
        "Load a submission, or each of a folder, play a few rounds, and say what is wrong with it.",
    ),
    "leaderboard": (
        "asking:leaderboard",
        "Show the leaderboard of a game that is, or was, played: as it is, as it was seen, or as it stands for a time.",
    ),
    "copies": ("_boards:copies", "Name models whose answers are those of another, or nearly so, and who was first."),
    "export": (
        "asking:export",
        "Write predictions with their scores, or other records, to a Parquet, CSV or JSON lines file.",
    ),
    "models": (
        "asking:models",
        "Show the models of a game that is, or was, played: state, deployment, strikes, and why one does not play.",
    ),
    "model": (
        "asking:model",
        "Show what happened to a model: what it was told and asked, what it answered, what failed, its scores.",
    ),
    "events": (
        "asking:events",
        "Show what happened in a game that is, or was, played: the last 50 events, or those since a time.",
    ),
    "stop": (
        "correcting:stop",
        "Take a model out of a game, until it has new code or is readmitted; exit code 1 if it is not done in time.",
    ),
    "readmit": (
        "correcting:readmit",
        "Let a model that was stopped play again, with clean strikes; exit code 1 if it is not done in time.",
    ),
    "corrections": (
        "asking:corrections",
        "Show what was corrected in a game: by whom, why, what it is about, and whether it is carried out.",
    ),
    "void": (
        "correcting:void",
        "Let rounds count for nobody, those included that are still to be scored, as where the data was broken.",
    ),
    "retract": (
        "correcting:retract",
        "Let a model's answers count as absences: all so far, or those of some time.",
    ),
    "restore": ("correcting:restore", "Take back what was voided, or with --model what was retracted of a model."),
    "resolve": (
        "correcting:resolve",
        "Ask for the outcomes of rounds again, since a truth was revised or `resolve` was mended, and score them anew.",
    ),
    "rescore": (
        "correcting:rescore",
        "Score rounds anew by the rule as it is now: the answers and the outcomes are those that are kept.",
    ),
    "prune": (
        "correcting:prune",
        "Delete old rows, answers, scores, faults and events, but nothing that the game still needs: see what it says.",
    ),
    "replay": (
        "_replay:replay",
        "Play a failing call again. Exit code 1 if it fails as it did in the game, 0 if it does not.",
    ),
    "doctor": (
        "_doctor:doctor",
        "Say what this machine has for running models, and try it out: exit code 0 if they run isolated, 1 if not.",
    ),
    "node": ("_node:node", "Serve one submission as a model node of the CrunchDAO network, until Ctrl-C."),
    "orchestrator": (
        "_orchestrator:orchestrator",
        "Run a folder of models as a local CrunchDAO network, without Docker, until Ctrl-C.",
    ),
}
"""Each by its name: the function, and the first sentence of its docstring, so that `--help` imports none of them."""


class _Commands(output.Commands):
    """Those of COMMANDS: in lists by their sentences, and whole only when one is called."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {name: TyperCommand(name, help=sentence) for name, (_, sentence) in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that is named, and the rest of the arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else command_of(name), rest


def command_of(name: str) -> Any:
    """The command of this name, as typer makes it of its function."""
    module, _, function = COMMANDS[name][0].partition(":")
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(name)(getattr(import_module(f"crunch_game.cli.{module}"), function))
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=_Commands,
    help="Write, play and look at live prediction games.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(asked: bool) -> None:
    if asked:
        output.screen.print(f"crunch-game {_version() or 'not installed, but run from its source'}")
        raise typer.Exit


def _version() -> str | None:
    try:
        return version("crunch-game")
    except PackageNotFoundError:
        return None


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None: ...
