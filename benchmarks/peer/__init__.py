"""The peer: CrunchDAO's own model-runner-client and crunch-model-runner, each in a venv of its own, as published."""
