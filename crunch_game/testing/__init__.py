"""What games and this package are tested with: a CrunchDAO network that fails when a test says so."""

from crunch_game.testing.network import SimulatedNetwork

__all__ = ["SimulatedNetwork"]
