"""Visual words: local features as numbers, so that pictures that share a part are found like texts are.

Sivic and Zisserman, "Video Google: a text retrieval approach to object matching in videos", ICCV 2003; the
vocabulary is a tree of two levels (Nistér and Stewénius, "Scalable recognition with a vocabulary tree", CVPR
2006) that comes with this package: `ris.lab.vocabulary` makes it.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ris.indexes.vectors import Rows

Bytes: TypeAlias = npt.NDArray[np.uint8]
Words: TypeAlias = npt.NDArray[np.uint16]

FILE = Path(__file__).with_name("vocabulary.npy")
"""(branches, 1 + leaves, 128) uint8: of each branch its centre, and those of its words."""
BRANCHES, LEAVES = 64, 256
WORDS = BRANCHES * LEAVES
AT_ONCE = 64
"""Pictures whose words are looked up together, which takes a quarter of the time of one by one."""


@cache
def _vocabulary() -> npt.NDArray[np.float32]:
    return np.asarray(np.load(FILE, allow_pickle=False), np.float32)


def words_of(pictures: Sequence[Bytes]) -> list[Words]:
    """Return the words (w,) of each picture's descriptors (m, 128), ascending, each once."""
    found: list[Words] = []
    for start in range(0, len(pictures), AT_ONCE):
        some = pictures[start : start + AT_ONCE]
        words = _spelled(np.concatenate(some))
        found += map(np.unique, np.split(words, np.cumsum([len(one) for one in some])[:-1]))
    return found


def _spelled(descriptors: Bytes) -> Words:
    """Return the word of each descriptor (m, 128)."""
    vectors, vocabulary = descriptors.astype(np.float32), _vocabulary()
    words = np.zeros(len(vectors), np.uint16)
    branch = _nearest(vectors, vocabulary[:, 0])
    for one in np.unique(branch).tolist():
        here = branch == one
        words[here] = one * LEAVES + _nearest(vectors[here], vocabulary[one, 1:])
    return words


def _nearest(vectors: npt.NDArray[np.float32], centres: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    half = (centres**2).sum(axis=1) / 2
    return np.asarray((vectors @ centres.T - half).argmax(axis=1), np.intp)


class InvertedIndex:
    """Which contents of a gallery have which words; 4 bytes for each."""

    def __init__(self, words: Words, counts: npt.NDArray[Any]) -> None:
        """Index contents.

        Args:
            words: (t,) of all contents, one content's after the other's, each once a content.
            counts: (m,) how many words each has.
        """
        contents = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        order = np.argsort(words, kind="stable")
        self._contents = contents[order]
        frequencies = np.bincount(words, minlength=WORDS)
        self._starts = np.concatenate([[0], np.cumsum(frequencies)])
        inverse = np.log((1 + len(counts)) / (1 + frequencies)).astype(np.float32)
        self._weights = inverse**2
        mass = np.bincount(contents, self._weights[words], len(counts))
        self._lengths = np.sqrt(np.maximum(mass, 1e-9))

    def similarities(self, words: Words) -> npt.NDArray[np.float64]:
        """Compare a query's words (w,) with each content's, by tf-idf: (m,), the cosine times a constant."""
        starts, ends = self._starts[words], self._starts[words + 1]
        sizes = ends - starts
        places = np.arange(sizes.sum()) + np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
        weights = np.repeat(self._weights[words], sizes)
        return np.bincount(self._contents[places], weights, len(self._lengths)) / self._lengths

    def nearest(self, queries: list[Words], rows: Rows, k: int) -> Rows:
        """Return of rows (n,) those that share most with one of the queries, at most k; ties by place."""
        similarities = np.max([self.similarities(words) for words in queries], axis=0)[rows]
        order = np.argsort(-similarities, kind="stable")[:k]
        nearest: Rows = rows[order[similarities[order] > 0]]
        return nearest
