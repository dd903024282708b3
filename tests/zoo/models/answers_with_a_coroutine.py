"""It answers with what an async def returns, unawaited."""

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return self.answer(asset)

    async def answer(self, asset):
        return {"mean": 0.0, "scale": 1.0}
