"""Local features of pictures, and the store that keeps those of a whole catalog.

RootSIFT: Lowe 2004, "Distinctive image features from scale-invariant keypoints", IJCV, and Arandjelović and
Zisserman 2012, "Three things everyone should know to improve object retrieval", CVPR.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from ris.artifacts import checksum, read_json, write_json, writing
from ris.copies.perceptual_hash import fingerprint
from ris.errors import RisError
from ris.images.decoding import read_image
from ris.threads import worker_threads

Bytes: TypeAlias = npt.NDArray[np.uint8]

FORMAT = 2
CONTRAST = 0.02
"""SIFT's contrast threshold: half of OpenCV's, for what is dark or blurred."""
SMALLEST = 128
"""A thumbnail of 64 pixels shows some 25 points at its own size and five times as many at this one."""
STEP = 5
"""Width of one of the 16 levels to which the store rounds a descriptor's values; they seldom exceed 75."""
THUMBNAIL = 96
"""Longer side of the grey picture that the store keeps to compare pixels."""
FILES = ("points.npy", "descriptors.npy", "counts.npy", "sizes.npy", "thumbnails.npy", "fingerprints.npy")


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The strongest points of a picture and what they look like."""

    points: npt.NDArray[np.float32]
    """(m, 2) x and y in the picture's pixels, whole numbers being the centres of pixels."""
    descriptors: Bytes
    """(m, 128) RootSIFT, of length 255 up to rounding."""
    size: tuple[int, int]
    """Width and height of the picture."""
    grey: Bytes
    """(h, w) the picture in grey, as it was described or smaller."""

    @property
    def fingerprint(self) -> int:
        """See `ris.copies.perceptual_hash`; of the thumbnail, so that the store's is no other."""
        return fingerprint(thumbnail(self.grey))


def described_scale(size: tuple[int, int], side: int) -> float:
    """Return the scale at which `describe` looks at a picture of a width and height."""
    longer = max(size)
    return min(1.0, side / longer) if longer >= SMALLEST else SMALLEST / longer


def _described_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = described_scale(size, side)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def describe(image: Image.Image, n_features: int, side: int) -> LocalFeatures:
    """Find the local features of a picture; one without texture has none.

    Args:
        image: any mode; its brightness counts.
        n_features: how many of the strongest to keep, at most.
        side: a picture whose longer side is longer is looked at in this size, in pixels; one whose longer
            side is shorter than `SMALLEST` is enlarged to that.
    """
    size = _described_size(image.size, side)
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))
    # Without the precise upscaling, OpenCV's points lie a quarter of a pixel off.
    detector = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=n_features, contrastThreshold=CONTRAST, enable_precise_upscale=True
    )
    keypoints, sift = detector.detectAndCompute(grey, None)
    if sift is None:
        return LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), image.size, grey)
    # OpenCV returns more than it was asked for where several are equally strong.
    strongest = np.argsort([-keypoint.response for keypoint in keypoints], kind="stable")[:n_features]
    points = np.array([keypoint.pt for keypoint in keypoints])[strongest]
    points = (points + 0.5) * image.size / size - 0.5
    return LocalFeatures(points.astype(np.float32), root_sift(sift[strongest]), image.size, grey)


def thumbnail(grey: Bytes) -> Bytes:
    """Shrink a grey picture (h, w) to a longer side of `THUMBNAIL` pixels; a smaller one stays as it is."""
    size = _thumbnail_size(grey.shape[1], grey.shape[0])
    if size == grey.shape[::-1]:
        return grey
    small: Bytes = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


def _thumbnail_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, THUMBNAIL / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def root_sift(sift: npt.NDArray[np.float32]) -> Bytes:
    """Turn SIFT (m, 128) into RootSIFT of length 255: the square roots of what sums to 1."""
    shares = sift / np.maximum(sift.sum(axis=1, keepdims=True), 1e-9)
    root: Bytes = np.rint(255 * np.sqrt(shares)).astype(np.uint8)
    return root


