"""Groups of pictures that pairs join."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Int = npt.NDArray[np.int64]


def group_ids(pairs: Int, count: int) -> npt.NDArray[np.int32]:
    """Join pairs (P, 2) into groups: one id a picture, (count,) int32, numbered by first appearance.

    A picture without a near-duplicate is a group of its own.
    """
    graph = sparse.coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    return renumbered(connected_components(graph, directed=False)[1])


def renumbered(groups: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Number groups 0, 1, 2, ... by first appearance, int32."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    ranks: npt.NDArray[np.int32] = np.argsort(np.argsort(first)).astype(np.int32)
    return ranks[inverse]
