"""The CRPS of many answers: ours, from stored text, from dicts and from arrays; the floor is plain numpy on arrays."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy.special import erf

from benchmarks.peer.scoring import stored
from crunch_game import CRPS, Prediction
from crunch_game.scoring import crps_normal_mixture

__all__ = ["floor", "ours"]

_AT = datetime(2024, 1, 1, tzinfo=UTC)


def ours(answers: int, components: int) -> dict[str, float]:
    """Score so many, each a mixture of so many normals."""
    texts, outcomes = stored(answers, components)
    arrays = _arrays(texts, outcomes)
    rule = CRPS()
    rule.score_json(texts[:1], outcomes[:1])  # it loads libraries
    predictions = [Prediction("ada", "1", "BTC", _AT, _AT, 3600.0, value=json.loads(text)) for text in texts]
    from_text, scores = _timed(lambda: rule.score_json(texts, outcomes), answers)
    from_dicts, _ = _timed(lambda: rule.score_many(predictions, outcomes), answers)
    from_arrays, found = _timed(lambda: crps_normal_mixture(*arrays), answers)
    assert np.allclose(found, scores, rtol=1e-12)
    return {"stored_us": from_text, "dicts_us": from_dicts, "arrays_us": from_arrays, "total": float(found.sum())}


def floor(answers: int, components: int) -> dict[str, float]:
    """The usual closed form, pair by pair."""
    arrays = _arrays(*stored(answers, components))
    from_arrays, found = _timed(lambda: _plain(*arrays), answers)
    return {"arrays_us": from_arrays, "total": float(found.sum())}


def _timed(score: Callable[[], Any], answers: int) -> tuple[float, Any]:
    """Microseconds for each answer, of the faster of two times, and what was found."""
    spent = []
    for _ in range(2):
        began = time.perf_counter()
        found = score()
        spent.append(time.perf_counter() - began)
    return min(spent) / answers * 1e6, found


def _arrays(texts: list[bytes], outcomes: list[float]) -> tuple[Any, ...]:
    rows = []
    for text in texts:
        [value] = json.loads(text)
        parts = value.get("components", [{"weight": 1.0, "density": value}])
        rows.append([(part["weight"], *part["density"]["params"].values()) for part in parts])
    weights, locs, scales = np.ascontiguousarray(np.moveaxis(np.array(rows), 2, 0))
    return np.array(outcomes), weights / weights.sum(axis=1, keepdims=True), locs, scales


def _plain(outcomes: Any, weights: Any, locs: Any, scales: Any) -> Any:
    def absolute(mean: Any, scale: Any) -> Any:
        z = mean / scale
        return mean * erf(z / math.sqrt(2)) + scale * math.sqrt(2 / math.pi) * np.exp(-0.5 * z * z)

    scores = (weights * absolute(locs - outcomes[:, None], scales)).sum(axis=1)
    scores -= (weights**2 * scales).sum(axis=1) / math.sqrt(math.pi)
    for i in range(weights.shape[1]):
        for j in range(i):
            spread = absolute(locs[:, i] - locs[:, j], np.sqrt(scales[:, i] ** 2 + scales[:, j] ** 2))
            scores -= weights[:, i] * weights[:, j] * spread
    return scores
