"""From a submission to its model: which class, or which factory, and the instance that it makes."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from crunch_game._importing import Code, import_code
from crunch_game._public import public
from crunch_game._quantities import described
from crunch_game.contract import Contract
from crunch_game.errors import AmbiguousModel, LoadError, NoModelFound
from crunch_game.models import Submission
from crunch_game.sources import SourceLike

__all__ = ["AutoLoader", "FactoryLoader", "LoadWarning", "Loader", "SubclassLoader", "load_model", "make_model"]


class LoadWarning(UserWarning):
    """Something about a submission that its participant should know."""


class Loader(Protocol):
    """How a submission's code becomes its model. Implement this for a way of your own."""

    def load(self, code: Code, contract: Contract, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The instance. It must have the contract's required methods.

        Raises:
            LoadError: The code has no model, or making it failed.
        """
        ...


@public
@dataclass(frozen=True)
class SubclassLoader:
    """Takes the first concrete subclass of the base class that the submission defines, in source order.

    It calls no factory; AutoLoader does.

    Args:
        strict: Whether a second candidate is an error; else it is named in a warning.
    """

    strict: bool = False

    def load(self, code: Code, contract: Contract, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """An instance of that class, made with the arguments."""
        name = FactoryLoader().name
        unused = code.named is None and _factory(code, name) is not None
        aside = f" (its {name}() is not called, since this game loads subclasses only)" if unused else ""
        return _subclass(code, contract, args, kwargs, strict=self.strict, none=aside, several=aside)


@public
@dataclass(frozen=True)
class FactoryLoader:
    """Calls the submission's factory, which returns the model.

    Args:
        name: The factory's name in the entry.
    """

    name: str = "create_model"

    def load(self, code: Code, contract: Contract, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What the factory returns; it gets the arguments if it takes them, else none."""
        factory = code.named if code.named is not None else _factory(code, self.name)
        if factory is None:
            raise NoModelFound(f"{code.name} defines no {self.name}(); define it, and return the model from it")
        try:
            inspect.signature(factory).bind(*args, **kwargs)
        except (TypeError, ValueError):
            args, kwargs = (), {}
        return _make(code, factory, args, kwargs)


@public
@dataclass(frozen=True)
class AutoLoader:
    """The factory if the submission defines one, else the first concrete subclass.

    Args:
        factory: The factory's name.
        strict: As with SubclassLoader.
    """

    factory: str = "create_model"
    strict: bool = False

    def load(self, code: Code, contract: Contract, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The instance, made in the way that the submission offers."""
        named_factory = code.named is not None and not isinstance(code.named, type)
        if named_factory or (code.named is None and _factory(code, self.factory) is not None):
            return FactoryLoader(self.factory).load(code, contract, args, kwargs)
        none, several = f", or a {self.factory}()", f", or give a {self.factory}()"
        return _subclass(code, contract, args, kwargs, strict=self.strict, none=none, several=several)


@public
def load_model(
    submission: SourceLike | Submission,
    base: type | str | Contract,
    loader: Loader | None = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """A submission's model, loaded into this very process.

    Args:
        submission: A class, a file, a folder, or "package.module:attr".
        base: The author's base class, its dotted name, or a Contract.
        loader: How the model is found; AutoLoader() unless given.
        *args: For its constructor, or its factory.
        **kwargs: The same.

    Raises:
        NoModelFound: There is none in it; the message lists every class and why it was passed over.
        AmbiguousModel: There are several, and the loader is strict.
        LoadError: There is nothing at that place, or importing or making the model raised (chained).
    """
    contract = Contract.of(base)  # before the submission, which may have a module of the same name
    code = import_code(Submission.of(submission).source)
    with code.scope:
        return make_model(code, contract, loader or AutoLoader(), args, kwargs)


def make_model(code: Code, contract: Contract, loader: Loader, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The model of code that is imported, checked to have the contract's required methods.

    Raises:
        LoadError: As with `load_model`.
    """
    if isinstance(loader, type) or not callable(getattr(loader, "load", None)):
        raise LoadError(f"the loader is {described(loader)}; give a loader, for example AutoLoader()")
    model = loader.load(code, contract, args, kwargs)
    if model is None or isinstance(model, type):
        wanted = "the model" if model is None else f"an instance: {model.__name__}()"
        raise LoadError(f"what {code.name} makes is {described(model)}; return {wanted}")
    absent = contract.lacking(type(model))
    lacking = [name for name in absent if not callable(vars(model).get(name) if hasattr(model, "__dict__") else None)]
    what = f"the model that {code.name} makes, of class {type(model).__name__},"
    if lacking:
        raise LoadError(f"{what} lacks {' and '.join(lacking)}, which {_named(contract)} requires")
    if (why := contract.unplayable(model)) is not None:
        raise LoadError(f"{what} has a {why}")
    return model


def _subclass(
    code: Code,
    contract: Contract,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    strict: bool,
    none: str,
    several: str,
) -> Any:
    """An instance of the first concrete subclass. `none` and `several` say what else there may be than a class."""
    if code.named is not None:
        return _make(code, code.named, args, kwargs)
    candidates, passed_over = [], []
    for cls in _classes(code.modules):
        why = _why_not(cls, code.modules, contract)
        if why is None:
            candidates.append(cls)
        elif cls is not contract.base:
            passed_over.append(f"{cls.__qualname__} ({why})")
    if not candidates:
        raise NoModelFound(_another_base(code, contract) or _nothing(code, contract, passed_over, none))
    first, *others = [cls.__qualname__ for cls in candidates]
    listed = ", ".join(others)
    if others and strict:
        raise AmbiguousModel(f"{code.name} defines several models: {first}, {listed}; keep one{several}")
    if others:
        warnings.warn(f"{code.name}: {first} plays; it also defines {listed}", LoadWarning, stacklevel=4)
    return _make(code, candidates[0], args, kwargs)


def _classes(modules: Sequence[ModuleType]) -> list[type]:
    """Every class that the modules' names lead to, once: each module's own in source order, then what it imports."""
    found = [(module, value) for module in modules for value in vars(module).values() if isinstance(value, type)]
    own = [cls for module, cls in found if cls.__module__ == module.__name__]
    return list(dict.fromkeys([*own, *(cls for _, cls in found)]))


def _why_not(cls: type, modules: Sequence[ModuleType], contract: Contract) -> str | None:
    """Why a class is not the submission's model, or None when it may be."""
    if not issubclass(cls, contract.base) or cls is contract.base:
        return f"no subclass of {contract.base.__name__}"
    if cls.__module__ not in {module.__name__ for module in modules}:
        return f"imported from {cls.__module__}"
    lacking = contract.lacking(cls)
    return f"abstract, it lacks {' and '.join(lacking)}" if lacking else None


def _nothing(code: Code, contract: Contract, passed_over: list[str], otherwise: str) -> str:
    found = f"passed over: {', '.join(passed_over)}" if passed_over else "it has no class of its own"
    wanted = f" with {' and '.join(contract.required)}" if contract.required else ""
    aside = code.layout.aside() if code.layout is not None else ""
    return f"{code.name} has no model: define a subclass of {_named(contract)}{wanted}{otherwise}; {found}{aside}"


def _another_base(code: Code, contract: Contract) -> str | None:
    """What to do where a class extends a copy of the base class that the submission brings."""
    base = contract.base
    for cls in _classes(code.modules):
        for above in cls.__mro__[1:]:
            if above is base or above.__name__ != base.__name__:
                continue
            extends = f"{code.name} has no model: {cls.__qualname__} extends another {base.__name__} than the game's"
            if code.layout is not None and (hides := code.layout.hiding(above.__module__)):
                return f"{extends}, since {hides} hides the game's module of that name; delete {hides}"
            if above.__module__ in {module.__name__ for module in code.modules}:
                return f"{extends}, which {code.name} defines itself; delete that, and extend {_named(contract)}"
    return None


def _named(contract: Contract) -> str:
    """The base class's name, without the module where that is the script that runs: nobody imports it by that name."""
    in_script = contract.base.__module__ in ("__main__", "__mp_main__")
    return contract.base.__qualname__ if in_script else contract.name


def _factory(code: Code, name: str) -> Any:
    found = getattr(code.modules[0], name, None) if code.modules else None
    return found if callable(found) else None


def _make(code: Code, maker: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if not callable(maker):
        raise LoadError(f"{code.name} is {described(maker)}; name a class, or a function that returns the model")
    what = getattr(maker, "__qualname__", repr(maker))
    try:
        return maker(*args, **kwargs)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise LoadError(
            f"{code.name}: {what}({_shown(args, kwargs)}) raised {code.described(error)}{_wanting(error, args, kwargs)}"
        ) from error


def _wanting(error: BaseException, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """What to do where the arguments do not fit, as the end of a sentence; nothing for any other error."""
    if not isinstance(error, TypeError) or " argument" not in str(error):
        return ""
    if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
        return ""  # of a call inside
    if args or kwargs:
        return "; the game gives these arguments: take them, and give every other parameter a default"
    return "; the game gives no arguments: give every parameter a default"


def _shown(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    text = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
    return text if len(text) <= 60 else f"{text[:57]}..."
