"""Recognizes stubs: functions whose body a participant has to write.

It uses only the standard library, because model processes check every method of their model.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from typing import Any, Final

_MAX_STUB_BYTES: Final = 14
"""The bytecode of `...` has at most 12 bytes in any Python; a body that stores one argument has more than 14."""


def is_stub(function: Any) -> bool:
    """Whether a function's body is only `...`, or only raises NotImplementedError (a docstring aside)."""
    return is_empty(function) or isinstance(_only_statement(function), ast.Raise)


def is_empty(function: Any) -> bool:
    """Whether a function's body is only `...` (a docstring aside)."""
    return isinstance(_only_statement(function), ast.Expr)


@functools.lru_cache(maxsize=4096)
def _only_statement(function: Any) -> ast.stmt | None:
    """The `...`, or the `raise NotImplementedError`, that is a function's whole body; None if it is another one."""
    try:
        code = getattr(inspect.unwrap(function), "__code__", None)
        # Reading the source takes 2 ms, in every model's process, and the bytecode rules it out for most functions.
        if code is not None and "NotImplementedError" not in code.co_names and len(code.co_code) > _MAX_STUB_BYTES:
            return None
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):  # ValueError: __wrapped__ forms a circle
        return None
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    body = definition.body
    if ast.get_docstring(definition, clean=False) is not None:
        body = body[1:]
    if len(body) != 1:
        return None
    only = body[0]
    if isinstance(only, ast.Raise):
        raised = only.exc.func if isinstance(only.exc, ast.Call) else only.exc
        return only if isinstance(raised, ast.Name) and raised.id == "NotImplementedError" else None
    value = only.value if isinstance(only, ast.Expr) else None
    return only if isinstance(value, ast.Constant) and value.value is ... else None
