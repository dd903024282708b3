"""The floor of the benchmarks at work, for `test_benchmarks`: called in a process of its own, by way of `apart`.

The floor forks, and a fork of pytest's process inherits threads' locks of whatever library a test before has used.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks import floor
from benchmarks.field import PRICES, floats
from benchmarks.meter import below, pss


def small() -> dict[str, Any]:
    """Three children are told and asked; what they answered, and what is left of them."""
    tell, ask = ["tick", {**PRICES, "BTC": 5e6}], ["predict", "BTC", 3600, 3600]
    with floor.children(3, floor.density()) as children:
        told, answers = children.ask(floor._encode(tell)), children.ask(floor._encode(ask))
        pids, during, memory = children.pids, below(os.getpid()), pss(children.pids)
    left = below(os.getpid())
    return {"told": told, "answers": answers, "pids": pids, "during": during, "left": left, "memory": memory}


def large(size: int) -> dict[str, Any]:
    """Two children add up so many numbers."""
    data = floats(size)
    with floor.children(2, floor.total("floats")) as children:
        children.ask(floor._encode(data))
        return {"answers": children.ask(b"total"), "right": sum(data)}
