"""generate.py SIZE SEED: a window and SIZE values that wander."""

import sys

import numpy as np

size, seed = int(sys.argv[1]), int(sys.argv[2])
draw = np.random.default_rng(seed)
window = int(draw.integers(2, 65))
values = draw.normal(size=size) + np.sin(np.arange(size) / 50.0) * draw.uniform(0.0, 3.0)
sys.stdout.buffer.write(np.concatenate([[window], values]).astype("<f8").tobytes())
