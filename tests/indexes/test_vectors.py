import numpy as np
import pytest

from ris.errors import RisError
from ris.indexes.vectors import checked, checked_k, not_empty


def test_vectors_become_float32_and_contiguous() -> None:
    vectors = checked(np.arange(12).reshape(3, 4).T, "vectors")
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_array_equal(vectors, np.arange(12).reshape(3, 4).T)


def test_float32_vectors_are_not_copied() -> None:
    vectors = np.ones((3, 4), dtype=np.float32)
    assert checked(vectors, "vectors", 4) is vectors


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 1e300])
def test_unusable_values_are_refused_with_their_row(value: float) -> None:
    vectors = np.ones((5, 4))
    vectors[3, 1] = value
    with pytest.raises(RisError, match=r"^The features hold a NaN, .* row 3; "):
        checked(vectors, "features")


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(RisError, match="4 dimensions where 5 are expected"):
        checked(np.ones((3, 4)), "queries", 5)
    with pytest.raises(RisError, match=r"shape \(4,\)"):
        checked(np.ones(4), "queries", 4)


def test_no_vector_is_refused() -> None:
    vectors = np.ones((1, 2), np.float32)
    assert not_empty(vectors) is vectors
    with pytest.raises(RisError, match="no vector to index"):
        not_empty(vectors[:0])


def test_k_is_capped() -> None:
    assert checked_k(3, 10) == 3
    assert checked_k(30, 10) == 10
    with pytest.raises(RisError, match="k is 0"):
        checked_k(0, 10)
