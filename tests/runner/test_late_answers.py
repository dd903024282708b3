"""A late answer never appears in a later round: slow, dead, raising, lying and healthy models, in any order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crunch_game import ModelRunner, Policy, Status
from crunch_game.policy import State

SUBMISSION = """
import os, time
import arena


class Tracker(arena.Base):
    def take(self, *behaviour, **mine):
        self.behaviour = mine["does"]

    def predict(self, number):
        does = self.behaviour
        if does == "slow":
            time.sleep(0.25)
        elif does == "raise":
            raise ValueError(number)
        elif does == "die":
            os._exit(3)
        elif does == "invalid":
            return float("nan")
        return number
"""
MODELS = ("a", "b", "c")
DOES = {
    "answer": Status.OK,
    "slow": Status.TIMEOUT,
    "raise": Status.RAISED,
    "die": Status.DIED,
    "invalid": Status.INVALID,
}
BUDGET = 0.1


class Rounds(RuleBasedStateMachine):
    """Every answer carries its round's number."""

    @initialize(backend=st.sampled_from(["asyncio", "trio"]))
    def enter(self, backend: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        for name in MODELS:
            Path(self.folder.name, f"{name}.py").write_text(SUBMISSION)
        self.portal_context = start_blocking_portal(backend)
        self.portal = self.portal_context.__enter__()
        policy = Policy(timeout=10, max_consecutive_failures=0, max_consecutive_timeouts=0)
        paths = [Path(self.folder.name, f"{name}.py") for name in MODELS]
        self.runner_context = self.portal.wrap_async_context_manager(
            ModelRunner("arena.Base", paths, policy=policy, ready_timeout=30, on_event=lambda record: None)
        )
        self.runner = self.runner_context.__enter__()
        self.number = 0

    async def _behave(self, does: dict[str, str]) -> None:
        """All are free and up again before they are told what to do next."""
        with anyio.fail_after(30):
            while any(model.state is not State.READY for model in self.runner.models.values()):  # noqa: ASYNC110
                await anyio.sleep(0.005)
        await self.runner.call("take", per_model=lambda model: {"does": does[model.id]})

    async def _round(self, timeout: float):
        return await self.runner.call("predict", self.number, timeout=timeout)

    @precondition(lambda self: hasattr(self, "runner"))
    @rule(
        does=st.fixed_dictionaries({name: st.sampled_from(sorted(DOES)) for name in MODELS}), rounds=st.integers(1, 3)
    )
    def play(self, does: dict[str, str], rounds: int) -> None:
        self.portal.call(self._behave, does)
        for turn in range(rounds):
            self.number += 1
            asked = self.portal.call(self._round, BUDGET)
            assert sorted(asked) == list(MODELS)
            for name, outcome in asked.items():
                assert (outcome.error is None) == (outcome.status is Status.OK)
                if outcome.status is Status.OK:
                    assert outcome.value == self.number
                else:
                    assert outcome.value is None
                if turn == 0 and does[name] == "slow":
                    assert outcome.status is Status.TIMEOUT
                elif turn == 0:
                    assert outcome.status in (DOES[does[name]], Status.TIMEOUT)  # the machine may be slow as well

    @precondition(lambda self: hasattr(self, "runner"))
    @rule(seconds=st.sampled_from([0.0, 0.02, 0.15]))
    def give_a_round_up(self, seconds: float) -> None:
        self.number += 1
        self.portal.call(self._given_up, seconds)

    async def _given_up(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._round(5.0)

    @invariant()
    def nobody_is_lost(self) -> None:
        if hasattr(self, "runner"):
            states = {model.state for model in self.runner.models.values()}
            assert states <= {State.READY, State.BUSY, State.RESTARTING}

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner_context.__exit__(None, None, None)
            self.portal_context.__exit__(None, None, None)
            self.folder.cleanup()


TestRounds = Rounds.TestCase
TestRounds.settings = settings(
    max_examples=12, stateful_step_count=8, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
