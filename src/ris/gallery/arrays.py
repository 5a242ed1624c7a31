"""A gallery that arrays fill: that of the lab, whose stages make them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ris.copies.perceptual_hash import Fingerprints
from ris.copies.threshold import Threshold
from ris.copies.verification import Described
from ris.gallery.catalogue import SCHEMA, Catalogue, Positions
from ris.gallery.gallery import Gallery
from ris.gallery.settings import Settings
from ris.gallery.spaces import Candidates, Searchable, Space
from ris.indexes.vectors import Rows, Vectors


@dataclass(frozen=True, eq=False)
class Parts:
    """What is searched of a gallery, by position."""

    whole: Space
    projected: Space | None = None
    approximate: Mapping[str, Searchable] = field(default_factory=dict)
    """Approximate indexes by name."""
    hashes: Fingerprints = field(default_factory=lambda: np.zeros(0, np.uint64))
    """(n,) perceptual hashes; none where nothing is to be proven."""
    candidates: Candidates | None = None
    features: Described | None = None
    grey: Callable[[int], npt.NDArray[np.uint8] | None] = lambda _: None
    """See `Gallery.grey`."""


class ArrayGallery(Gallery):
    """Pictures of which each shows a content of its own."""

    def __init__(self, catalogue: Catalogue, settings: Settings, parts: Parts) -> None:
        """Put a gallery together; its threshold is none, so that nothing is called the same."""
        self.catalogue, self.settings = catalogue, settings
        self.threshold = Threshold(np.inf, 0.0)
        self.regions = parts.candidates is not None and parts.candidates.regions is not None
        self._parts = parts

    @property
    def shown(self) -> Positions:
        """See `Gallery`."""
        return np.arange(len(self.catalogue))

    @property
    def count(self) -> int:
        """See `Gallery`."""
        return self._parts.whole.index.count

    def vectors(self, contents: Positions | None = None) -> Vectors:
        """See `Gallery`."""
        return self.whole.index.at(np.arange(self.count) if contents is None else contents)

    @property
    def has_pca(self) -> bool:
        """See `Gallery`."""
        return self._parts.projected is not None

    @property
    def whole(self) -> Space:
        """See `Gallery`."""
        return self._parts.whole

    @property
    def projected(self) -> Space | None:
        """See `Gallery`."""
        return self._parts.projected

    @property
    def built(self) -> tuple[str, ...]:
        """See `Gallery`."""
        return tuple(self._parts.approximate)

    def approximate(self, name: str) -> Searchable:
        """See `Gallery`."""
        return self._parts.approximate[name]

    @property
    def hashes(self) -> Fingerprints:
        """See `Gallery`."""
        return self._parts.hashes

    @property
    def candidates(self) -> Candidates | None:
        """See `Gallery`."""
        return self._parts.candidates

    def grey(self, content: int) -> npt.NDArray[np.uint8] | None:
        """See `Gallery`."""
        return self._parts.grey(content)

    @property
    def features(self) -> Described | None:
        """See `Gallery`."""
        return self._parts.features


def catalogue_of(paths: list[str], labels: list[str], rows: Rows) -> Catalogue:
    """Return a catalogue of pictures, each with a content of its own, of which no file is known.

    Args:
        paths: (n,) of the pictures.
        labels: (n,)
        rows: (n,)
    """
    count = len(paths)
    zeros = pa.array(np.zeros(count, np.int64))
    columns = {
        "row": pa.array(rows, pa.int64()),
        "path": pa.array(paths, pa.string()),
        "label": pa.array(labels, pa.string()),
        "bytes": zeros,
        "modified": zeros,
        "read": zeros,
        "content": pa.array(np.arange(count)),
        "width": zeros.cast(pa.int32()),
        "height": zeros.cast(pa.int32()),
        "sha256": pa.array([bytes(32)] * count, pa.binary(32)),
    }
    return Catalogue(pa.table(columns, schema=SCHEMA))
