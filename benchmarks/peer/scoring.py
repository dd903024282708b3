"""The peer scores stored answers: crunch-synth integrates each on a grid. And the answers, which all sides score."""

from __future__ import annotations

import json
import random
import time
from typing import Any

__all__ = ["grid", "stored"]


def stored(answers: int, components: int) -> tuple[list[bytes], list[float]]:
    """Answers as a store keeps them, each a mixture of so many normals, and their outcomes."""
    drawn = random.Random(components)
    texts, outcomes = [], []
    for _ in range(answers):
        parts = [
            {
                "density": {
                    "type": "builtin",
                    "name": "norm",
                    "params": {"loc": drawn.gauss(0, 1), "scale": drawn.uniform(0.5, 2)},
                },
                "weight": drawn.uniform(0.1, 1),
            }
            for _ in range(components)
        ]
        value: Any = parts[0]["density"] if components == 1 else {"type": "mixture", "components": parts}
        texts.append(json.dumps([value]).encode())
        outcomes.append(drawn.gauss(0, 1))
    return texts, outcomes


def grid(answers: int, components: int) -> dict[str, float]:
    """Score so many, from stored text, by the integral that the peer ranks by: on 1,024 points, here ten wide."""
    from crunch_synth.tracker_evaluator import crps_integral

    texts, outcomes = stored(answers, components)
    began = time.perf_counter()
    for text, outcome in zip(texts, outcomes, strict=True):
        for density in json.loads(text):
            crps_integral(density, outcome, t_min=-10, t_max=10)
    return {"stored_us": (time.perf_counter() - began) / answers * 1e6}
