"""Global random generators, of which each model in this process has its own: of `random`, `numpy.random` and torch.

`random.gauss`, `numpy.random.normal` and the like are methods of one object, which is exchanged by exchanging the
names. That takes a microsecond; to keep numpy's state and set it back takes a hundred. Torch has no names to be
exchanged, so there the state is.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Final

_Names = dict[str, Any]
_Places = list[tuple[_Names, _Names]]
"""Namespaces of modules, and what is to stand in each."""
_RANDOM: Final[Any] = random


class AuthorsGenerators:
    """The generators that are in place when no model runs. They are put away before models run, and brought back."""

    def put_away(self) -> None:
        """Remember them, whatever has become of them since the last time."""
        self.random: Any = _RANDOM._inst
        self.numpy: Any = None
        self._places: _Places = [(names := vars(random), names.copy())]
        if (mtrand := _mtrand()) is not None:
            self.numpy = mtrand._rand
            self._places += [(names := vars(sys.modules["numpy.random"]), names.copy())]
            self._places += [(vars(mtrand), {"_rand": self.numpy})]
        self._torch = _torch_state()

    def add_numpy(self) -> Any:
        """Give the author a generator of numpy's, which a model has imported. Returns what is the model's then."""
        mtrand = _mtrand()
        imported, self.numpy = mtrand._rand, mtrand.RandomState()
        self._places += _numpys_places(self.numpy)
        return imported

    def bring_back(self) -> None:
        """Put them back."""
        for names, authors in self._places:
            names.update(authors)
        if self._torch is not None:
            _set_torch_state(self._torch)
        elif (torch := sys.modules.get("torch")) is not None:
            torch.seed()


class Generators:
    """The generators of one model, which begin by luck, as those of a process do.

    Args:
        modules: Modules of the author's that the model's class is from: there may be names of the author's generators
            in them, from `from random import gauss`.
    """

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self._modules = [vars(module) for module in modules]
        self._places: _Places = []
        self._borrowed: _Places = []
        self._numpy: Any = None
        self._torch: Any = None

    def install(self, authors: AuthorsGenerators) -> None:
        """Put them in the place of the author's, or of another model's."""
        if not self._places:
            own = random.Random()
            self._places += [(vars(random), _methods(vars(random), own) | {"_inst": own})]
            self._borrow(authors.random, own)
        if self._numpy is None and (mtrand := _mtrand()) is not None:
            self._numpy = mtrand.RandomState()
            self._places += _numpys_places(self._numpy)
            self._borrow(authors.numpy, self._numpy)
        for names, values in self._places:
            names.update(values)
        if (torch := sys.modules.get("torch")) is not None:
            if self._torch is None:
                torch.seed()
            else:
                _set_torch_state(self._torch)

    def leave(self, authors: AuthorsGenerators) -> None:
        """Keep them, and take back what the author's do not replace."""
        for names, borrowed in self._borrowed:
            names.update(borrowed)
        if self._numpy is None and _mtrand() is not None:
            # Not a new one: the model has seeded this one perhaps, or has names of it.
            self._numpy = authors.add_numpy()
            self._places += _numpys_places(self._numpy)
        self._torch = _torch_state()

    def _borrow(self, authors: Any, own: Any) -> None:
        for names in self._modules:
            found = {name: value for name, value in names.items() if getattr(value, "__self__", None) is authors}
            if found:
                self._places.append((names, {name: getattr(own, value.__name__) for name, value in found.items()}))
                self._borrowed.append((names, found))


def _methods(names: _Names, generator: Any) -> _Names:
    """The names that stand for methods of a generator, with those of this one."""
    like = type(generator)
    methods = (name for name, value in names.items() if isinstance(getattr(value, "__self__", None), like))
    return {name: getattr(generator, name) for name in methods}


def _numpys_places(generator: Any) -> _Places:
    names = vars(sys.modules["numpy.random"])
    return [(names, _methods(names, generator)), (vars(_mtrand()), {"_rand": generator})]


def _mtrand() -> Any:
    """The module of numpy's global generator, once it is imported; the whole of it."""
    module = sys.modules.get("numpy.random")
    return sys.modules.get("numpy.random.mtrand") if hasattr(module, "__all__") else None


def _torch_state() -> Any:
    torch: Any = sys.modules.get("torch")
    return None if torch is None else (torch.get_rng_state(), torch.get_default_dtype())


def _set_torch_state(state: Any) -> None:
    torch: Any = sys.modules["torch"]
    generator, dtype = state
    torch.set_rng_state(generator)
    torch.set_default_dtype(dtype)
