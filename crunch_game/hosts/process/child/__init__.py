"""What runs on the other side of the fork: the fork server, and the process of each model that it forks.

Nothing heavy may be imported here, since every model would pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.hosts.process.child._answering import CallBody as CallBody
    from crunch_game.hosts.process.child._forkserver import NOT_STARTED as NOT_STARTED
    from crunch_game.hosts.process.child._forkserver import PACKET as PACKET
    from crunch_game.hosts.process.child._forkserver import Boot as Boot
    from crunch_game.hosts.process.child._forkserver import Booted as Booted
    from crunch_game.hosts.process.child._forkserver import DumpFrames as DumpFrames
    from crunch_game.hosts.process.child._forkserver import Exited as Exited
    from crunch_game.hosts.process.child._forkserver import Imported as Imported
    from crunch_game.hosts.process.child._forkserver import Importing as Importing
    from crunch_game.hosts.process.child._forkserver import Kill as Kill
    from crunch_game.hosts.process.child._forkserver import Report as Report
    from crunch_game.hosts.process.child._forkserver import Spawn as Spawn
    from crunch_game.hosts.process.child._forkserver import Started as Started
    from crunch_game.hosts.process.child._forkserver import is_booting as is_booting
    from crunch_game.hosts.process.child._output import DUMP_SIGNAL as DUMP_SIGNAL
    from crunch_game.hosts.process.child._output import FATAL_PREFIX as FATAL_PREFIX
    from crunch_game.hosts.process.child._output import NOTE_PREFIX as NOTE_PREFIX
    from crunch_game.hosts.process.child._reaper import is_exiting as is_exiting
    from crunch_game.hosts.process.child._telling import TellBody as TellBody
    from crunch_game.hosts.process.child._worker import DESCRIPTORS as DESCRIPTORS
    from crunch_game.hosts.process.child._worker import FAILED as FAILED
    from crunch_game.hosts.process.child._worker import SetupBody as SetupBody
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
