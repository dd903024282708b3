"""From a submission to its model: the class or the factory that is meant, or every reason why there is none."""

from __future__ import annotations

import sys
import textwrap
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any

import pytest

import crunch_game
from crunch_game.contract import Contract
from crunch_game.errors import AmbiguousModel, LoadError, NoModelFound
from crunch_game.loading import AutoLoader, FactoryLoader, LoadWarning, SubclassLoader, load_model
from crunch_game.models import Submission

BASE = "crunch_game.tracker.TrackerBase"


def write(path: Path, text: str = "", **modules: str) -> Path:
    """A file, or a folder of modules."""
    files = {path: text} if path.suffix == ".py" else {path / f"{name}.py": body for name, body in modules.items()}
    for file, body in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("from crunch_game import TrackerBase\n" + textwrap.dedent(body))
    return path


def tracker(name: str, base: str = "TrackerBase") -> str:
    return f"class {name}({base}):\n    def predict(self): return {name!r}\n"


def load(submission: Any, loader: Any = None, *args: Any, **kwargs: Any) -> Any:
    return load_model(submission, crunch_game.TrackerBase, loader, *args, **kwargs)


def refusal(kind: type[LoadError], submission: Any, loader: Any = None, *args: Any, base: Any = None) -> str:
    with pytest.raises(LoadError) as caught:
        load_model(submission, base or crunch_game.TrackerBase, loader, *args)
    assert type(caught.value) is kind
    return str(caught.value)


# Subclasses


def test_the_one_subclass_plays(tmp_path):
    model = load(write(tmp_path / "alice.py", tracker("Alice")))

    assert isinstance(model, crunch_game.TrackerBase)
    assert model.predict() == "Alice"


def test_of_two_the_first_plays_and_the_other_is_named(tmp_path):
    alice = write(tmp_path / "alice.py", tracker("Zoe") + tracker("Adam") + tracker("Max", "Adam"))

    with pytest.warns(LoadWarning) as caught:
        model = load(alice)

    assert model.predict() == "Zoe"
    assert [str(warning.message) for warning in caught] == ["alice.py: Zoe plays; it also defines Adam, Max"]


@pytest.mark.parametrize(
    ("loader", "otherwise"),
    [
        (SubclassLoader(strict=True), ""),
        (AutoLoader(strict=True), ", or give a create_model()"),
        (AutoLoader("build", strict=True), ", or give a build()"),
    ],
)
def test_of_two_none_plays_where_the_loader_is_strict(tmp_path, loader, otherwise):
    alice = write(tmp_path / "alice.py", tracker("Zoe") + tracker("Adam"))

    assert refusal(AmbiguousModel, alice, loader) == (
        f"alice.py defines several models: Zoe, Adam; keep one{otherwise}"
    )
    assert load(write(tmp_path / "bob.py", tracker("Bob")), loader).predict() == "Bob"


def test_a_second_name_for_a_class_is_no_second_class(tmp_path):
    alice = write(tmp_path / "alice.py", tracker("Alice") + "Model = Best = Alice\n")

    assert load(alice, SubclassLoader(strict=True)).predict() == "Alice"


def test_abstract_classes_are_passed_over(tmp_path):
    text = """
    from abc import ABC, abstractmethod

    class Family(TrackerBase, ABC):
        def predict(self): return self.signal()
        @abstractmethod
        def signal(self): ...

    class Draft(TrackerBase):
        '''predict is still to come.'''

    class Later(TrackerBase):
        def predict(self): raise NotImplementedError("later")

    class Member(Family):
        def signal(self): return "Member"
    """

    assert load(write(tmp_path / "alice.py", text), SubclassLoader(strict=True)).predict() == "Member"


