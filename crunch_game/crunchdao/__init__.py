"""CrunchDAO's network, from both sides; needs the extra `crunchdao`.

`client` is the coordinator's side, `node` and `dev` stand for the network in development; all speak `protocol`.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from crunch_game._public import lazy_face
from crunch_game.errors import MissingExtra

for _library in ("base58", "cryptography", "grpc", "google.protobuf", "websockets"):
    try:
        _found = find_spec(_library) is not None
    except ModuleNotFoundError:  # of "google"
        _found = False
    if not _found:
        raise MissingExtra(_library, "crunchdao")

# gRPC reads this once, when it is imported. It would write a line to stderr for every node that goes away.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

if TYPE_CHECKING:
    from crunch_game.crunchdao.client import CrunchRoster as CrunchRoster
    from crunch_game.crunchdao.client import GatewayCredentials as GatewayCredentials
    from crunch_game.crunchdao.client import NodeHost as NodeHost
    from crunch_game.crunchdao.client import SecureCredentials as SecureCredentials
    from crunch_game.crunchdao.dev import DevOrchestrator as DevOrchestrator
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
