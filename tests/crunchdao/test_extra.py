"""Without the extra, one clear line; with it, none that nobody asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("library", ["base58", "cryptography", "google.protobuf", "grpc", "websockets"])
@pytest.mark.parametrize("name", ["CrunchRoster", "NodeHost", "SecureCredentials"])
def test_a_missing_library_names_the_command(library, name):
    program = f"import sys; sys.path[:] = {sys.path!r}; sys.modules[{library!r}] = None\n"
    if library == "google.protobuf":
        program += "sys.modules['google'] = None\n"
    program += f"import crunch_game\ntry: crunch_game.{name}\nexcept crunch_game.MissingExtra as error: print(error)"
    told = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout

    assert told == f"{library} is not installed; from a clone of crunch_game: pip install '.[crunchdao]'\n"


def test_grpc_writes_no_line_for_every_node_that_goes_away_unless_it_is_asked_to():
    program = "import os, crunch_game.crunchdao; print(os.environ['GRPC_VERBOSITY'])"
    for told, expected in (({}, "ERROR"), ({"GRPC_VERBOSITY": "DEBUG"}, "DEBUG")):
        environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
        done = subprocess.run(
            [sys.executable, "-c", program], env={**environment, **told}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected
