from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.distance import mahalanobis

from ris.errors import RisError
from ris.indexes.projection import Projection, normalise, with_classes, within_class_whitening


@pytest.fixture
def features() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((60, 8)) * [9, 6, 4, 3, 2, 1, 0.5, 0.2] + 5).astype(np.float32)


def eigenbasis(features: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return variances and directions (rows) of the covariance, largest first, by a general eigensolver."""
    variances, directions = np.linalg.eig(np.cov(features.astype(np.float64), rowvar=False))
    order = np.argsort(variances)[::-1]
    return variances[order], directions[:, order].T


def test_normalise() -> None:
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [1e-25, 0.0], [0.0, -1e15]])
    unit = normalise(vectors)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0.0, 0.0], [1.0, 0.0], [0.0, -1.0]], rtol=1e-6)


def test_fit_agrees_with_the_eigenvectors_of_the_covariance(features: npt.NDArray[np.float32]) -> None:
    projection = Projection.fit(features, 3, whiten=0, normalise=False)
    variances, directions = eigenbasis(features)
    np.testing.assert_allclose(projection.mean, features.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(projection.components * directions[:3], axis=1)), 1, atol=1e-5)
    np.testing.assert_allclose(projection.spectrum, variances / variances.sum(), rtol=1e-4)
    largest = np.abs(projection.components).argmax(axis=1)
    assert (projection.components[np.arange(3), largest] > 0).all()


def test_apply_projects_every_vector(features: npt.NDArray[np.float32]) -> None:
    projection = Projection.fit(features, 3, whiten=0, normalise=False)
    projected = projection.apply(features)
    expected = [
        [(x - projection.mean) @ c for c in projection.components] for x in features.astype(np.float64)
    ]
    assert projected.dtype == np.float32
    assert projected.flags.c_contiguous
    np.testing.assert_allclose(projected, expected, atol=1e-4)


def test_all_components_keep_all_distances(features: npt.NDArray[np.float32]) -> None:
    projected = Projection.fit(features, 8, whiten=0, normalise=False).apply(features)
    np.testing.assert_allclose(
        np.linalg.norm(projected[0] - projected, axis=1),
        np.linalg.norm(features[0] - features, axis=1),
        atol=1e-4,
    )


def test_whitening_gives_unit_variance_and_normalising_unit_length(features: npt.NDArray[np.float32]) -> None:
    whitened = Projection.fit(features, 5, whiten=1, normalise=False).apply(features)
    np.testing.assert_allclose(np.cov(whitened, rowvar=False), np.eye(5), atol=1e-4)
    unit = Projection.fit(features, 5, whiten=1, normalise=True).apply(features)
    np.testing.assert_allclose(unit, whitened / np.linalg.norm(whitened, axis=1, keepdims=True), atol=1e-5)


def test_half_whitening_leaves_the_square_root_of_the_spread(features: npt.NDArray[np.float32]) -> None:
    plain, half = (
        Projection.fit(features, 5, whiten=power, normalise=False).apply(features) for power in (0, 0.5)
    )
    np.testing.assert_allclose(half.std(axis=0, ddof=1), np.sqrt(plain.std(axis=0, ddof=1)), rtol=1e-4)


def test_whitening_leaves_out_directions_without_variance(features: npt.NDArray[np.float32]) -> None:
    flat = np.hstack([features[:, :3], features[:, :3]])
    whitened = Projection.fit(flat, 6, whiten=1, normalise=False).apply(flat)
    np.testing.assert_allclose(whitened.std(axis=0, ddof=1), [1, 1, 1, 0, 0, 0], atol=1e-4)


@pytest.fixture
def labels() -> npt.NDArray[np.int64]:
    return np.random.default_rng(1).choice([2, 5, 9, 12], size=60)


def within(features: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the covariance within classes (D, D), vector by vector."""
    total: npt.NDArray[np.float64] = np.zeros((features.shape[1], features.shape[1]))
    for x, label in zip(features.astype(np.float64), labels, strict=True):
        apart = x - features[labels == label].mean(axis=0, dtype=np.float64)
        total += np.outer(apart, apart)
    return total / len(features)


@pytest.mark.parametrize("shrinkage", [0.001, 0.3])
def test_distances_after_learning_from_classes_are_those_of_mahalanobis(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], shrinkage: float
) -> None:
    fitted = Projection.fit(features, 8, whiten=0, normalise=False, labels=labels, shrinkage=shrinkage)
    covariance = within(features, labels)
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.eye(8) * np.trace(covariance) / 8
    expected = [mahalanobis(features[0], x, np.linalg.inv(shrunk)) for x in features]
    projected = fitted.apply(features)
    np.testing.assert_allclose(np.linalg.norm(projected[0] - projected, axis=1), expected, rtol=1e-3)
    variances = projected.var(axis=0)
    assert (np.diff(variances) < 0).all()
    np.testing.assert_allclose(fitted.spectrum, variances / variances.sum(), rtol=1e-3)


def test_what_is_learnt_from_classes_makes_them_spread_alike(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> None:
    learnt = within_class_whitening(features, labels, 1e-9)
    np.testing.assert_allclose(within(features @ learnt, labels), np.eye(8), atol=1e-5)


def test_a_whole_shrinkage_learns_nothing_from_classes(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> None:
    learnt = within_class_whitening(features, labels, 1.0)
    np.testing.assert_allclose(learnt / learnt[0, 0], np.eye(8), atol=1e-12)
    plain = Projection.fit(features, 3, whiten=0.5, normalise=True)
    same = Projection.fit(features, 3, whiten=0.5, normalise=True, labels=labels, shrinkage=1.0)
    np.testing.assert_array_equal(same.apply(features), plain.apply(features))


def test_classes_of_one_picture_each_teach_nothing(features: npt.NDArray[np.float32]) -> None:
    with pytest.raises(
        RisError,
        match=r"^No class has two pictures .* `pca.pretrained.shrinkage=1`\.$",
    ):
        Projection.fit(features, 3, 0, normalise=True, labels=np.arange(60), shrinkage=0.5)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1 - 1e-12])
