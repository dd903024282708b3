"""A submission's code as modules, imported so that two submissions may both have a `utils.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game._importing._code import Code as Code
    from crunch_game._importing._code import import_code as import_code
    from crunch_game._importing._main import alias_main as alias_main
    from crunch_game._importing._main import main_of as main_of
    from crunch_game._importing._main import run_main as run_main
    from crunch_game._importing._scope import Scope as Scope
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
