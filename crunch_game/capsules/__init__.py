"""Failing calls as files, and how one is played again.

The recorder listens to the runner in the coordinator; everything else happens after the game.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.capsules._capsule import LOAD as LOAD
    from crunch_game.capsules._capsule import Capsule as Capsule
    from crunch_game.capsules._capsule import Manifest as Manifest
    from crunch_game.capsules._capsule import Values as Values
    from crunch_game.capsules._capsule import legible as legible
    from crunch_game.capsules._capsule import read as read
    from crunch_game.capsules._packing import unpack as unpack
    from crunch_game.capsules._recorder import Recorder as Recorder
    from crunch_game.capsules._replaying import Here as Here
    from crunch_game.capsules._replaying import play as play
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
