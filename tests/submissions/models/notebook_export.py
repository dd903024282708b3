# %%
import random

from walk import Walk

# %% [markdown]
# ## What I tried
# %%
noise = [random.Random(1).gauss(0, 1) for _ in range(1000)]
print("mean", sum(noise) / len(noise))
noise[:3]


# %%
class Model(Walk):
    """Saved from a notebook, with its experiments."""

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return self.last * 23


# %%
model = Model()
model.tick({"BTC": 1.0})
model.predict("BTC", 3600)
