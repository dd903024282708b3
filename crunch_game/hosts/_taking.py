"""Which host a runner gets: by its name, or an object that other runners may be given too."""

from __future__ import annotations

import threading
from typing import Final

from crunch_game._quantities import described
from crunch_game.errors import UsageError
from crunch_game.hosts.base import Host, ReusableHost
from crunch_game.models import HostLike, checked_host


def host_of(given: HostLike | Host) -> Host:
    """The host that somebody named, or gave.

    Raises:
        GameError: It is none.
    """
    chosen = checked_host(given)
    if chosen == "process":
        from crunch_game.hosts.process import ProcessHost

        return ProcessHost()
    if chosen == "inline":
        from crunch_game.hosts._inline import InlineHost

        return InlineHost()
    host: Host = chosen
    return host


_taken: Final[list[Host]] = []
_taking: Final = threading.Lock()


def take(host: Host) -> Host:
    """The host, for one runner until it gives it back; while another has it, a fresh one like it.

    Raises:
        UsageError: Another has it, and it is not reusable.
    """
    with _taking:
        if any(each is host for each in _taken):
            if not isinstance(host, ReusableHost):
                raise UsageError(
                    f"host is {described(host)}, which another ModelRunner is using; give each a host of its own, or "
                    "give the host's class a method fresh() that returns another one like it"
                )
            host = host.fresh()
        _taken.append(host)
        return host


def give_back(host: Host) -> None:
    """Let another runner take the host."""
    with _taking:
        _taken[:] = [each for each in _taken if each is not host]
