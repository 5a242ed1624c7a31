"""The catalog: one row for each picture that is kept, and a reason for each file that is not."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from ris.copies.grouping import group_ids, renumbered
from ris.errors import RisError
from ris.images.decoding import UnreadableImage, read_image, stored_mode
from ris.lab.config import Clean, Params
from ris.lab.data.near_duplicates import Features, describe, find_pairs
from ris.lab.data.split import check_split, split
from ris.threads import worker_threads


@dataclass(frozen=True)
class _Picture:
    path: str
    width: int
    height: int
    mode: str
    sha256: str
    features: Features | None

    @property
    def label(self) -> str:
        return PurePosixPath(self.path).parts[0]


@dataclass(frozen=True)
class _Rejected:
    path: str
    reason: str
    kind: str


def build_catalog(images: Path, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read every file below `images`, drop what is no use, group near-duplicates and split the rest.

    A picture's class is the first folder of its path. A class must have `clean.min_class_size` different
    pictures: near-duplicates count once.

    Returns:
        The catalog, sorted by path: path, label, width, height (int32, upright), mode (as stored),
        sha256 (hex), group (int32), split ("query", "train" or "validation"); and the rejected files,
        sorted by path: path, reason, kind.

    Raises:
        RisError: the folder or a folder in it cannot be read, holds no file, or fewer than two classes
            are left.
    """
    pictures, rejected = _read(images, params)
    pictures, copies = _without_copies(pictures)
    groups = _groups(pictures, params)
    keep, small = _without_small_classes(pictures, groups, params.clean.min_class_size)
    rejected = sorted([*rejected, *copies, *small], key=lambda row: row.path)
    pictures = [picture for picture, kept in zip(pictures, keep, strict=True) if kept]
    labels = [picture.label for picture in pictures]
    if len(set(labels)) < 2:
        raise RisError(
            f"{images} leaves {len(set(labels))} usable classes of the two or more that a search needs, with "
            f"{len(rejected)} files rejected; add pictures, one folder a class."
        )
    groups = renumbered(groups[keep])
    splits = split(labels, groups, params.clean.query_share, params.clean.validation_share, params.seed)
    check_split(list(splits), groups, labels)
    return _catalog_table(pictures, labels, groups, splits), _rejected_table(rejected)


def _read(images: Path, params: Params) -> tuple[list[_Picture], list[_Rejected]]:
    files = sorted(_files(images), key=lambda path: path.relative_to(images).as_posix())
    if not files:
        raise RisError(f"{images} holds no files; check data.source and data.root.")
    inspect = partial(_inspect, images, background=params.data.background, clean=params.clean)
    with worker_threads(params.clean.workers) as pool:
        results = list(tqdm(pool.map(inspect, files), "pictures", total=len(files), disable=None))
    pictures = [result for result in results if isinstance(result, _Picture)]
    return pictures, [result for result in results if isinstance(result, _Rejected)]


def _files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise RisError(f"{error.filename} cannot be read as a folder ({error.strerror}).") from error

    for parent, _, names in os.walk(folder, onerror=fail):
        yield from (Path(parent, name) for name in names)


def _inspect(images: Path, file: Path, *, background: tuple[str, ...], clean: Clean) -> _Picture | _Rejected:
    path = file.relative_to(images).as_posix()
    try:
        path.encode()
    except UnicodeEncodeError:
        readable = os.fsencode(path).decode(errors="backslashreplace")
        return _Rejected(readable, "its name is not valid UTF-8", "unreadable")
    parts = PurePosixPath(path).parts
    if len(parts) == 1:
        return _Rejected(path, "it stands in no class folder", "background")
    if parts[0] in background:
        return _Rejected(path, f"{parts[0]} is a background folder and no class", "background")
    if not file.is_file():
        return _Rejected(path, "it is no regular file", "not_an_image")
    try:
        data = file.read_bytes()
        image = read_image(data, clean.max_pixels)
        mode = stored_mode(data, clean.max_pixels)
    except UnreadableImage as error:
        return _Rejected(path, error.reason, error.kind)
    except OSError as error:
        return _Rejected(path, f"the file cannot be read ({error.strerror})", "unreadable")
    features = describe(image, clean.near_duplicates) if clean.near_duplicates.enabled else None
    return _Picture(path, image.width, image.height, mode, hashlib.sha256(data).hexdigest(), features)


def _without_copies(pictures: list[_Picture]) -> tuple[list[_Picture], list[_Rejected]]:
    first: dict[str, _Picture] = {}
    for picture in pictures:
        first.setdefault(picture.sha256, picture)
    copies = [
        _Rejected(picture.path, f"it has the same bytes as {first[picture.sha256].path}", "duplicate")
        for picture in pictures
        if first[picture.sha256] is not picture
    ]
    return list(first.values()), copies


def _groups(pictures: list[_Picture], params: Params) -> npt.NDArray[np.int32]:
    features = [picture.features for picture in pictures if picture.features is not None]
    if not features:
        return np.arange(len(pictures), dtype=np.int32)
    pairs = find_pairs(features, params.clean.near_duplicates, params.seed, params.clean.workers)
    return group_ids(pairs, len(pictures))


def _without_small_classes(
    pictures: list[_Picture], groups: npt.NDArray[np.int32], min_size: int
) -> tuple[npt.NDArray[np.bool_], list[_Rejected]]:
    labels = pd.Series([picture.label for picture in pictures], dtype=str)
    sizes = pd.Series(groups).groupby(labels).nunique()
    different = labels.map(sizes).to_numpy(dtype=np.int64)
    small = [
        _Rejected(
            picture.path,
            f"class {picture.label} has {size} different pictures, fewer than the {min_size} required",
            "small_class",
        )
        for picture, size in zip(pictures, different, strict=True)
        if size < min_size
    ]
    return different >= min_size, small


def _catalog_table(
    pictures: list[_Picture], labels: list[str], groups: npt.NDArray[np.int32], splits: npt.NDArray[np.str_]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": [picture.path for picture in pictures],
            "label": labels,
            "width": np.array([picture.width for picture in pictures], np.int32),
            "height": np.array([picture.height for picture in pictures], np.int32),
            "mode": [picture.mode for picture in pictures],
            "sha256": [picture.sha256 for picture in pictures],
            "group": groups,
            "split": [str(part) for part in splits],
        }
    )


def _rejected_table(rejected: list[_Rejected]) -> pd.DataFrame:
    columns = ["path", "reason", "kind"]
    return pd.DataFrame([(row.path, row.reason, row.kind) for row in rejected], columns=columns, dtype=str)
