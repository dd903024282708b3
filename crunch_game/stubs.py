"""Whether a function is only a promise: what its author left to be written.

Standard library only, because model processes ask it of every method of their model.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from typing import Any, Final

__all__ = ["is_stub"]

_BYTES_OF_DOTS: Final = 14
"""Bytecode that `...` may take: at most 12 in any Python, while keeping one argument takes more."""


@functools.lru_cache(maxsize=4096)
def is_stub(function: Any) -> bool:
    """Whether a function's body is only `...`, or only raises NotImplementedError (a docstring aside)."""
    try:
        if not _may_be_stub(function):
            return False
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):  # ValueError: wrapped in a circle
        return False
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    body = definition.body
    if ast.get_docstring(definition, clean=False) is not None:
        body = body[1:]
    return len(body) == 1 and (_is_ellipsis(body[0]) or _raises_not_implemented(body[0]))


def _may_be_stub(function: Any) -> bool:
    """False for whatever does more, by its bytecode: reading its source takes 2 ms, in every model's process."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is None or "NotImplementedError" in code.co_names or len(code.co_code) <= _BYTES_OF_DOTS


def _is_ellipsis(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and value.value is ...


def _raises_not_implemented(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Raise):
        return False
    raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
