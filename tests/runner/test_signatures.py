"""How models write the game's methods: in any order, by keyword only; what cannot be played is told at its loading."""

from __future__ import annotations

import pytest

from crunch_game import Status
from crunch_game.events import ModelLoadFailed
from crunch_game.policy import State

pytestmark = pytest.mark.anyio

HOSTS = pytest.mark.parametrize("host", ["process", "inline"])
WANTED = ["BTC", 3600, 300]


PLAYED = {
    "swapped": "def predict(self, horizon, asset, step): return [asset, horizon, step]",
    "turned": "def predict(self, step, horizon, asset, seed=1): return [asset, horizon, step]",
    "mixed": "def predict(self, asset, *, step, horizon): return [asset, horizon, step]",
    "named": "def predict(self, *, step, horizon, asset): return [asset, horizon, step]",
    "renamed": "def predict(self, symbol, seconds, every): return [symbol, seconds, every]",
    "positions": "def predict(self, *given): return list(given[:3])",
    "names": "def predict(self, **given): return [given[name] for name in ('asset', 'horizon', 'step')]",
    "static": "predict = staticmethod(lambda asset, horizon, step: [asset, horizon, step])",
    "of_class": "predict = classmethod(lambda cls, step, asset, horizon: [asset, horizon, step])",
    "held": "@property\ndef predict(self): return lambda *given: list(given[:3])",
    "assigned": (
        "def __init__(self): self.predict = lambda horizon, step, asset: [asset, horizon, step]\n"
        "def predict(self, asset, horizon, step): return []"
    ),
}


@HOSTS
async def test_arguments_get_where_their_names_say(submit, running, host):
    models = [submit(name, method, base="asking.Base") for name, method in PLAYED.items()]
    async with running(models, "asking.Base", host) as runner:
        by_position = await runner.predict(*WANTED)
        by_name = await runner.predict(step=300, asset="BTC", horizon=3600, seed=3)

    assert {name: outcome.value for name, outcome in by_position.items()} == dict.fromkeys(PLAYED, WANTED)
    assert {name: outcome.value for name, outcome in by_name.items()} == dict.fromkeys(PLAYED, WANTED)


REFUSED = {
    "waits": ("async def predict(self, asset, horizon, step): return []", "has a predict, which is async: "),
    "hears": ("async def tick(self, p): pass\ndef predict(self, *a): return []", "has a tick, which is async: "),
    "yields": ("def predict(self, asset, horizon, step): yield 1", "has a predict, which is a generator: "),
    "partly": ("def predict(self, step, asset, x): return []", "it is def predict(self, step, asset, x); write def "),
    "selfless": ("def predict(asset): return []", "it is def predict(asset); write def predict(self, asset, horizon, "),
}


@HOSTS
async def test_what_can_never_be_played_is_told_when_it_loads(submit, running, log, host):
    models = [submit(name, method, base="asking.Base") for name, (method, _) in REFUSED.items()]
    async with running(models, "asking.Base", host) as runner:
        assert {model.state for model in runner.models.values()} == {State.FAILED}
        faults = {event.model_id: event.fault for event in log.of(ModelLoadFailed)}

    for name, (_, why) in REFUSED.items():
        assert faults[name].kind == "LoadError"
        assert faults[name].message.startswith(f"the model that {name}.py makes, of class Tracker, has a ")
        assert why in faults[name].message


HIDDEN = """
def quiet(function):
    return lambda *args: function(*args)
"""


@HOSTS
async def test_what_a_decorator_hides_is_told_at_the_first_call(submit, running, host):
    method = "@quiet\nasync def tick(self, prices): pass\n@quiet\ndef predict(self, asset, horizon, step): yield 1\n"
    async with running([submit("alice", method, HIDDEN, base="asking.Base")], "asking.Base", host) as runner:
        told, asked = (await runner.tick({}))["alice"], (await runner.predict(*WANTED))["alice"]

    assert (told.status, asked.status) == (Status.INVALID, Status.INVALID)
    assert told.error.message == (
        "the answer cannot be sent: a coroutine cannot be sent, for nothing of it has run; "
        "write def instead of async def"
    )
    assert asked.error.message == (
        "the answer cannot be sent: a generator cannot be sent, for nothing of it has run; return a list instead"
    )


@HOSTS
async def test_a_tick_of_dots_has_nothing_to_do(submit, running, host):
    method = "def tick(self, prices): ...\ndef predict(self, asset, horizon, step): return []"
    async with running([submit("alice", method, base="asking.Telling")], "asking.Telling", host) as runner:
        assert (await runner.tick({"BTC": 1.0}))["alice"].status is Status.OK
        assert (await runner.predict(*WANTED))["alice"].value == []


@HOSTS
async def test_a_predict_of_dots_is_still_to_be_written(submit, running, log, host):
    async with running([submit("alice", "def predict(self, *given): ...", base="asking.Base")], "asking.Base", host):
        message = log.of(ModelLoadFailed)[0].fault.message

    assert message.endswith("passed over: Tracker (abstract, it lacks predict)")
