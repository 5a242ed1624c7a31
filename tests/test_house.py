"""Each thing is computed in one place: who needs it elsewhere calls it there."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src/ris"
PLACES = {
    "exact search": (
        r"argpartition|np\.partition|maxima\.partition|sklearn\.neighbors|vecdot\(differences",
        {
            "indexes/exact.py",
            "copies/perceptual_hash.py",  # of hashes
            "lab/data/near_duplicates.py",  # the nearest bags of words, by their product
        },
    ),
    "approximate search": (
        r"\bimport (faiss|hnswlib|usearch)\b|from annoy import",
        {"indexes/annoy.py", "indexes/ivf.py", "copies/perceptual_hash.py"},
    ),
    "projection": (
        r"sklearn\.decomposition|svd\((?!fit)|linalg\.eigh",
        {
            "indexes/projection.py",
            "gallery/embedding_map.py",  # what t-SNE starts from
            "lab/report/projection_map.py",
            "copies/fitting.py",  # of a transformation of the plane
        },
    ),
    "re-ranking": (r"\*\* alpha", {"indexes/reranked.py"}),
    "copies proven by geometry": (
        r"estimateAffine2D|estimateAffinePartial2D|findHomography",
        {"copies/fitting.py", "lab/data/near_duplicates.py"},  # the second is of the catalog's cleaning
    ),
    "judging": (r"relevant_counts\(|query_values\(", {"metrics/retrieval.py", "metrics/judge.py"}),
    "the store's tables": (r"\bimport lance\b", {"store/tables.py", "store/gallery.py", "store/refit.py"}),
}


@pytest.mark.parametrize("what", PLACES)
def test_one_thing_is_done_in_one_place(what: str) -> None:
    pattern, places = PLACES[what]
    found = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if re.search(pattern, file.read_text())
    }
    assert found == places
