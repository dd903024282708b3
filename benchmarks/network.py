"""Ours on CrunchDAO's network: rounds on the peer's model nodes, with which its own coordinator plays in turn.

The nodes are there already, and stay: what is measured is the coordinator, and the way to them and back.
"""

from __future__ import annotations

import anyio

from benchmarks.field import field
from benchmarks.runner import play
from crunch_game import CrunchRoster, ModelRunner, Policy

__all__ = ["rounds"]


def rounds(port: int, models: int, rounds: int) -> dict[str, float]:
    """Play so many rounds with so many nodes, announced by an orchestrator at that port."""
    with field("density", 0):
        return anyio.run(_play, port, models, rounds)


async def _play(port: int, models: int, rounds: int) -> dict[str, float]:
    roster = CrunchRoster("bench", host="127.0.0.1", port=port, report_failures=False)
    policy = Policy(timeout=30)
    async with ModelRunner("bench_game:TrackerBase", roster, policy=policy, ready_timeout=300) as runner:
        await play(runner, models, 1)
        played = await play(runner, models, rounds)
    return {"models": models, **played}
