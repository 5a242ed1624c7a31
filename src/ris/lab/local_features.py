"""The local features of a catalog, as `extract` keeps them: packed one after the other in one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from ris.artifacts import checksum, read_json, write_array, write_json, writing
from ris.copies.local_features import LocalFeatures, decode, describe, encode
from ris.errors import RisError
from ris.images.decoding import read_image
from ris.threads import in_order, worker_threads

Bytes: TypeAlias = npt.NDArray[np.uint8]

FORMAT = 3
FILES = ("features.bin", "ends.npy", "hashes.npy")


class _Manifest(BaseModel):
    """local_features.json."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: int
    catalog: str
    n_features: int
    side: int
    files: dict[str, str]


@dataclass(frozen=True, eq=False)
class CatalogFeatures:
    """The local features of a catalog, in its order, on disk."""

    packed: Bytes
    """(bytes,) those of each picture as `encode` packs them."""
    ends: npt.NDArray[np.int64]
    """(n,) where those of each picture end."""
    hashes: npt.NDArray[np.uint64]
    """(n,) perceptual hashes."""
    side: int
    """See `describe`."""

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together."""
        return self.packed.nbytes + self.ends.nbytes + self.hashes.nbytes

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> LocalFeatures:
        """Return the features of the picture in row `row` of the catalog."""
        return decode(self.packed_of(row))

    def packed_of(self, row: int) -> bytes:
        """Return them as they are packed."""
        start = self.ends[row - 1] if row else 0
        return self.packed[start : self.ends[row]].tobytes()

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
        """Describe picture files on `workers` threads, whose number does not change a byte, and keep them.

        Args:
            folder: what is made: `FILES`, and local_features.json.
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
        lengths, hashes = np.zeros(len(files), np.int64), np.zeros(len(files), np.uint64)
        with writing(folder) as fresh:
            fresh.mkdir()
            with worker_threads(workers) as pool, (fresh / "features.bin").open("wb") as stream:
                described = in_order(pool, picture, files, lead=4 * workers)
                found = tqdm(described, "local features", total=len(files), disable=None)
                for row, features in enumerate(found):
                    lengths[row] = stream.write(encode(features))
                    hashes[row] = features.fingerprint
            write_array(fresh / "ends.npy", np.cumsum(lengths))
            write_array(fresh / "hashes.npy", hashes)
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
        """Map them into memory, after their checksums are verified.

        Raises:
            RisError: they are missing or damaged, of another format, or of another catalog.
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
        packed, (ends, hashes) = folder / "features.bin", (_mapped(folder / name) for name in FILES[1:])
        held = packed.stat().st_size
        data: Bytes = np.memmap(packed, np.uint8, "r") if held else np.zeros(0, np.uint8)
        return cls(data, ends, hashes, manifest.side)


@dataclass(frozen=True, eq=False)
class GalleryFeatures:
    """The local features of some rows of a catalog, by their position among these."""

    features: CatalogFeatures
    rows: npt.NDArray[np.int64]

    @property
    def side(self) -> int:
        """See `describe`."""
        return self.features.side

    def __getitem__(self, position: int) -> LocalFeatures:
        """Return the features of the picture at a position."""
        return self.features[int(self.rows[position])]


def _describe_file(file: Path, *, n_features: int, side: int, max_pixels: int) -> LocalFeatures:
    return describe(read_image(file, max_pixels), n_features, side)


def _mapped(file: Path) -> Any:
    return np.load(file, mmap_mode="r", allow_pickle=False)
