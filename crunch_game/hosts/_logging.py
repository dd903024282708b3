"""The root logger, which each model in this process sets up for itself: `logging.basicConfig` does so only once."""

from __future__ import annotations

import logging
import weakref
from typing import Final

_ROOT: Final = logging.root


class AuthorsLogging(logging.Handler):
    """The author's handlers and level, put away while models run. What no handler of a model takes, these get."""

    def put_away(self) -> None:
        """Remember them, whatever has become of them since the last time."""
        self._handlers, self._last_resort = _ROOT.handlers, logging.lastResort
        self.levels = _ROOT.level, _ROOT.manager.disable
        logging.lastResort = self

    def bring_back(self) -> None:
        """Put them back."""
        logging.lastResort = self._last_resort
        _ROOT.handlers = self._handlers

    def handle(self, record: logging.LogRecord) -> bool:
        """Hand a record on, as the root logger would in the author's code."""
        for handler in self._handlers or filter(None, [self._last_resort]):
            if record.levelno >= handler.level:
                handler.handle(record)
        return True


class ModelsLogging:
    """The handlers and the levels of one model: none, and the author's, until it says otherwise."""

    def __init__(self) -> None:
        self._handlers: list[logging.Handler] = []
        self._levels: tuple[int, int] | None = None
        weakref.finalize(self, _close, self._handlers)  # or their files stay open

    def install(self) -> None:
        """Put them in the place of the author's."""
        _ROOT.handlers = self._handlers
        if self._levels is not None:
            _set_levels(self._levels)

    def leave(self, authors: AuthorsLogging) -> None:
        """Keep the levels, and take them back. Handlers are replaced by the next model's, or by the author's."""
        if (levels := (_ROOT.level, _ROOT.manager.disable)) != authors.levels:
            self._levels = levels
            _set_levels(authors.levels)


def _set_levels(levels: tuple[int, int]) -> None:
    """Set from which level on the root logger takes records, and up to which level no logger does."""
    root, disabled = levels
    _ROOT.setLevel(root)
    logging.disable(disabled)


def _close(handlers: list[logging.Handler]) -> None:
    for handler in handlers:
        handler.close()
