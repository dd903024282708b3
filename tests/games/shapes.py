"""Base classes of the same shape as those of the games that exist, and a model for each."""

from __future__ import annotations

import abc
from abc import ABC, abstractmethod
from typing import Any


class Bird(abc.ABC):
    """birdgame: the constructor takes the horizon; no annotation of the answer but dict; None is one too."""

    def __init__(self, horizon: int):
        self.horizon = horizon
        self.count = 0

    @abc.abstractmethod
    def tick(self, payload: dict, performance_metrics: dict): ...

    @abc.abstractmethod
    def predict(self) -> dict | None: ...

    def tick_and_predict(self, payload: dict, performance_metrics: dict) -> dict:
        self.tick(payload, performance_metrics)
        return self.predict()


class BirdModel(Bird):
    def tick(self, payload, performance_metrics):
        self.count += 1
        self.payload, self.metrics = payload, performance_metrics

    def predict(self):
        if self.count < 3:
            return None
        params = {"loc": self.payload["dove_location"], "scale": 1.0 + self.horizon}
        return {"type": "builtin", "name": "norm", "params": params, "metrics": self.metrics}


class Synth(ABC):  # noqa: B024 - as the real one
    """crunch-synth: `predict` raises NotImplementedError after a look at routes; `predict_all` is the base's own."""

    def __init__(self):
        self.prices: dict[str, list[tuple[int, float]]] = {}
        self._routes: dict[tuple[int, str], Any] = {}

    def tick(self, data: dict[str, list[tuple[int, float]]]):
        for asset, entries in data.items():
            self.prices.setdefault(asset, []).extend(entries)

    def predict(self, asset: str, horizon: int, step: int):
        tracker = self._routes.get((horizon, asset))
        if tracker is not None:
            return tracker.predict(asset, horizon, step)
        raise NotImplementedError(f"{type(self).__name__}.predict() not implemented")

    def predict_all(self, asset: str, horizon: int, steps: list[int]) -> dict[int, list[dict]]:
        return {step: self.predict(asset=asset, horizon=horizon, step=step) for step in steps if step <= horizon}


class SynthModel(Synth):
    def predict(self, asset: str, horizon: int, step: int):
        last = self.prices[asset][-1][1]
        density = {"type": "builtin", "name": "norm", "params": {"loc": last, "scale": 1.0}}
        return [{"step": step, **density}] * (horizon // step)


class Vanta:
    """crunch-vanta: the horizon's parameter has another name."""

    def __init__(self):
        self._history = {}

    def tick(self, data: dict) -> None:
        self._history.setdefault(data.get("symbol", "BTC"), []).extend(data.get("candles_1m", []))

    def predict(self, symbol: str, horizon_seconds: int, step_seconds: int) -> dict:
        raise NotImplementedError("Implement predict() in your model")


class VantaModel(Vanta):
    def predict(self, symbol, horizon_seconds, step_seconds):
        first, *_, last = self._history[symbol]
        return {"expected_return": last["close"] / first["close"] - 1, "asked": [horizon_seconds, step_seconds]}


class Vol(ABC):
    """btcvol: a list of floats."""

    def __init__(self):
        self._prices = {}

    @abstractmethod
    def predict(self, asset: str, horizon: int, step: int) -> list[float]:
        raise NotImplementedError("Subclasses must implement predict()")

    def tick(self, prices: dict[str, list[tuple[float, float]]]):
        self._prices.update(prices)


class VolModel(Vol):
    def predict(self, asset, horizon, step):
        return [self._prices[asset][-1][1]] * (horizon // step)


class Numinous:
    """crunch-numinous: no tick."""

    def predict(self, event: dict) -> dict:
        raise NotImplementedError


class NuminousModel(Numinous):
    def predict(self, event):
        certain = 0.9 if "rise" in event["title"] else 0.1
        return {"event_id": event["event_id"], "prediction": certain, "reasoning": event["title"]}
