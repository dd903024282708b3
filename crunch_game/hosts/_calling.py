"""Calls one model with arguments that are fitted to its signature. Used wherever a model's code runs."""

from __future__ import annotations

from typing import Any

from crunch_game.contract import ByName, Contract, Fit
from crunch_game.encoding import dropped


class NotOffered(Exception):
    """The model has no such method. `by` is the callee that raised this: a model might raise it too."""

    def __init__(self, message: str, by: Callee | None = None) -> None:
        super().__init__(message)
        self.by = by


class Callee:
    """A model, and how its methods are called. For `lenient`, see `hosts.base.Setup`.

    Attributes:
        fitted: By name, the methods that were called before: the model's function, how arguments are arranged for
            it, and whether its answer is dropped.
    """

    def __init__(self, model: Any, contract: Contract, *, lenient: bool = False) -> None:
        self._model = model
        self._contract = contract
        self._lenient = lenient
        self.fitted: dict[str, tuple[Any, Fit, bool]] = {}

    def call(self, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call the model, and return its answer; None if the contract wants none.

        Raises:
            NotOffered: The model lacks the method.
            Unsendable: The answer is a coroutine or a generator, of which nothing has run.
            BaseException: Whatever the model raises.
        """
        function, fit, silent = self.fitted.get(method) or self.fit(method)
        args, kwargs = fit(args, kwargs)
        answer = function(*args, **kwargs)
        return dropped(answer) if silent and answer is not None else answer

    def fit(self, method: str) -> tuple[Any, Fit, bool]:
        """Add a method to `fitted` when it is called for the first time.

        Raises:
            NotOffered: The model lacks the method.
        """
        function = getattr(self._model, method, None)
        if not callable(function):
            raise NotOffered(f"the model, of class {type(self._model).__name__}, has no method {method}", self)
        fit: Fit
        if self._lenient:
            promised = self._contract.methods.get(method)
            fit = ByName(function) if promised is None else promised.fit_by_name(function)
            silent = promised is not None and promised.silent
        else:
            promised = self._contract.method(method)
            fit, silent = promised.fit(function), promised.silent
        self.fitted[method] = fitted = (function, fit, silent)
        return fitted

    def lacks(self, error: BaseException) -> bool:
        """Whether this error means that the model lacks the method."""
        return isinstance(error, NotOffered) and error.by is self
