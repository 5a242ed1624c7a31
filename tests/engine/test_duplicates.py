"""Pictures that are one picture are grouped, others are not, and the best of each group is suggested."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ris.copies.local_features import LocalFeatures, decode, describe, encode
from ris.copies.relations import Related
from ris.copies.verification import Verified, verify
from ris.errors import RisError
from ris.gallery import duplicates
from ris.gallery.duplicates import Seen, find_duplicates, suggestion
from ris.types import Difference, DuplicateGroup, Picture, Relation

Draw = Callable[..., Image.Image]
Links = dict[tuple[int, int], int]


def picture(position: int, path: str = "", **known: object) -> Picture:
    values: dict[str, object] = {
        "row": 100 + position,
        "path": path or f"{position}.png",
        "label": "",
        "width": 10,
        "height": 10,
        "bytes": 1,
        "modified": 0.0,
        "sha256": f"content {position}",
    }
    return Picture(**{**values, **known})  # type: ignore[arg-type]


class Described(list[LocalFeatures]):
    """Local features as a store keeps them."""

    side = 640

    def __init__(self, features: Sequence[LocalFeatures]) -> None:
        super().__init__(decode(encode(one)) for one in features)


def unread(position: int) -> Seen:
    raise AssertionError(f"{position} was read")


def gone(position: int) -> Seen:
    raise RisError(f"{position} is gone")


Proofs = list[tuple[Verified, Related]]
COPY = Related(Relation.SAME_PICTURE, None, 9.0)
CHANGED = Related(Relation.CHANGED_VERSION, Difference(0.2, [(1, 2, 3, 4)], [(5, 6, 7, 8)]), 8.0)
TEMPLATE = Related(Relation.SAME_TEMPLATE, Difference(0.8, [], []), 7.0)


def proven(links: Links, related: Related = COPY) -> Callable[[int, Sequence[int]], Proofs]:
    """Stand for a proof by so many points between two pictures."""
    nothing = np.zeros((3, 3))

    def verify(position: int, others: Sequence[int]) -> Proofs:
        found = [(other, links.get((position, other), links.get((other, position), 0))) for other in others]
        return [
            (Verified(other, points, 1.0, points / 10, False, nothing, nothing, nothing), related)
            for other, points in found
            if points
        ]

    return verify


def prints(count: int, seed: int = 0) -> np.ndarray:
    """Draw fingerprints."""
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)


def contents(pictures: list[Picture]) -> np.ndarray:
    """The first picture with the same bytes as each."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(one.sha256, place) for place, one in enumerate(pictures)], np.int64)


def grouped(
    pictures: list[Picture], vectors: np.ndarray, links: Links, workers: int = 2
) -> list[DuplicateGroup]:
    vectors = vectors.astype(np.float32)
    return find_duplicates(
        pictures,
        contents(pictures),
        vectors,
        prints(len(pictures)),
        proven(links),
        gone,
        workers=workers,
    ).groups


def paths(groups: list[DuplicateGroup]) -> list[list[str]]:
    return [[picture.path for picture in group.pictures] for group in groups]


@pytest.fixture(scope="module")
def edits(texture: Draw) -> dict[str, Image.Image]:
    """Two pictures, each after several edits, and strangers."""
    one, two = texture(1, 400, 300), texture(2, 320, 320)
    return {
        "one.png": one,
        "one crop.png": one.crop((40, 30, 360, 280)),
        "one mirrored.png": one.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "one small.png": one.resize((200, 150)),
        "one.jpg": one,
        "two.png": two,
        "two turned.png": two.transpose(Image.Transpose.ROTATE_90),
        **{f"stranger {seed}.png": texture(seed, 400, 300) for seed in range(10, 16)},
    }