def test_a_share_keeps_the_fewest_components_that_reach_it(
    features: npt.NDArray[np.float32], share: float
) -> None:
    variances, _ = eigenbasis(features)
    kept = len(Projection.fit(features, share, whiten=0, normalise=False).components)
    assert variances[:kept].sum() / variances.sum() >= share
    assert variances[: kept - 1].sum() / variances.sum() < share


def test_what_cannot_be_fitted_or_projected_is_refused(features: npt.NDArray[np.float32]) -> None:
    def fit(vectors: npt.NDArray[np.float32], n_components: int = 2) -> Projection:
        return Projection.fit(vectors, n_components, whiten=0, normalise=False)

    with pytest.raises(
        RisError,
        match=r"^`pca` asks for 9 components, but 60 features of 8 dimensions .* at most 8; lower `n_comp",
    ):
        fit(features, 9)
    with pytest.raises(RisError, match="at most 5"):
        fit(features[:5], 6)
    with pytest.raises(RisError, match="do not differ"):
        fit(np.ones((5, 8), dtype=np.float32))
    with pytest.raises(RisError, match="do not differ"):
        fit(features[:0])
    with pytest.raises(RisError, match="8 are expected"):
        fit(features).apply(features[:, :7])
    features[4, 2] = np.nan
    with pytest.raises(RisError, match="NaN"):
        fit(features)


def test_saving_gives_the_same_bytes_and_loading_the_same_projection(
    features: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    projection = Projection.fit(features, 4, whiten=1, normalise=True)
    projection.save(first)
    Projection.fit(features.copy(), 4, whiten=1, normalise=True).save(second)
    assert first.read_bytes() == second.read_bytes()
    loaded = Projection.load(first)
    np.testing.assert_array_equal(loaded.apply(features), projection.apply(features))
    np.testing.assert_array_equal(loaded.spectrum, projection.spectrum)


@pytest.fixture
def classifier() -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((5, 8)).astype(np.float32)


def test_a_classifier_s_probabilities_stand_beside_the_direction(
    features: npt.NDArray[np.float32], classifier: npt.NDArray[np.float32]
) -> None:
    beside = with_classes(features, classifier, 3.0)
    assert beside.dtype == np.float32
    for vector, found in zip(features.astype(np.float64), beside, strict=True):
        direction = vector / np.sqrt((vector * vector).sum())
        raised = [np.exp(3.0 * sum(a * b for a, b in zip(direction, row, strict=True))) for row in classifier]
        roots = [np.sqrt(one / sum(raised)) for one in raised]
        np.testing.assert_allclose(found, np.concatenate([direction, roots]) / np.sqrt(2), atol=1e-6)


def test_a_projection_takes_the_classifier_with_it(
    features: npt.NDArray[np.float32], classifier: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    labels = np.arange(60) % 4
    beside = with_classes(features, classifier, 3.0)
    expected = Projection.fit(beside, 4, 0.5, normalise=True, labels=labels, shrinkage=0.3).apply(beside)
    projection = Projection.fit(
        features, 4, 0.5, True, labels=labels, shrinkage=0.3, classifier=classifier, sharpness=3.0
    )
    projection.save(tmp_path / "pca.npz")
    np.testing.assert_array_equal(projection.apply(features), expected)
    np.testing.assert_array_equal(Projection.load(tmp_path / "pca.npz").apply(features), expected)
    np.testing.assert_allclose(projection.apply(7 * features), expected, atol=1e-5)


def test_a_sharpness_of_0_leaves_the_classifier_out(
    features: npt.NDArray[np.float32], classifier: npt.NDArray[np.float32]
) -> None:
    plain = Projection.fit(features, 4, 0.5, normalise=True)
    left_out = Projection.fit(features, 4, 0.5, normalise=True, classifier=classifier, sharpness=0.0)
    np.testing.assert_array_equal(left_out.apply(features), plain.apply(features))
    assert left_out.classifier.shape == (0, 8)


def test_a_classifier_of_other_vectors_is_refused(
    features: npt.NDArray[np.float32], classifier: npt.NDArray[np.float32]
) -> None:
    with pytest.raises(RisError, match="vectors to classify"):
        Projection.fit(features, 4, 0.5, normalise=True, classifier=classifier[:, :6], sharpness=3.0)


def test_a_projection_of_before_there_were_classifiers_is_read(
    features: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    projection = Projection.fit(features, 4, 0.5, normalise=True)
    kept = {
        name: value for name, value in vars(projection).items() if name not in ("classifier", "sharpness")
    }
    np.savez(tmp_path / "pca.npz", **kept)
    old = Projection.load(tmp_path / "pca.npz")
    np.testing.assert_array_equal(old.apply(features), projection.apply(features))


def test_a_damaged_file_is_refused(features: npt.NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "pca.npz"
    with pytest.raises(RisError, match="missing"):
        Projection.load(path)
    Projection.fit(features, 2, whiten=0, normalise=False).save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[:-10], whole[: len(whole) // 2], whole[:300] + b"\xff" + whole[301:]):
        path.write_bytes(damaged)
        with pytest.raises(RisError, match=r"pca\.npz is not a readable projection .* remake it"):
            Projection.load(path)
    with path.open("wb") as stream:
        np.save(stream, features)
    with pytest.raises(RisError, match="not a readable projection"):
        Projection.load(path)
