"""What a forked process does first: nothing of the fork server is left to it, and its output goes to its log."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from crunch_game.hosts import lifeline, output, worker
from crunch_game.hosts.offspring import adopt

if TYPE_CHECKING:
    from crunch_game.contract import Contract
    from crunch_game.hosts.sandbox import Sandbox

__all__ = ["DESCRIPTORS", "FAILED", "become_model"]

FAILED: Final = 70
"""The exit code of a model's process in which our own code failed."""
_CHANNEL: Final = 256
_LIFELINE: Final = _CHANNEL + 1
DESCRIPTORS: Final = _LIFELINE + 1
"""Open files that a process must be allowed, to become a model's."""


def become_model(descriptors: Sequence[int], pipe: str, contract: Contract, sandbox: Sandbox | None) -> NoReturn:
    """Serve a model for the rest of the process's life.

    Args:
        descriptors: Its end of the channel, stdout and stderr.
        pipe: What its life hangs on.
        contract: What it must be able to do.
        sandbox: What it may do, or None.
    """
    try:
        # A group of its own, and no session: where the kernel shares the processors among sessions (autogroups), each
        # model would weigh as much as the coordinator, and niceness would count for nothing.
        os.setpgid(0, 0)
        adopt()
        channel, out, err = descriptors
        output.point(out, err)
        if channel != _CHANNEL:  # last: any of the others may have had this number
            os.dup2(channel, _CHANNEL, inheritable=False)
        os.closerange(3, _CHANNEL)
        os.closerange(_LIFELINE, os.sysconf("SC_OPEN_MAX"))
        lifeline.hold(pipe, _LIFELINE)
        os.nice(5)
        gc.enable()
        sys.dont_write_bytecode = True
        worker.reseed()
        worker.serve(socket.socket(fileno=_CHANNEL), contract, sandbox)
    finally:
        output.fail()
        os._exit(FAILED)
