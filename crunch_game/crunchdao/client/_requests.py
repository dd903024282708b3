"""What a node is asked: each argument of a call encoded once per round, and put where the models look for it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from crunch_game.contract import Fit, Method
from crunch_game.crunchdao.protocol import (
    MAX_MESSAGE,
    Argument,
    CallRequest,
    KwArgument,
    SetupRequest,
    arguments,
    encode,
    keywords,
)
from crunch_game.encoding import Unsendable
from crunch_game.errors import ContractError
from crunch_game.hosts.base import Call, Setup

LOOK: bytes = CallRequest().SerializeToString()
"""A call of no method: a node answers it without its model, and says whether it has an instance."""


class Requests:
    """The requests of one call.

    Required parameters go by position, because participants rename them. Optional ones stay where the author put them:
    a node drops a keyword that its model does not know, but fails a positional argument too many.

    Raises:
        ContractError: An argument cannot be sent.
    """

    def __init__(self, call: Call) -> None:
        self._method = call.method
        self._arrange, self._names, self._fewest = _shape(call.method)
        self._args = [self._encoded(value) for value in call.args]
        self._kwargs = {name: self._encoded(value) for name, value in call.kwargs.items()}
        self._made: dict[bool, bytes] = {}

    def to(self, extra: Mapping[str, Any] | None = None, *, named: bool = False) -> bytes:
        """The request to a node.

        Args:
            extra: Further keyword arguments for its model.
            named: Whether optional parameters go by keyword, though the author gave them by position.

        Raises:
            ContractError: The request is too large, or a further argument cannot be sent.
        """
        if extra:
            return self._make({name: self._encoded(value) for name, value in extra.items()}, named)
        if named not in self._made:
            self._made[named] = self._make({}, named)
        return self._made[named]

    @property
    def can_be_named(self) -> bool:
        """Whether an optional parameter is given by position."""
        return self._fewest < min(len(self._args), len(self._names))

    def _make(self, extra: Mapping[str, Any], named: bool) -> bytes:
        args, kwargs = self._args, {**self._kwargs, **extra}
        if named:
            kwargs = {**dict(zip(self._names[self._fewest :], args[self._fewest :], strict=False)), **kwargs}
            args = args[: self._fewest]
        args, kwargs = self._arrange(args, kwargs)
        request: bytes = CallRequest(
            methodName=self._method.name,
            methodArguments=[Argument(position=position, data=data) for position, data in enumerate(args, 1)],
            methodKwArguments=[KwArgument(keyword=name, data=data) for name, data in kwargs.items()],
        ).SerializeToString()
        if len(request) > MAX_MESSAGE:
            raise self._unsendable(
                f"it takes {len(request) / 2**20:.0f} MiB; at most {MAX_MESSAGE // 2**20} can be sent"
            )
        return request

    def _encoded(self, value: Any) -> Any:
        try:
            return encode(value)
        except Unsendable as error:
            raise self._unsendable(error) from None

    def _unsendable(self, why: object) -> ContractError:
        return ContractError(f"the arguments of {self._method.owner}.{self._method.name} cannot be sent: {why}")


def setup_request(setup: Setup) -> bytes:
    """The request that makes an instance of the contract's base class.

    Raises:
        ContractError: The nodes cannot import the base class, or an argument cannot be sent.
    """
    if setup.contract.base.__module__ == "__main__" or "<locals>" in setup.contract.base.__qualname__:
        raise ContractError(
            f"model nodes import the base class by its name, and {setup.contract.name} has none outside of this "
            "script; put it into a package that they have"
        )
    try:
        request: bytes = SetupRequest(
            className=setup.contract.name,
            instanceArguments=arguments(setup.init_args),
            instanceKwArguments=keywords(setup.init_kwargs),
        ).SerializeToString()
    except Unsendable as error:
        raise ContractError(f"the models' init arguments cannot be sent: {error}") from None
    return request


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@lru_cache(maxsize=256)
def _shape(method: Method) -> tuple[Fit, list[str], int]:
    """How a method's arguments are arranged for a node, its positional parameters, and how many are required."""
    positional = [p for p in method.signature.parameters.values() if p.kind in _POSITIONAL]
    fewest = sum(parameter.default is inspect.Parameter.empty for parameter in positional)
    return method.fit(_takes_anything), [parameter.name for parameter in positional], fewest


def _takes_anything(*args: Any, **kwargs: Any) -> None:
    """Stands for a model whose parameters only its node knows."""
