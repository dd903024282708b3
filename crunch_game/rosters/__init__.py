"""Who is in the game: a fixed list, or a folder that is watched.

`base` has the Protocol to implement for any other source of models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.rosters._directory import DirectoryRoster as DirectoryRoster
    from crunch_game.rosters._entries import submissions_in as submissions_in
    from crunch_game.rosters._static import StaticRoster as StaticRoster
    from crunch_game.rosters._versions import version_of as version_of
    from crunch_game.rosters.base import RemoteRoster as RemoteRoster
    from crunch_game.rosters.base import Roster as Roster
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