def mirrored_descriptors(descriptors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return what SIFT's or RootSIFT's descriptors (m, 128) would be, were the picture mirrored.

    A descriptor counts gradients in 4 x 4 fields by 8 directions, relative to the point's own direction.
    Mirrored, the fields lie in reverse order across that direction, and the directions run the other way
    round. (Guo and Cao 2012, "MIFT: A framework for feature descriptors to be mirror reflection invariant",
    IVC, section 3.)
    """
    fields = descriptors.reshape(-1, 4, 4, 8)
    return fields[:, ::-1, :, -np.arange(8)].reshape(-1, 128)


def pack(descriptors: Bytes) -> Bytes:
    """Round descriptors (m, 128) to 16 levels and put two values in a byte: (m, 64)."""
    levels = np.rint(np.minimum(descriptors / STEP, 15)).astype(np.uint8)
    packed: Bytes = levels[:, :64] | levels[:, 64:] << np.uint8(4)
    return packed


def unpack(packed: Bytes) -> Bytes:
    """Undo `pack`, up to its rounding: (m, 64) -> (m, 128)."""
    return np.concatenate([packed & 15, packed >> 4], axis=1) * np.uint8(STEP)


class _Manifest(BaseModel):
    """local_features.json."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: int
    catalog: str
    n_features: int
    side: int
    files: dict[str, str]


@dataclass(frozen=True, eq=False)
class LocalFeatureStore:
    """The local features of a catalog, in its order, on disk: 68 bytes a feature, 9,236 more a picture."""

    points: npt.NDArray[np.uint16]
    """(n, n_features, 2) x and y; 0 and 65535 are the picture's borders."""
    descriptors: Bytes
    """(n, n_features, 64), see `pack`; what a picture has too few features for is zero."""
    counts: npt.NDArray[np.int32]
    """(n,) features of each picture."""
    sizes: npt.NDArray[np.int32]
    """(n, 2) width and height of each picture."""
    thumbnails: Bytes
    """(n, `THUMBNAIL`, `THUMBNAIL`) grey, each at the top left; the rest is zero."""
    fingerprints: npt.NDArray[np.uint64]
    """(n,) see `ris.copies.perceptual_hash`."""
    side: int
    """See `describe`."""

    @property
    def n_features(self) -> int:
        """How many features a picture has at most."""
        return int(self.points.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together."""
        arrays = self.points, self.descriptors, self.counts, self.sizes, self.thumbnails, self.fingerprints
        return sum(array.nbytes for array in arrays)

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, row: int) -> LocalFeatures:
        """Return the features of the picture in row `row` of the catalog."""
        count = self.counts[row]
        width, height = (int(length) for length in self.sizes[row])
        points = self.points[row, :count] / np.float32(65535) * (width, height) - 0.5
        across, down = _thumbnail_size(*_described_size((width, height), self.side))
        return LocalFeatures(
            points.astype(np.float32),
            unpack(self.descriptors[row, :count]),
            (width, height),
            np.asarray(self.thumbnails[row, :down, :across]),
        )

    @classmethod
    def write(
        cls,
        folder: Path,
        files: Sequence[Path],
        catalog_sha256: str,
        *,
        n_features: int,
        side: int,
        max_pixels: int,
        workers: int,
    ) -> None:
        """Describe picture files on `workers` threads, whose number does not change a byte, and store them.

        Args:
            folder: what is made: one array for each of `FILES`, and local_features.json.
            files: one for each row of the catalog.
            catalog_sha256: checksum of the catalog.
            n_features: see `describe`.
            side: see `describe`.
            max_pixels: see `read_image`.
            workers: threads.

        Raises:
            RisError: a file cannot be read any more.
        """
        picture = partial(_describe_file, n_features=n_features, side=side, max_pixels=max_pixels)
        shapes: dict[str, tuple[type, tuple[int, ...]]] = {
            "points.npy": (np.uint16, (len(files), n_features, 2)),
            "descriptors.npy": (np.uint8, (len(files), n_features, 64)),
            "counts.npy": (np.int32, (len(files),)),
            "sizes.npy": (np.int32, (len(files), 2)),
            "thumbnails.npy": (np.uint8, (len(files), THUMBNAIL, THUMBNAIL)),
            "fingerprints.npy": (np.uint64, (len(files),)),
        }
        with writing(folder) as fresh:
            fresh.mkdir()
            arrays = [
                np.lib.format.open_memmap(fresh / name, "w+", dtype, shape)
                for name, (dtype, shape) in shapes.items()
            ]
            points, descriptors, counts, sizes, thumbnails, fingerprints = arrays
            with worker_threads(workers) as pool:
                found = tqdm(pool.map(picture, files), "local features", total=len(files), disable=None)
                for row, features in enumerate(found):
                    count = len(features.points)
                    places = (features.points + 0.5) / features.size
                    points[row, :count] = np.rint(places.clip(0, 1) * 65535)
                    descriptors[row, :count] = pack(features.descriptors)
                    counts[row], sizes[row] = count, features.size
                    small = thumbnail(features.grey)
                    thumbnails[row, : small.shape[0], : small.shape[1]] = small
                    fingerprints[row] = features.fingerprint
            for array in arrays:
                array.flush()
            manifest = _Manifest(
                format=FORMAT,
                catalog=catalog_sha256,
                n_features=n_features,
                side=side,
                files={name: checksum(fresh / name) for name in FILES},
            )
            write_json(fresh / "local_features.json", manifest.model_dump())

    @classmethod
    def open(cls, folder: Path, catalog_sha256: str) -> Self:
        """Map a store into memory, after its checksums are verified.

        Raises:
            RisError: it is missing or damaged, of another format, or of another catalog.
        """
        path = folder / "local_features.json"
        try:
            manifest = _Manifest.model_validate(read_json(path))
        except ValidationError as error:
            raise RisError(f"{path} is damaged; remake it with `dvc repro`.") from error
        if manifest.format != FORMAT:
            raise RisError(f"{path} has format {manifest.format}, not {FORMAT}; remake it with `dvc repro`.")
        if manifest.catalog != catalog_sha256:
            raise RisError(
                f"The local features in {folder} are of another catalog than the present one; "
                "remake them with `dvc repro`."
            )
        for name in FILES:
            file = folder / name
            if not file.is_file() or checksum(file) != manifest.files.get(name):
                raise RisError(f"{file} is missing or damaged; remake it with `dvc repro`.")
        points, descriptors, counts, sizes, thumbnails, fingerprints = (
            _mapped(folder / name) for name in FILES
        )
        return cls(points, descriptors, counts, sizes, thumbnails, fingerprints, manifest.side)


def _describe_file(file: Path, *, n_features: int, side: int, max_pixels: int) -> LocalFeatures:
    return describe(read_image(file, max_pixels), n_features, side)


def _mapped(file: Path) -> Any:
    return np.load(file, mmap_mode="r", allow_pickle=False)
