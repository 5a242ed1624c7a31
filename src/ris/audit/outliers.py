"""Pictures that are unlike all others of their label.

The distance to the k-th nearest neighbour, k being 1: Ramaswamy, Rastogi and Shim 2000, "Efficient algorithms
for mining outliers from large data sets", SIGMOD. Held against all by the modified z-score: Iglewicz and
Hoaglin 1993, "How to detect and handle outliers", ASQC.
"""

import numpy as np

from ris.metrics.retrieval import Floats

OUTLYING = 2.0
"""Modified z-score above which a picture is an outlier. For values without a bound the authors propose 3.5;
distances between vectors of length 1 end near that of unrelated pictures, which is nearer than this."""
_NORMAL = 0.6745
"""Median absolute deviation of a normal distribution, in standard deviations."""


def outlying(distances: Floats) -> Floats:
    """Return the modified z-score (n,) of distances (n,), n at least 1.

    It is 0.6745 (distance - median) / (median absolute deviation): negative where a picture lies nearer to
    another one than is usual, and 0 for all where more than half lie equally far.
    """
    middle = np.median(distances)
    spread = np.median(np.abs(distances - middle))
    return np.zeros(len(distances)) if spread == 0 else _NORMAL * (distances - middle) / spread
