"""The command line: `crunch-game`. It only composes parts that are public."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command that the arguments name, and exit: 0, 1 for a finding, 2 for wrong usage."""
    from crunch_game.cli.app import app
    from crunch_game.cli.output import fail
    from crunch_game.errors import CrunchGameError

    try:
        app(standalone_mode=True)
    except CrunchGameError as error:
        fail(str(error), as_json="--json" in sys.argv)
    sys.exit(0)
