"""Rolling standard scores."""

import numpy as np


def rolling_zscore(values, window):
    """(value - mean) / deviation over the `window` values that end at each place; 0 where there are too few."""
    # EVOLVE-BLOCK-START
    result = np.zeros(len(values))
    for end in range(window, len(values) + 1):
        part = values[end - window : end]
        deviation = np.std(part)
        if deviation > 1e-12:
            result[end - 1] = (values[end - 1] - np.mean(part)) / deviation
    return result
    # EVOLVE-BLOCK-END
