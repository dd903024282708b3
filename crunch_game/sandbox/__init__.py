"""What a model's process may do: Landlock, seccomp, capabilities and resource limits, and how errors name them.

The settings are the coordinator's. A model's process enters the sandbox before the participant's code runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.sandbox._barriers import barrier_of as barrier_of
    from crunch_game.sandbox._cgroups import own_groups as own_groups
    from crunch_game.sandbox._probes import Barrier as Barrier
    from crunch_game.sandbox._readable import is_beneath as is_beneath
    from crunch_game.sandbox._readable import real as real
    from crunch_game.sandbox._sandbox import Sandbox as Sandbox
    from crunch_game.sandbox._sandbox import count_threads as count_threads
    from crunch_game.sandbox._sandbox import enclosure as enclosure
    from crunch_game.sandbox._syscalls import prctl as prctl
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
