"""What a store says of its approximate index is so."""

import numpy as np
import pytest

from ris.gallery.arrays import ArrayGallery, Parts, catalogue_of
from ris.gallery.gallery import PARTITIONED
from ris.gallery.settings import Settings
from ris.gallery.spaces import Space
from ris.indexes.exact import ExactIndex
from ris.indexes.ivf import IvfIndex, fit_centres
from ris.indexes.projection import Projection
from ris.store.recall import ENOUGH, QUERIES, K, measure_recall, recall_now


def drawn(count: int) -> np.typing.NDArray[np.float32]:
    """Vectors of length 1 in groups."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(20, 16))[rng.integers(20, size=count)] + 0.3 * rng.normal(size=(count, 16))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def test_the_recall_is_that_of_brute_force() -> None:
    vectors = drawn(3000)
    centres = fit_centres(vectors, len(vectors), 0)
    index = IvfIndex(centres, {"n_probes": 1})
    partitions = index.partitions(vectors)
    index.add(vectors, partitions)
    measured = measure_recall(centres, vectors, partitions)
    assert (measured.k, measured.queries) == (K, QUERIES)
    assert min(measured.unfiltered, *measured.filtered.values()) >= ENOUGH
    assert measured.n_probes < len(centres)
    shares = []
    for query in range(0, len(vectors), 10):
        far = ((vectors - vectors[query]) ** 2).sum(axis=1)
        nearest = np.argsort(far, kind="stable")[1 : K + 1]
        _, found = index.with_probes(measured.n_probes).search(vectors[query : query + 1], K + 1)
        shares.append(np.isin(nearest, found).mean())
    assert np.mean(shares) == pytest.approx(measured.unfiltered, abs=0.01)


def test_a_query_is_answered_among_others_as_it_is_alone() -> None:
    vectors = drawn(3000)
    centres = fit_centres(vectors, len(vectors), 0)
    index = IvfIndex(centres, {"n_probes": 1})
    index.add(vectors, index.partitions(vectors))
    together = index.search(vectors[:50], K + 1)
    alone = [index.search(vectors[query : query + 1], K + 1) for query in range(50)]
    assert np.array_equal(together[1], np.concatenate([positions for _, positions in alone]))
    assert np.array_equal(together[0], np.concatenate([distances for distances, _ in alone]))


def test_a_filter_that_lets_nothing_through_misses_nothing() -> None:
    vectors = drawn(12)
    centres = fit_centres(vectors, len(vectors), 0)
    measured = measure_recall(centres, vectors, IvfIndex(centres, {"n_probes": 1}).partitions(vectors))
    assert measured.filtered["0.005"] == 1.0
    assert measured.unfiltered >= ENOUGH


def test_what_a_gallery_finds_now_is_told() -> None:
    vectors = drawn(3000)
    centres = fit_centres(vectors, len(vectors), 0)
    index = IvfIndex(centres, {"n_probes": 1})
    index.add(vectors, index.partitions(vectors))
    projection = Projection.fit(vectors, 16, 0.0, normalise=False)
    turned = projection.apply(vectors)
    searched = IvfIndex(projection.apply(centres), {"n_probes": 1})
    searched.add(turned, searched.partitions(turned))
    names = [f"{number:04d}" for number in range(3000)]
    gallery = ArrayGallery(
        catalogue_of(names, [""] * 3000, np.arange(3000)),
        Settings(same_picture=False, n_components=16),
        Parts(Space(ExactIndex(vectors)), Space(ExactIndex(turned), projection), {PARTITIONED: searched}),
    )
    measured = recall_now(gallery)
    shares = []
    for query in range(0, 3000, 10):
        far = ((vectors - vectors[query]) ** 2).sum(axis=1)
        _, found = gallery.nearest("auto", vectors[query], K + 1)
        shares.append(np.isin(np.argsort(far, kind="stable")[1 : K + 1], found).mean())
    assert measured["1"] == pytest.approx(np.mean(shares), abs=0.06)
    assert measured["1"] < 0.95
    assert measured["0.005"] == 1.0  # so few are compared one by one
