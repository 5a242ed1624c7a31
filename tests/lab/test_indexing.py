"""What an approximate index is searched with: the least that finds what it must."""

import numpy as np
import pytest

from ris.indexes.annoy import AnnoyIndex
from ris.indexes.exact import ExactIndex
from ris.indexes.index import Index, tuned
from ris.lab.indexing import no_harder_than_needed

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((900, 24)).astype(np.float32)
ASKED = RNG.choice(900, 80, replace=False)
MOST = {"n_trees": 10, "search_k": 8000}


def recall(index: Index) -> float:
    """Share of each asked picture's ten nearest others that are found, counted one by one."""
    gaps = np.linalg.norm(VECTORS[ASKED][:, None] - VECTORS, axis=2)
    gaps[np.arange(len(ASKED)), ASKED] = np.inf
    exact = np.argsort(gaps, axis=1)[:, :10]
    found = index.search(VECTORS[ASKED], 11)[1]
    return float(np.mean([len(set(one) & set(other)) / 10 for one, other in zip(exact, found, strict=True)]))


@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.99])
def test_half_as_much_would_not_do(wanted: float) -> None:
    built = AnnoyIndex.build(VECTORS, MOST, seed=0)
    eased = no_harder_than_needed(built, VECTORS, ASKED, wanted)
    search_k = eased.parameters["search_k"]
    assert search_k < MOST["search_k"]
    assert recall(eased) >= wanted
    assert recall(tuned(built, {"search_k": search_k // 2})) < wanted
    assert built.parameters["search_k"] == MOST["search_k"]


def test_what_cannot_be_reached_or_has_a_meaning_of_its_own_is_left() -> None:
    low = AnnoyIndex.build(VECTORS, {"n_trees": 1, "search_k": 4}, seed=0)
    assert no_harder_than_needed(low, VECTORS, ASKED, 0.99) is low
    own = AnnoyIndex.build(VECTORS, {"n_trees": 1, "search_k": -1}, seed=0)
    assert no_harder_than_needed(own, VECTORS, ASKED, 0.1) is own
    exact = ExactIndex(VECTORS)
    assert no_harder_than_needed(exact, VECTORS, ASKED, 0.99) is exact