def test_edited_pictures_are_grouped_by_geometry(tmp_path: Path, edits: dict[str, Image.Image]) -> None:
    names = sorted(edits)
    files = [tmp_path / name for name in names]
    for file in files:
        edits[file.name].save(file, quality=40)
    features = Described([describe(Image.open(file).convert("RGB"), 400, 640) for file in files])
    pictures = [
        picture(
            position,
            file.name,
            width=edits[file.name].width,
            height=edits[file.name].height,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            modified=float(position),
        )
        for position, file in enumerate(files)
    ]
    told: list[tuple[str, int, int]] = []
    found = find_duplicates(
        pictures,
        np.arange(len(files)),
        np.random.default_rng(0).normal(size=(len(files), 8)).astype(np.float32),
        np.array([one.fingerprint for one in features], np.uint64),
        lambda position, others: [
            (proof, COPY) for proof in verify(features[position], others, features) if proof.evidence > 5.0
        ],
        lambda position: Seen(Image.open(files[position]).convert("RGB"), camera=False),
        workers=2,
        progress=lambda *what: told.append(what),
    )
    ones, twos = found.groups
    assert [one.path for one in ones.pictures] == [name for name in names if name.startswith("one")]
    assert [one.path for one in twos.pictures] == ["two turned.png", "two.png"]
    assert ones.keep.path in ("one.png", "one mirrored.png")
    assert twos.keep.path == "two turned.png"
    assert min(ones.inliers, twos.inliers) > 15
    assert ones.inliers < 400
    assert told[-1] == ("comparing pictures", 13, 13)


def test_what_is_the_same_as_a_third_is_in_its_group_and_the_weakest_proof_is_told() -> None:
    pictures = [picture(position) for position in range(6)]
    links = {(0, 2): 40, (2, 4): 11, (1, 5): 90}
    groups = grouped(pictures, np.eye(6), links)
    assert paths(groups) == [["0.png", "2.png", "4.png"], ["1.png", "5.png"]]
    assert [group.inliers for group in groups] == [11, 90]
    assert [group.keep.path for group in groups] == ["0.png", "1.png"]


@pytest.mark.parametrize("related", [CHANGED, TEMPLATE])
def test_only_the_same_picture_is_grouped_and_a_changed_version_stands_apart(related: Related) -> None:
    pictures = [picture(position) for position in range(4)]
    found = find_duplicates(
        pictures,
        np.arange(4),
        np.eye(4, dtype=np.float32),
        prints(4),
        proven({(0, 2): 40, (1, 3): 50}, related),
        gone,
        workers=1,
    )
    assert found.groups == []
    pairs = [(pair.one.path, pair.other.path, pair.inliers) for pair in found.changed]
    assert pairs == ([("0.png", "2.png", 40), ("1.png", "3.png", 50)] if related is CHANGED else [])
    assert all(pair.difference == CHANGED.difference for pair in found.changed)


def test_equal_bytes_are_joined_unseen_and_compared_once() -> None:
    named = ["a", "b", "a", "c", "b", "a"]
    pictures = [picture(position, sha256=content) for position, content in enumerate(named)]
    compared: set[frozenset[int]] = set()

    def none(position: int, others: Sequence[int]) -> Proofs:
        compared.update(frozenset((position, other)) for other in others)
        return []

    vectors = np.eye(3, dtype=np.float32)[[0, 1, 0, 2, 1, 0]]
    groups = find_duplicates(pictures, contents(pictures), vectors, prints(6), none, unread, workers=1).groups
    assert paths(groups) == [["0.png", "2.png", "5.png"], ["1.png", "4.png"]]
    assert [group.inliers for group in groups] == [0, 0]
    assert compared == {frozenset(pair) for pair in ((0, 1), (0, 3), (1, 3))}


def test_copies_come_along_with_what_geometry_joins() -> None:
    pictures = [picture(position, sha256=content) for position, content in enumerate("aabb")]
    (group,) = grouped(pictures, np.eye(2)[[0, 0, 1, 1]], {(0, 2): 30})
    assert [one.row for one in group.pictures] == [100, 101, 102, 103]
    assert group.inliers == 30


