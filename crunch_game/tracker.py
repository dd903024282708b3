"""The base class that games extend and participants subclass. Standard library only: every model imports it."""

from __future__ import annotations

from typing import Any

from crunch_game._public import public

__all__ = ["TrackerBase"]


@public
class TrackerBase:
    """A model of a live prediction game: it is told what happens, and asked what will.

    A game author extends it with the parameters and types of the game's own methods; these annotations are
    the contract that answers are checked against. Participants subclass the author's class.
    """

    def tick(self, data: Any) -> None:
        """Take in new data. Called whenever data arrives; by default it is ignored."""

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer with a prediction. Every model must have its own."""
        raise NotImplementedError
