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


@functools.lru_cache(maxsize=4096)
def is_stub(function: Any) -> bool:
    """Whether a function's body is only `...`, or only raises NotImplementedError (a docstring aside)."""
    try:
        code = getattr(inspect.unwrap(function), "__code__", None)
        # Reading the source takes 2 ms, in every model's process, and the bytecode rules it out for most functions.
        if code is not None and "NotImplementedError" not in code.co_names and len(code.co_code) > _MAX_STUB_BYTES:
            return False
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):  # ValueError: __wrapped__ forms a circle
        return False
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    body = definition.body
    if ast.get_docstring(definition, clean=False) is not None:
        body = body[1:]
    if len(body) != 1:
        return False
    if isinstance(body[0], ast.Raise):
        raised = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    value = body[0].value if isinstance(body[0], ast.Expr) else None
    return isinstance(value, ast.Constant) and value.value is ...