def test_each_is_compared_with_its_nearest_and_with_those_whose_nearest_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicates, "NEAREST", 2)
    monkeypatch.setattr(duplicates, "ALIKE", 1)
    monkeypatch.setattr(duplicates, "_AT_ONCE", 7)
    vectors = np.random.default_rng(3).normal(size=(40, 5)).astype(np.float32)
    fingerprints = prints(40, seed=5)
    compared: list[tuple[int, int]] = []

    def none(position: int, others: Sequence[int]) -> Proofs:
        compared.extend((position, other) for other in others)
        return []

    pictures = [picture(i) for i in range(40)]
    find_duplicates(pictures, np.arange(40), vectors, fingerprints, none, unread, workers=1)
    far = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    bits = np.array([[(int(a) ^ int(b)).bit_count() for b in fingerprints] for a in fingerprints], float)
    expected = set()
    for gaps, k in ((far, 2), (bits, 1)):
        np.fill_diagonal(gaps, -1)
        for i, nearest in enumerate(np.argsort(gaps, axis=1, kind="stable")[:, 1 : k + 1]):
            expected |= {(min(i, int(j)), max(i, int(j))) for j in nearest}
    assert sorted(compared) == sorted(expected)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    assert grouped([picture(i) for i in range(count)], np.ones((count, 4)), {}) == []


def test_vectors_that_are_all_alike() -> None:
    pictures = [picture(position) for position in range(30)]
    assert grouped(pictures, np.ones((30, 4)), {}) == []


def test_threads_do_not_change_the_groups() -> None:
    rng = np.random.default_rng(4)
    pictures = [picture(position) for position in range(60)]
    links = {(int(i), int(j)): int(points) for i, j, points in rng.integers(0, 60, (40, 3)) if i < j}
    alone = grouped(pictures, rng.normal(size=(60, 4)), links, workers=1)
    assert alone
    rng = np.random.default_rng(4)
    rng.integers(0, 60, (40, 3))
    assert grouped(pictures, rng.normal(size=(60, 4)), links, workers=4) == alone


SAME = np.eye(2, 3)
EVERY = {(f"content {i}", f"content {j}"): SAME for i in range(4) for j in range(4)}


def kept(
    pictures: list[Picture], images: dict[int, Image.Image], cameras: Sequence[int] = ()
) -> tuple[int, str]:
    """What is suggested of pictures that all lie over each other as they are."""

    def read(position: int) -> Seen:
        if position not in images:
            raise RisError("gone")
        return Seen(images[position], position in cameras)

    return suggestion(pictures, read, range(len(pictures)), EVERY)


def test_what_cannot_be_read_is_not_kept(texture: Draw) -> None:
    pictures = [picture(0, modified=-5.0), picture(1)]
    assert kept(pictures, {1: texture(3)}) == (1, "it can be read")
    assert kept(pictures[::-1], {})[0] == 1


def test_of_equally_good_ones_the_camera_then_the_oldest_then_the_shortest_path(texture: Draw) -> None:
    same = {0: texture(4), 1: texture(4), 2: texture(4)}
    pictures = [picture(i, path, modified=7.0) for i, path in enumerate(["a/b.png", "aa.png", "z.png"])]
    assert kept(pictures, same)[0] == 2
    assert kept([*pictures[:2], picture(2, modified=8.0)], same)[0] == 1
    assert kept(pictures, same, cameras=[0]) == (0, "of equally good ones it names its camera")


def test_files_of_the_same_bytes_are_not_read() -> None:
    pictures = [
        picture(i, path, sha256="a") for i, path in enumerate(["a/b.png", "aa.png", "z.png", "y.png"])
    ]
    assert suggestion(pictures, unread, range(4), {})[0] == 3


def test_the_suggestion_does_not_depend_on_the_order(texture: Draw) -> None:
    original = texture(6, 400, 300)
    images = {0: original.convert("L").convert("RGB"), 1: original, 2: original.convert("1").convert("RGB")}
    for order in permutations(range(3)):
        pictures = [picture(i, modified=float(i)) for i in range(3)]
        shuffled = [pictures[i] for i in order]
        best, _ = kept(shuffled, {place: images[i] for place, i in enumerate(order)})
        assert shuffled[best].row == 101
