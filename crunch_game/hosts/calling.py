"""One model, called: the arguments fitted to it, its silence respected. Used wherever a model's code runs."""

from __future__ import annotations

from typing import Any

from crunch_game.contract import Arrange, Contract

__all__ = ["Callee", "NotOffered"]


class NotOffered(Exception):
    """The model has no such method."""


class Callee:
    """A model, and how the contract's calls reach it."""

    def __init__(self, model: Any, contract: Contract) -> None:
        self._model = model
        self._contract = contract
        self._fitted: dict[str, tuple[Any, Arrange, bool]] = {}

    def call(self, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What the model answers; None where the contract wants no answer.

        Raises:
            NotOffered: The model lacks the method.
            BaseException: Whatever the model raises.
        """
        function, arrange, silent = self._fitted.get(method) or self._fit(method)
        args, kwargs = arrange(args, kwargs)
        answer = function(*args, **kwargs)
        return None if silent else answer

    def _fit(self, method: str) -> tuple[Any, Arrange, bool]:
        function = getattr(self._model, method, None)
        if not callable(function):
            raise NotOffered(f"the model, a {type(self._model).__name__}, has no method {method}")
        promised = self._contract.method(method)
        self._fitted[method] = fitted = (function, promised.fit(function), promised.silent)
        return fitted
