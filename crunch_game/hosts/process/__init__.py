"""Each model in a process of its own: the coordinator's side, which starts, asks, and explains what failed.

`engine` is the thread that speaks to the processes, `child` is what runs in them, `diagnosis` tells why one ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.hosts.process._framing import MAX_FRAME as MAX_FRAME
    from crunch_game.hosts.process._host import ProcessHost as ProcessHost
    from crunch_game.hosts.process._launcher import reference_of as reference_of
    from crunch_game.hosts.process._logs import file_name as file_name
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
