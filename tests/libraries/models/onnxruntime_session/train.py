from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.neural_network import MLPRegressor

steps = np.random.default_rng(10).normal(size=(300, 5)).astype(np.float32)
network = MLPRegressor(hidden_layer_sizes=(16,), max_iter=50, random_state=10).fit(steps, steps.mean(axis=1))
Path("network.onnx").write_bytes(to_onnx(network, steps[:1]).SerializeToString())
