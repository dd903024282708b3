"""Fresh interpreters at the other end of a socket: the fork server, and the process that reads tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from {} import main; main(int(sys.argv.pop()))"
)


def start_main(
    module: str, descriptor: int, *options: str, kept: Iterable[str], env: Mapping[str, str], **popen: Any
) -> subprocess.Popen[bytes]:
    """Start an interpreter that calls `main(descriptor)` of the module, which it finds where this one does.

    `options` are the interpreter's, and `popen` is for Popen. Of this process's environment it gets what is `kept`. It
    has a session of its own, so that Ctrl-C is the coordinator's alone.
    """
    path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]  # noqa: PTH100 - links stay
    return subprocess.Popen(
        # As with -I, but that it obeys the PYTHON variables that it is given: PYTHONHASHSEED is one.
        [sys.executable, "-P", "-s", *options, "-c", _PROGRAM.format(module), str(descriptor), json.dumps(path)],
        pass_fds=[descriptor],
        env={name: os.environ[name] for name in kept if name in os.environ} | dict(env),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **popen,
    )
