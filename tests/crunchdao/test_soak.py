"""Everything comes and goes at random, while rounds are played: no outcome is missing, and nothing is left behind.

By hand, for ten minutes: CRUNCH_GAME_SOAK=600 CRUNCH_GAME_SOAK_MODELS=50 pytest -s tests/crunchdao/test_soak.py
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
from collections import Counter
from pathlib import Path

import grpc
import pytest
from nodes import Node, node
from orchestra import Orchestrator

from crunch_game import NodeHost, Policy, Submission
from crunch_game.crunchdao.client import CrunchRoster
from crunch_game.outcomes import Status

SECONDS = float(os.environ.get("CRUNCH_GAME_SOAK", "8"))
MODELS = int(os.environ.get("CRUNCH_GAME_SOAK_MODELS", "12"))

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(SECONDS + 300)]


class Tracker:
    def tick(self, payload, performance=None):
        self.last = payload["price"]

    async def predict(self, asset="dove", step=1):
        chance = random.random()
        if chance < 0.02:
            await asyncio.sleep(2)
        if chance > 0.98:
            raise ValueError("no idea")
        return self.last


class World:
    """An orchestrator and its nodes, and what may happen to them."""

    def __init__(self, there: Orchestrator, chance: random.Random) -> None:
        self.there = there
        self.chance = chance
        self.nodes: dict[tuple[str, str], Node] = {}
        self.made = 0
        self.happened: Counter[str] = Counter()

    async def join(self, model_id: str | None = None) -> None:
        self.made += 1
        model_id, deployment_id = model_id or f"m{self.made}", f"d{self.made}"
        self.nodes[model_id, deployment_id] = one = Node(Tracker)
        announced_first = self.chance.random() < 0.5
        if not announced_first:
            await one.start()
        await self.there.run(model_id, one.port, deployment_id)
        if announced_first:
            await one.start()

    async def leave(self, key: tuple[str, str] | None = None) -> None:
        if self.nodes:
            key = key or self.chance.choice(list(self.nodes))
            if self.chance.random() < 0.5:
                await self.there.stop(*key)
                await self.nodes.pop(key).kill()
            else:
                await self.nodes.pop(key).kill()
                await self.there.stop(*key)

    async def replace(self) -> None:
        if self.nodes:
            key = self.chance.choice(list(self.nodes))
            await self.join(key[0])
            await self.leave(key)

    async def kill(self) -> None:
        """A node ends, and is there again behind the same port a moment later."""
        if self.nodes:
            one = self.chance.choice(list(self.nodes.values()))
            await one.kill()
            await asyncio.sleep(self.chance.random() / 2)
            if one in self.nodes.values():
                await one.start()

    async def recover(self) -> None:
        if self.nodes:
            key = self.chance.choice(list(self.nodes))
            await self.nodes[key].kill()
            await self.there.recover(*key)
            await asyncio.sleep(self.chance.random() / 2)
            self.nodes[key] = Node(Tracker)
            await self.nodes[key].start()
            await self.there.run(key[0], self.nodes[key].port, key[1])

    async def restart(self) -> None:
        """The orchestrator goes away, and what happens meanwhile is only in its next init."""
        await self.there.close()
        await self.join()
        await self.leave()
        await asyncio.sleep(self.chance.random() / 2)
        await self.there.start()

    async def go_on(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            many, few = len(self.nodes) > MODELS, len(self.nodes) < MODELS
            names = ["kill", "recover", "replace", "restart", *["leave"] * 3 * many, *["join"] * 5 * few]
            name = self.chance.choice(names)
            self.happened[name] += 1
            await getattr(self, name)()
            await asyncio.sleep(0.05 if few else 0.2)


def in_use() -> Counter[str]:
    gc.collect()
    # By its type alone: to ask a weak proxy for its class, whose object is gone, is an error.
    channels = sum(issubclass(type(thing), grpc.aio.Channel) for thing in gc.get_objects())
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Counter(tasks=len(asyncio.all_tasks()), channels=channels, descriptors=descriptors)


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def test_nothing_is_lost_and_nothing_is_left(running, seen):
    seed = int(os.environ.get("CRUNCH_GAME_SOAK_SEED", str(random.randrange(10**6))))
    print(f"seed {seed}")
    async with node(Tracker) as one, running([Submission("one", f"127.0.0.1:{one.port}")], host=NodeHost()):
        pass  # what gRPC keeps for good is no leak
    world = World(Orchestrator(), random.Random(seed))
    await world.there.start()
    before = in_use()
    statuses: Counter[Status] = Counter()
    memory = []
    policy = Policy(timeout=1, setup_timeout=10, unreachable_timeout=10, max_consecutive_timeouts=0)
    roster = CrunchRoster("bird-game", host="127.0.0.1", port=world.there.port)
    async with running(roster, policy=policy, ready_timeout=0, on_event=lambda event: None) as runner:
        living = asyncio.create_task(world.go_on(SECONDS))
        while not living.done():
            for method, args in (("tick", [{"price": 1.5}]), ("predict", [])):
                asked = set(runner.models)
                played = await runner.call(method, *args)
                assert set(played) == asked
                assert played.elapsed < policy.timeout + 60
                statuses.update(outcome.status for outcome in played.values())
            memory.append(resident())
            await asyncio.sleep(0.02)
        await living
        await seen(lambda: {(m.id, m.deployment_id) for m in runner.models.values()} == set(world.nodes))
        await seen(lambda: all(model.state in ("ready", "busy") for model in runner.models.values()))
        rounds = len(memory)
    for one in world.nodes.values():
        await one.kill()
    world.nodes.clear()
    print(f"{rounds} rounds, {dict(world.happened)}, {dict(statuses)}")
    print(f"memory: {memory[len(memory) // 5]:.0f} MiB after a fifth, {memory[-1]:.0f} MiB at the end")

    await seen(lambda: not in_use() - before - Counter(descriptors=2))
    await world.there.close()
    assert statuses[Status.OK] > rounds
