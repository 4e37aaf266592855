"""Reads float64 numbers, the window first; writes the scores as float64."""

import sys

import numpy as np
from routine import rolling_zscore

data = np.frombuffer(sys.stdin.buffer.read(), dtype="<f8")
scores = rolling_zscore(data[1:], int(data[0]))
sys.stdout.buffer.write(np.ascontiguousarray(scores, dtype="<f8").tobytes())
