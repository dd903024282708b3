"""`__main__`: the author's script in the models' processes, and what submissions find there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class EntryAsMain(ModuleType):
    """What a submission finds as `__main__` while its code runs: its entry's names, and else the script that runs.

    Weights that were pickled by running the entry, or a notebook, ask for `__main__.Scaler`. All that Python itself
    keeps in a module, and whatever is set on it, is the script's.

    Args:
        entry: The submission's entry.
        script: The module that is `__main__` for everybody else.
    """

    def __init__(self, entry: ModuleType, script: ModuleType) -> None:
        super().__init__("__main__")
        object.__setattr__(self, "_both", (entry, script))

    def __getattribute__(self, name: str) -> Any:
        entry, script = object.__getattribute__(self, "_both")
        own = {} if name.startswith("__") else vars(entry)
        return own[name] if name in own else getattr(script, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(object.__getattribute__(self, "_both")[1], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "_both")[1], name)


def main_of() -> dict[str, str]:
    """How another process gets this one's `__main__`: {"name": ...} or {"path": ...}; empty where there is no way."""
    module = sys.modules["__main__"]
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name:
        return {"name": spec.name}
    file = getattr(module, "__file__", None)
    return {"path": str(Path(file).resolve())} if file and Path(file).is_file() else {}


def run_main(main: dict[str, str]) -> None:
    """Make another process's `__main__` this one's, as multiprocessing's spawn does: under the name `__mp_main__`."""
    if not main:
        return
    from multiprocessing import spawn

    spawn.prepare({f"init_main_from_{how}": where for how, where in main.items()})
    alias_main()


def alias_main() -> None:
    """Let submissions import a script by its file's name, and get the very module that runs."""
    module = sys.modules["__main__"]
    file = getattr(module, "__file__", None)
    if file:
        sys.modules.setdefault(Path(file).stem, module)
