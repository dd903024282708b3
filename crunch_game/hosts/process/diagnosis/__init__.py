"""Why a model's process ended, and what it wrote last.

Runs in the coordinator, once something has failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.hosts.process.diagnosis._exits import ExitDiagnosis as ExitDiagnosis
    from crunch_game.hosts.process.diagnosis._stderr import dump_in as dump_in
    from crunch_game.hosts.process.diagnosis._stderr import fatal_error_in as fatal_error_in
    from crunch_game.hosts.process.diagnosis._stderr import last_lines as last_lines
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
