"""Visual words: the nearest of the vocabulary, and pictures ranked by those that they share."""

import numpy as np
import numpy.typing as npt
import pytest

from ris.copies import words as under_test
from ris.copies.words import BRANCHES, LEAVES, WORDS, InvertedIndex, words_of
from ris.lab import vocabulary

Bytes = npt.NDArray[np.uint8]


def descriptors(count: int, seed: int = 0) -> Bytes:
    vectors = np.random.default_rng(seed).gamma(0.5, size=(count, 128))
    return np.asarray(np.rint(255 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)), np.uint8)


def test_a_word_is_the_nearest_of_the_nearest_branch() -> None:
    centres = np.load(under_test.FILE).astype(np.float64)
    assert centres.shape == (BRANCHES, 1 + LEAVES, 128)
    some = descriptors(300)
    expected = set()
    for one in some.astype(np.float64):
        branch = np.linalg.norm(centres[:, 0] - one, axis=1).argmin()
        expected.add(int(branch * LEAVES + np.linalg.norm(centres[branch, 1:] - one, axis=1).argmin()))
    (found,) = words_of([some])
    assert found.tolist() == sorted(expected)


def test_pictures_together_have_the_words_that_each_has_alone() -> None:
    pictures = [descriptors(number % 7 * 10, number) for number in range(70)]
    together = words_of(pictures)
    assert len(together) == 70
    for words, one in zip(together, pictures, strict=True):
        np.testing.assert_array_equal(words, words_of([one])[0])
    assert words_of([]) == []


def test_similarity_is_the_cosine_of_tf_idf_up_to_the_query_s_length() -> None:
    rng = np.random.default_rng(3)
    contents = [np.unique(rng.integers(0, 60, count)).astype(np.uint16) for count in (5, 0, 30, 12, 50)]
    query = np.unique(rng.integers(0, 60, 20)).astype(np.uint16)
    has = np.zeros((5, WORDS))
    for line, words in zip(has, contents, strict=True):
        line[words] = 1
    weighted = has * np.log(6 / (1 + has.sum(axis=0)))
    asked = np.zeros(WORDS)
    asked[query] = np.log(6 / (1 + has.sum(axis=0)))[query]
    expected = weighted @ asked / np.maximum(np.linalg.norm(weighted, axis=1), 1e-9)
    index = InvertedIndex(np.concatenate(contents), np.array([len(words) for words in contents]))
    np.testing.assert_allclose(index.similarities(query), expected, rtol=1e-5, atol=1e-9)
    order = index.nearest([query[:0], query], np.array([4, 3, 2, 1]), 9)
    assert order.tolist() == sorted([4, 3, 2], key=lambda one: -expected[one])


def test_an_empty_gallery_shares_nothing() -> None:
    index = InvertedIndex(np.zeros(0, np.uint16), np.zeros(0, np.int64))
    assert index.nearest([np.array([3], np.uint16)], np.zeros(0, np.int64), 5).tolist() == []


def test_a_vocabulary_is_learnt_in_two_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "BRANCHES", 2)
    monkeypatch.setattr(vocabulary, "LEAVES", 3)
    sample = descriptors(400, 9).astype(np.float32)
    learnt = vocabulary.learn(sample, 0)
    assert learnt.shape == (2, 4, 128)
    np.testing.assert_array_equal(learnt, vocabulary.learn(sample, 0))

    def error(centres: Bytes) -> float:
        return float(
            np.linalg.norm(sample[:, None] - centres[None].astype(np.float64), axis=2).min(axis=1).mean()
        )

    random = error(sample[:2].astype(np.uint8))
    assert error(learnt[:, 1:].reshape(-1, 128)) < error(learnt[:, 0]) < random
