"""More than one look at a picture: views of the query, regions of a gallery picture, and rankings of several.

A crop is found by the regions of its original, a collage or a screenshot by the views of the query. A box is
(left, top, right, bottom) in pixels, right and bottom excluded, as Pillow's `crop` takes it.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeAlias

import numpy as np
from PIL import Image

from ris.indexes.vectors import Rows, Vectors

Box: TypeAlias = tuple[int, int, int, int]

VIEWS = 9
"""How many views a query has: itself first, the other three turns, the quarters, the middle."""
REGIONS = 5
"""How many regions a gallery picture has, besides itself."""
REGION_SHARE = 0.6
"""Of either side of a gallery picture, that a region covers."""


def corner_and_middle_boxes(size: tuple[int, int], share: float) -> list[Box]:
    """Return five boxes: top left, top right, bottom left, bottom right, middle.

    Args:
        size: width and height of the picture.
        share: of either side that a box covers; a box has at least one pixel.
    """
    width, height = (max(1, round(length * share)) for length in size)
    right, bottom = size[0] - width, size[1] - height
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)]
    return [(left, top, left + width, top + height) for left, top in corners]


def query_views(image: Image.Image) -> list[Image.Image]:
    """Return the nine views of a query: its four quarter turns, its quarters and its middle half."""
    turns = [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
    parts = corner_and_middle_boxes(image.size, 0.5)
    return [image, *(image.transpose(turn) for turn in turns), *(image.crop(box) for box in parts)]


def gallery_regions(image: Image.Image) -> list[Image.Image]:
    """Return the five regions of a gallery picture: its four overlapping corners and its middle."""
    return [image.crop(box) for box in corner_and_middle_boxes(image.size, REGION_SHARE)]


def merged(distances: Vectors, rows: Rows, k: int) -> tuple[Vectors, Rows]:
    """Merge what several views of one query found to one ranking, by each picture's least distance.

    Args:
        distances: (views, m) from a search; the same picture may occur several times in a line.
        rows: (views, m) catalog rows; -1 where the search left a place empty.
        k: pictures wanted.

    Returns:
        distances (j,) ascending and rows (j,), each picture once, j at most k; at equal distance the lower
        row comes first.
    """
    flat_distances, flat_rows = distances.ravel(), rows.ravel()
    order = np.lexsort((flat_rows, flat_distances))
    order = order[flat_rows[order] >= 0]
    _, first = np.unique(flat_rows[order], return_index=True)
    best = order[np.sort(first)[:k]]
    return flat_distances[best], flat_rows[best]


def in_turn(rankings: Sequence[Rows], k: int) -> Rows:
    """Draw the first of each ranking, then the second of each, and so on: rows (j,), each once, j at most k.

    Args:
        rankings: catalog rows, the best first; -1 is passed over.
        k: rows wanted.
    """
    drawn = np.array(list(zip_longest(*rankings, fillvalue=-1)), np.int64).ravel()
    _, first = np.unique(drawn, return_index=True)
    once = drawn[np.sort(first)]
    return once[once >= 0][:k]


def pooled(vectors: Vectors, regions: Vectors, weight: float) -> Vectors:
    """Return the averages (n, D) of pictures' vectors and of their regions', so that one vector knows parts.

    As in Tolias et al., Particular object retrieval with integral max-pooling of CNN activations, 2016, arXiv
    1511.05879, where the regions' vectors are summed.

    Args:
        vectors: (n, D) of the pictures.
        regions: (5 n, D) of their regions, those of a picture one after the other.
        weight: of the mean of a picture's regions; its own vector has weight 1.
    """
    means = regions.reshape(len(vectors), REGIONS, -1).mean(axis=1)
    summed: Vectors = vectors + np.float32(weight) * means
    return summed / np.float32(1 + weight)
