"""Where models run: in this process, in a process of their own, or wherever an author's own Host puts them.

Everything here runs on the coordinator's side, but for `process.child`, which is the model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.hosts._calling import Callee as Callee
    from crunch_game.hosts._calling import NotOffered as NotOffered
    from crunch_game.hosts._inline import InlineHost as InlineHost
    from crunch_game.hosts._interrupting import hurry as hurry
    from crunch_game.hosts._tables import TableReader as TableReader
    from crunch_game.hosts._taking import give_back as give_back
    from crunch_game.hosts._taking import host_of as host_of
    from crunch_game.hosts._taking import take as take
    from crunch_game.hosts._turns import Turns as Turns
    from crunch_game.hosts.base import Asked as Asked
    from crunch_game.hosts.base import BatchHost as BatchHost
    from crunch_game.hosts.base import Call as Call
    from crunch_game.hosts.base import Host as Host
    from crunch_game.hosts.base import Instance as Instance
    from crunch_game.hosts.base import Loaded as Loaded
    from crunch_game.hosts.base import LoadFailure as LoadFailure
    from crunch_game.hosts.base import Reply as Reply
    from crunch_game.hosts.base import ReusableHost as ReusableHost
    from crunch_game.hosts.base import Setup as Setup
    from crunch_game.hosts.base import Watcher as Watcher
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