def test_imported_classes_are_passed_over(tmp_path, monkeypatch):
    write(tmp_path / "site" / "published_models.py", tracker("Published"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    alice = write(tmp_path / "alice.py", "from published_models import Published\n" + tracker("Own", "Published"))

    assert load(alice, SubclassLoader(strict=True)).predict() == "Own"
    del sys.modules["published_models"]


def test_main_comes_first_and_then_its_helpers(tmp_path):
    alice = write(
        tmp_path / "alice",
        main="import alpha\nfrom helper import Base\n" + tracker("Final", "Base"),
        helper=tracker("Base"),
        alpha=tracker("First"),
        unused="1 / 0",
    )

    with pytest.warns(LoadWarning, match=r"^alice: Final plays; it also defines First, Base$"):
        assert load(alice).predict() == "Final"


def test_the_model_may_stand_in_a_helper(tmp_path):
    alice = write(tmp_path / "alice", main="import helper", helper="import deep", deep=tracker("Deep"))
    bob = write(tmp_path / "bob", main="from helper import Deep", helper=tracker("Deep"))

    assert load(alice).predict() == "Deep"
    assert load(bob, SubclassLoader(strict=True)).predict() == "Deep"


def test_a_package_is_loaded_with_its_relative_imports(tmp_path):
    write(tmp_path / "alice" / "tracker", __init__="from .model import Tracker", model="from .base import *")
    write(tmp_path / "alice" / "tracker", base=tracker("Tracker"))
    write(tmp_path / "bob", __init__="from . import model", model=tracker("Bob"))

    assert load(tmp_path / "alice", SubclassLoader(strict=True)).predict() == "Tracker"
    assert load(tmp_path / "bob").predict() == "Bob"


def test_a_file_may_be_called_like_any_module(tmp_path):
    assert load(write(tmp_path / "queue.py", "import queue\nqueue.Queue\n" + tracker("Alice"))).predict() == "Alice"


def test_the_constructor_gets_the_arguments(tmp_path):
    text = "class Alice(TrackerBase):\n    def __init__(self, horizon, *, seed): self.given = horizon, seed\n"
    alice = write(tmp_path / "alice.py", text + "    def predict(self): return self.given")

    assert load(alice, None, 3600, seed=7).predict() == (3600, 7)
    assert refusal(LoadError, alice, None, 3600) == (
        "alice.py: Alice(3600) raised TypeError: Alice.__init__() missing 1 required keyword-only argument: 'seed'; "
        "the game gives these arguments: take them, and give every other parameter a default"
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("raise SystemExit('no')", "SystemExit: no")],
)
def test_a_constructor_that_raises_is_told_with_its_cause(tmp_path, body, said):
    alice = write(tmp_path / "alice.py", f"{tracker('Alice')}    def __init__(self, *args): {body}")

    with pytest.raises(LoadError) as caught:
        load(alice, None, "x" * 100)

    assert str(caught.value) == f"alice.py: Alice('{'x' * 56}...) raised {said}"
    assert caught.value.__cause__ is not None


# No model


def test_without_a_model_every_class_is_listed_with_the_reason(tmp_path, monkeypatch):
    write(tmp_path / "site" / "published_models.py", tracker("Published"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    alice = write(
        tmp_path / "alice",
        main="from helper import Tool\nfrom published_models import Published\nclass Draft(TrackerBase): pass\n",
        helper="class Tool: pass\nclass Half(TrackerBase):\n    def predict(self): ...\n",
    )

    assert refusal(NoModelFound, alice) == (
        "alice has no model: define a subclass of crunch_game.tracker.TrackerBase with predict, or a create_model(); "
        "passed over: Draft (abstract, it lacks predict), Tool (no subclass of TrackerBase), "
        "Half (abstract, it lacks predict), Published (imported from published_models)"
    ).replace("crunch_game.tracker.TrackerBase", Contract(crunch_game.TrackerBase).name)
    del sys.modules["published_models"]


class TwoNeeded:
    def tick(self, data): ...

    @abstractmethod
    def _predict(self): ...


def test_all_that_is_required_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "the_game_of_two", sys.modules[__name__])
    alice = write(tmp_path / "alice.py", "from the_game_of_two import TwoNeeded\nclass Alice(TwoNeeded): pass")

    assert refusal(NoModelFound, alice, base=TwoNeeded) == (
        f"alice.py has no model: define a subclass of {__name__}.TwoNeeded with _predict and tick, "
        "or a create_model(); passed over: Alice (abstract, it lacks _predict and tick), "
        "TrackerBase (no subclass of TwoNeeded)"
    )


@pytest.mark.parametrize("module", ["__main__", "__mp_main__"])
def test_a_base_class_of_the_script_that_runs_is_named_as_the_script_does(tmp_path, module):
    base = type("Walk", (), {"__module__": module, "predict": TwoNeeded.tick})
    alice = write(tmp_path / "alice.py", "def create_model(): return object()")
    bob = write(tmp_path / "bob.py", "x = 1")

    assert refusal(LoadError, alice, base=base) == (
        "the model that alice.py makes, of class object, lacks predict, which Walk requires"
    )
    assert refusal(NoModelFound, bob, base=base).startswith("bob.py has no model: define a subclass of Walk with ")


def test_a_submission_without_classes_says_so(tmp_path):
    name = Contract(crunch_game.TrackerBase).name

    assert refusal(NoModelFound, write(tmp_path / "alice.py", "x = 1")) == (
        f"alice.py has no model: define a subclass of {name} with predict, or a create_model(); "
        "it has no class of its own"
    )


def test_the_example_that_participants_copy_is_not_the_base_class_itself(tmp_path):
    class Anything:
        def predict(self):
            return 1

    assert refusal(NoModelFound, write(tmp_path / "alice.py", "del TrackerBase"), base=Anything).endswith(
        "Anything, or a create_model(); it has no class of its own"
    )


def test_an_import_that_fails_is_a_load_error(tmp_path):
    assert refusal(LoadError, write(tmp_path / "alice.py", "import sys\nsys.exit()")) == (
        "alice.py: importing it raised SystemExit"
    )
    assert refusal(LoadError, tmp_path / "nobody.py") == f"there is no submission at {tmp_path / 'nobody.py'}"


# Factories


FACTORY = tracker("Alice") + "def create_model(): return Made()\n" + tracker("Made")


def test_a_factory_goes_before_any_class(tmp_path):
    alice = write(tmp_path / "alice.py", FACTORY)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(alice).predict() == "Made"
        assert load(alice, FactoryLoader()).predict() == "Made"
    with pytest.warns(LoadWarning):
        assert load(alice, SubclassLoader()).predict() == "Alice"


def test_a_factory_that_the_loader_does_not_call_is_not_asked_for(tmp_path):
    factory = "def create_model(): return Zoe()\n"
    two = write(tmp_path / "two.py", tracker("Zoe") + tracker("Adam") + factory)
    none = write(tmp_path / "none.py", factory)

    aside = "(its create_model() is not called, since this game loads subclasses only)"
    assert refusal(AmbiguousModel, two, SubclassLoader(strict=True)) == (
        f"two.py defines several models: Zoe, Adam; keep one {aside}"
    )
    assert refusal(NoModelFound, none, SubclassLoader()) == (
        f"none.py has no model: define a subclass of {Contract(crunch_game.TrackerBase).name} with predict "
        f"{aside}; it has no class of its own"
    )
    assert refusal(NoModelFound, write(tmp_path / "bare.py", "x = 1"), AutoLoader("build")) == (
        f"bare.py has no model: define a subclass of {Contract(BASE).name} with predict, or a build(); "
        "it has no class of its own"
    )


def test_a_class_or_nothing_where_an_instance_is_meant(tmp_path):
    returned = "what alice.py makes is {}; return {}"
    for text, message in {
        "return Alice": returned.format("the class Alice", "an instance: Alice()"),
        "Alice()": returned.format("None", "the model"),
    }.items():
        alice = write(tmp_path / "alice.py", tracker("Alice") + f"def create_model(): {text}\n")
        assert refusal(LoadError, alice) == message


@pytest.mark.parametrize(
    ("loader", "given"), [(SubclassLoader, "the class SubclassLoader"), ("create_model", "'create_model'")]
)
def test_what_is_no_loader_is_told(tmp_path, loader, given):
    alice = write(tmp_path / "alice.py", tracker("Alice"))

    assert refusal(LoadError, alice, loader) == f"the loader is {given}; give a loader, for example AutoLoader()"


def test_a_factory_gets_the_arguments_if_it_takes_them(tmp_path):
    text = "class Alice(TrackerBase):\n    def predict(self): return self.given\n"
    text += "def create_model({}):\n    model = Alice()\n    model.given = {}\n    return model\n"
    takes = write(tmp_path / "takes.py", text.format("horizon, seed=0", "horizon, seed"))
    takes_none = write(tmp_path / "takes_none.py", text.format("", "None"))

    assert load(takes, None, 3600, seed=7).predict() == (3600, 7)
    assert load(takes_none, None, 3600, seed=7).predict() is None
    assert refusal(LoadError, takes) == (
        "takes.py: create_model() raised TypeError: create_model() missing 1 required positional argument: 'horizon'; "
        "the game gives no arguments: give every parameter a default"
    )


def test_an_argument_that_is_missing_deeper_down_is_not_the_games(tmp_path):
    alice = write(tmp_path / "alice.py", f"{tracker('Alice')}    def __init__(self): (lambda x: x)()")

    assert refusal(LoadError, alice).endswith("missing 1 required positional argument: 'x'")


def test_a_factory_may_have_another_name_and_come_from_a_helper(tmp_path):
    text = tracker("Alice") + "def build(): return Alice()\ncreate_model = 'no function'"
    alice = write(tmp_path / "alice", main="from helper import build", helper=text)

    assert load(alice, FactoryLoader("build")).predict() == "Alice"
    assert load(alice, AutoLoader(factory="build")).predict() == "Alice"
    assert refusal(NoModelFound, alice, FactoryLoader()) == (
        "alice defines no create_model(); define it, and return the model from it"
    )


def test_a_factory_may_return_any_object_that_has_the_methods(tmp_path):
    alice = write(tmp_path / "alice.py", "class Free:\n    def predict(self): return 1\ncreate_model = Free")
    bob = write(
        tmp_path / "bob.py",
        "from types import SimpleNamespace\ndef create_model(): return SimpleNamespace(predict=lambda: 2)",
    )

    assert load(alice).predict() == 1
    assert load(bob).predict() == 2


@pytest.mark.parametrize(
    ("made", "kind"),
    [("object()", "object"), ("TrackerBase()", "TrackerBase"), ("[]", "list")],
)
def test_what_a_factory_makes_must_have_the_methods(tmp_path, made, kind):
    alice = write(tmp_path / "alice.py", f"def create_model(): return {made}")

    assert refusal(LoadError, alice) == (
        f"the model that alice.py makes, of class {kind}, lacks predict, which {Contract(BASE).name} requires"
    )


def test_a_factory_that_raises_is_told_with_its_cause(tmp_path):
    alice = write(tmp_path / "alice.py", "def create_model(): return {}['weights']")

    with pytest.raises(LoadError) as caught:
        load(alice)

    assert str(caught.value) == "alice.py: create_model() raised KeyError: 'weights'"
    assert isinstance(caught.value.__cause__, KeyError)


# References


def test_a_reference_names_a_class_or_a_factory(tmp_path, monkeypatch):
    write(tmp_path / "published_models.py", tracker("Alice") + tracker("Bob") + "def build(seed): return Bob()")
    monkeypatch.syspath_prepend(tmp_path)

    assert load("published_models:Alice").predict() == "Alice"
    assert load("published_models:build", None, 7).predict() == "Bob"
    assert load(Submission("me", "published_models:Bob"), SubclassLoader(strict=True)).predict() == "Bob"
    assert refusal(LoadError, "published_models:Zoe") == (
        "published_models:Zoe: importing it raised AttributeError: module 'published_models' has no attribute 'Zoe'"
    )
    assert refusal(LoadError, "unpublished_models:Zoe") == (
        "unpublished_models:Zoe: importing it raised ModuleNotFoundError: No module named 'unpublished_models'"
    )
    del sys.modules["published_models"]


def test_a_reference_to_what_makes_no_model_is_told(tmp_path, monkeypatch):
    write(tmp_path / "published_models.py", "LIMIT = 3\nclass Draft(TrackerBase): pass")
    monkeypatch.syspath_prepend(tmp_path)

    assert refusal(LoadError, "published_models:LIMIT") == (
        "published_models:LIMIT is 3; name a class, or a function that returns the model"
    )
    assert refusal(LoadError, "published_models:Draft") == (
        "the model that published_models:Draft makes, of class Draft, lacks predict, "
        f"which {Contract(BASE).name} requires"
    )
    del sys.modules["published_models"]


def test_a_class_is_a_submission():
    class Alice(crunch_game.TrackerBase):
        def predict(self):
            return "Alice"

    assert load(Alice).predict() == "Alice"
    assert refusal(LoadError, crunch_game.TrackerBase) == (
        f"the model that TrackerBase makes, of class TrackerBase, lacks predict, which {Contract(BASE).name} requires"
    )


# Base classes


def test_the_base_class_is_the_authors_even_if_the_submission_has_a_module_of_its_name(tmp_path, monkeypatch):
    write(tmp_path / "site" / "arena_of_two.py", "class Base(TrackerBase): pass")
    alice = write(tmp_path / "alice", main="from arena_of_two import Base\n" + tracker("Alice", "Base"))
    write(alice, arena_of_two="class Base(TrackerBase): pass")
    monkeypatch.syspath_prepend(tmp_path / "site")

    assert refusal(NoModelFound, alice, base="arena_of_two:Base") == (
        "alice has no model: Alice extends another Base than the game's, since alice/arena_of_two.py hides the game's "
        "module of that name; delete alice/arena_of_two.py"
    )
    del sys.modules["arena_of_two"]


def test_a_base_class_without_requirements_takes_any_subclass(tmp_path, monkeypatch):
    class Free:
        pass

    monkeypatch.setitem(sys.modules, "a_free_game", type(sys)("a_free_game"))
    sys.modules["a_free_game"].Free = Free

    model = load_model(write(tmp_path / "alice.py", "from a_free_game import Free\nclass Alice(Free): pass"), Free)

    assert type(model).__name__ == "Alice"


def test_a_loader_of_ones_own_gets_the_code_and_the_contract(tmp_path):
    class Second:
        def load(self, code, contract, args, kwargs):
            assert contract.base is crunch_game.TrackerBase
            return [
                v for v in vars(code.modules[0]).values() if getattr(v, "__module__", "") == code.modules[0].__name__
            ][1]()

    alice = write(tmp_path / "alice.py", tracker("One") + tracker("Two"))

    assert load(alice, Second()).predict() == "Two"
