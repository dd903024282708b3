"""CrunchDAO's network, from both sides; needs the extra `crunchdao`."""

import os
from importlib.util import find_spec

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
