"""Without the extra, one clear line."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("library", ["base58", "cryptography", "google.protobuf", "grpc", "websockets"])
@pytest.mark.parametrize("name", ["CrunchRoster", "NodeHost", "SecureCredentials"])
def test_a_missing_library_names_the_command(library, name):
    program = f"import sys; sys.path[:] = {sys.path!r}; sys.modules[{library!r}] = None\n"
    if library == "google.protobuf":
        program += "sys.modules['google'] = None\n"
    program += f"import crunch_game\ntry: crunch_game.{name}\nexcept crunch_game.MissingExtra as error: print(error)"
    told = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout

    assert told == f"{library} is not installed; run: pip install 'crunch-game[crunchdao]'\n"
