"""How many files, sockets and pipes this process may have open: each model takes two of its own."""

from __future__ import annotations

import resource
from typing import Final

from crunch_game.errors import ResourceError
from crunch_game.hosts.process.child import DESCRIPTORS

_WANTED: Final = 1 << 16


def allow_descriptors() -> None:
    """Raise this process's limit of open files: often 1,024, for the sake of select().

    Raises:
        ResourceError: The hard limit is too low for even one model's process.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        raise ResourceError(
            f"this process may have no more than {hard} files open, and a model's process needs {DESCRIPTORS}; "
            "raise the hard limit (ulimit -Hn)"
        )
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
