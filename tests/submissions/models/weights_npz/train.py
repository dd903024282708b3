import numpy as np

np.savez("weights.npz", weights=np.full(4, 4.0))
