"""It answers with a coroutine, which nobody awaits."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return self.later()

    async def later(self):
        return {"mean": 0.0, "scale": 1.0}
