"""A whole game, on its own machine and on the network: the same predictions, the same scores."""

from __future__ import annotations

import pytest
import walk
from nodes import node
from orchestra import orchestrator

from crunch_game import MemoryStore, Status, run_game
from crunch_game.crunchdao.client import CrunchRoster

pytestmark = pytest.mark.anyio


def kept(store: MemoryStore) -> set:
    return {(p.model_id, p.key, p.at, p.status, p.value) for p in store.predictions()}


async def test_a_game_that_runs_locally_runs_on_the_network_by_changing_its_models():
    local, network = MemoryStore(), MemoryStore()
    at_home = await run_game(walk.game(), [walk.Mean, walk.Last, walk.Moody], host="inline", store=local)

    async with (
        orchestrator("walk") as there,
        node(walk.Mean) as mean,
        node(walk.Last) as last,
        node(walk.Moody) as moody,
    ):
        for name, one in {"Mean": mean, "Last": last, "Moody": moody}.items():
            await there.run(name, one.port)
        models = CrunchRoster("walk", host="127.0.0.1", port=there.port)
        on_the_network = await run_game(walk.game(), models, store=network)
        assert there.reports == []

    assert kept(network) == kept(local)
    assert any(status is Status.RAISED for _, _, _, status, _ in kept(network))
    assert on_the_network.leaderboard == at_home.leaderboard
