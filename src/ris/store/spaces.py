"""The spaces of a store: fitted to a sample once, and frozen until they are fitted again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save
from threadpoolctl import threadpool_limits

from ris.copies.views import REGIONS
from ris.gallery.settings import Settings
from ris.gallery.spaces import fit_basis, for_copies, projected, projected_lengths
from ris.indexes.ivf import IvfIndex, fit_centres
from ris.indexes.projection import Projection
from ris.indexes.vectors import Vectors
from ris.store.commits import Commit
from ris.store.storage import Place, write
from ris.store.tables import check_files
from ris.types import DamagedError

FOLDER = "spaces"
GROWTH = 2.0
"""Times the contents that spaces were fitted to, from which they are fitted again by themselves."""
SAMPLE = 100_000
"""Contents that spaces are fitted to, at most: spread evenly over all."""
SEED = 0


@dataclass(frozen=True, eq=False)
class Embedded:
    """Contents as the encoders see them."""

    vectors: Vectors
    """(m, D) of the encoder."""
    copies: Vectors | None = None
    """(m, E) of the encoder for copies; None where that is the same one."""
    regions: Vectors | None = None
    """(5 m, E) of their regions, by the encoder for copies; None where they are not kept."""

    @classmethod
    def joined(cls, parts: Sequence["Embedded"]) -> Self:
        """Return parts as one; there is at least one, and all have the same."""
        vectors, copies, regions = (
            [getattr(part, name) for part in parts] for name in ("vectors", "copies", "regions")
        )
        return cls(
            np.concatenate(vectors),
            None if copies[0] is None else np.concatenate(copies),
            None if regions[0] is None else np.concatenate(regions),
        )

    def for_copies(self, settings: Settings) -> Vectors:
        """Return the vectors (m, E) that copies are searched among."""
        own = self.vectors if self.copies is None else self.copies
        return for_copies(own, self.regions, settings)


@dataclass(frozen=True, eq=False)
class Projected:
    """Contents in the spaces."""

    vectors: Vectors
    """(m, d) in the PCA space."""
    lengths: npt.NDArray[np.float32]
    """(m,) in the whitened space, see `projected_lengths`."""
    partitions: npt.NDArray[np.int64]
    """(m,) of the PCA space; -1 where there are none."""
    region_lengths: npt.NDArray[np.float32]
    """(m, 5) of their regions in the whitened space; (m, 0) where none are kept."""

    @classmethod
    def joined(cls, parts: Sequence["Projected"]) -> Self:
        """Return parts as one; there is at least one."""
        names = ("vectors", "lengths", "partitions", "region_lengths")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def first(self, count: int) -> "Projected":
        """Return the first contents of them."""
        return Projected(
            self.vectors[:count],
            self.lengths[:count],
            self.partitions[:count],
            self.region_lengths[:count],
        )


@dataclass(frozen=True, eq=False)
class Spaces:
    """The PCA space and its partitions, and the whitened space."""

    pca: Projection
    """To the space that is searched."""
    whitened: Projection
    """To the space in which candidates for copies are searched."""
    centres: Vectors
    """(l, d) of the partitions of the PCA space; l is 0 where there are none."""

    @classmethod
    def fit(cls, sample: Embedded, count: int, settings: Settings) -> Self | None:
        """Fit to a sample of `count` contents; None where they do not differ.

        On one thread, as the order of a sum over several would change its last digit from run to run.
        """
        with threadpool_limits(1, "blas"):
            basis = of_copies = fit_basis(sample.vectors)
            if sample.copies is not None or sample.regions is not None:
                of_copies = fit_basis(sample.for_copies(settings))
            if basis is None or of_copies is None:
                return None
            pca = basis.first(settings.n_components, settings.pca_whiten)
            centres = np.zeros((0, len(pca.components)), np.float32)
            if count > settings.exact_up_to:
                centres = fit_centres(projected(sample.vectors, pca), count, SEED)
            whitened = of_copies.first(settings.whitened, settings.whiten)
        return cls(pca, whitened, centres)

    def project(self, embedded: Embedded, settings: Settings) -> Projected:
        """Bring contents into the spaces."""
        count, regions = len(embedded.vectors), embedded.regions
        of_regions = np.zeros((count, 0), np.float32)
        with threadpool_limits(1, "blas"):
            found = projected(embedded.vectors, self.pca)
            lengths = projected_lengths(embedded.for_copies(settings), self.whitened)
            if regions is not None:
                of_regions = projected_lengths(regions, self.whitened).reshape(count, REGIONS)
        partitions = np.full(count, -1, np.int64)
        if len(self.centres):
            partitions = IvfIndex(self.centres, {"n_probes": 1}).partitions(found)
        return Projected(found, lengths, partitions, of_regions)

    def save(self, store: Place, version: int) -> None:
        """Write them as a version of a store's."""
        arrays = {"centres": self.centres}
        for name, projection in (("pca", self.pca), ("whitened", self.whitened)):
            arrays |= {f"{name}.{key}": np.asarray(value) for key, value in vars(projection).items()}
        data = save({name: np.array(array, order="C") for name, array in arrays.items()})
        write(store / space_file(version), data)

    @classmethod
    def read(cls, store: Place, commit: Commit) -> Self:
        """Read those of a commit that has some, after their checksum.

        Raises:
            DamagedError: they are damaged, or not of the store's encoders.
        """
        assert commit.space is not None
        name = space_file(commit.space.version)
        check_files(store, {name: commit.space.sha256})
        try:
            arrays = load((store / name).read_bytes())
            pca, whitened = (
                Projection.of(
                    {key.removeprefix(of): one for key, one in arrays.items() if key.startswith(of)}
                )
                for of in ("pca.", "whitened.")
            )
            spaces = cls(pca, whitened, arrays["centres"])
            if not spaces._fit(commit):
                raise ValueError
            return spaces
        except (SafetensorError, LookupError, ValueError, TypeError, AttributeError, OSError) as error:
            raise DamagedError(f"{store / name} holds no spaces; build the store anew.") from error

    def _fit(self, commit: Commit) -> bool:
        """Tell whether they are of a store's encoders, and finite."""
        encoders = (commit.identity, commit.copies or commit.identity)
        for space, encoder in zip((self.pca, self.whitened), encoders, strict=True):
            size, classes, dimension = len(space.components), len(space.classifier), encoder.network.dimension
            shapes = {
                "mean": (dimension + classes,),
                "components": (size, dimension + classes),
                "scale": (size,),
                "classifier": (classes, dimension),
            }
            arrays = [getattr(space, name) for name in shapes]
            if [one.shape for one in arrays] != [*shapes.values()]:
                return False
            if not all(np.isfinite(one).all() for one in (*arrays, space.sharpness)):
                return False
        return (
            self.centres.shape[1:] == (len(self.pca.components),)
            and self.centres.dtype == np.float32
            and bool(np.isfinite(self.centres).all())
        )


def space_file(version: int) -> str:
    """Return where the spaces of a version lie in a store."""
    return f"{FOLDER}/{version}.safetensors"


def evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most so many of the positions from 0 to count, spread evenly."""
    return np.arange(0, count, -(-count // most) or 1, dtype=np.int64)
