"""One model, called: the arguments fitted to it, its silence respected. Used wherever a model's code runs."""

from __future__ import annotations

from typing import Any

from crunch_game.contract import ByName, Contract, Fit

__all__ = ["Callee", "NotOffered"]


class NotOffered(Exception):
    """The model has no such method; `by` is the callee that found so, since a model may raise one of these too."""

    def __init__(self, message: str, by: Callee | None = None) -> None:
        super().__init__(message)
        self.by = by


class Callee:
    """A model, and how the contract's calls reach it; lenient ones as `hosts.base.Setup` says.

    Attributes:
        fitted: By method, those that were called before: the model's own version, how arguments are arranged for it,
            and whether its answer is of no interest.
    """

    def __init__(self, model: Any, contract: Contract, *, lenient: bool = False) -> None:
        self._model = model
        self._contract = contract
        self._lenient = lenient
        self.fitted: dict[str, tuple[Any, Fit, bool]] = {}

    def call(self, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What the model answers; None where the contract wants no answer.

        Raises:
            NotOffered: The model lacks the method.
            BaseException: Whatever the model raises.
        """
        function, fit, silent = self.fitted.get(method) or self.fit(method)
        args, kwargs = fit(args, kwargs)
        answer = function(*args, **kwargs)
        return None if silent else answer

    def fit(self, method: str) -> tuple[Any, Fit, bool]:
        """What `fitted` has for a method that is called for the first time.

        Raises:
            NotOffered: The model lacks the method.
        """
        function = getattr(self._model, method, None)
        if not callable(function):
            raise NotOffered(f"the model, a {type(self._model).__name__}, has no method {method}", self)
        fit: Fit
        if self._lenient:
            promised = self._contract.methods.get(method)
            fit, silent = ByName(function), promised is not None and promised.silent
        else:
            promised = self._contract.method(method)
            fit, silent = promised.fit(function), promised.silent
        self.fitted[method] = fitted = (function, fit, silent)
        return fitted

    def lacks(self, error: BaseException) -> bool:
        """Whether that is what a call failed of: the model lacks the method."""
        return isinstance(error, NotOffered) and error.by is self
