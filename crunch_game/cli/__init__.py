"""The command line, `crunch-game`. It only composes public parts."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run a command; exit with 0, 1 for a finding, 2 for wrong usage, 3 for a database that is away, 130 for Ctrl-C."""
    try:
        from crunch_game.cli._app import app
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    app()
    raise SystemExit(0)
