"""From a file to all that a store keeps of it, in one pass over its bytes."""

import hashlib
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ris.config import Network
from ris.copies.local_features import LocalFeatures, describe
from ris.copies.views import gallery_regions
from ris.encoders.embedder import Embedder
from ris.encoders.named import OpenEncoder
from ris.encoders.transforms import Pixels, for_embedding
from ris.errors import RisError
from ris.gallery.settings import Settings
from ris.images.decoders import read_sized
from ris.images.decoding import Size, UnreadableImage
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors
from ris.names import on_disk
from ris.store.folder import File
from ris.store.spaces import Embedded

BATCH = 8
"""Pictures that are embedded together."""

Described: TypeAlias = Callable[[bytes], LocalFeatures | None]
"""Local features by the SHA-256 of a file, where they are known already."""


@dataclass(frozen=True, eq=False)
class Content:
    """What a file shows."""

    size: Size
    """Width and height, upright."""
    pixels: Pixels
    """(3, crop, crop) uint8, as the network sees it."""
    for_copies: Pixels | None
    """The same as the encoder for copies sees it; None where that is the same one."""
    features: LocalFeatures | None
    regions: Sequence[Pixels]
    """The same of its regions, as the encoder for copies sees them; none where they are not kept."""
    embedded: Embedded | None = None
    """All of these, one line of each, which are then no longer held."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What came of reading a file."""

    file: File
    read: int
    """When, nanoseconds since 1970."""
    sha256: bytes
    content: Content | None
    """None where the content was known, or is no use."""
    reason: str | None = None
    """Why it is no use, a clause."""


def read_file(
    root: Path,
    networks: Sequence[Network],
    settings: Settings,
    known: Container[bytes],
    file: File,
    described: Described | None = None,
) -> Reading:
    """Read a file, and describe what it shows unless its SHA-256 is known.

    Args:
        root: the folder of pictures.
        networks: see `describe_content`.
        settings: of the store.
        known: SHA-256 sums of contents.
        file: in the folder.
        described: local features that are known.
    """
    read = time.time_ns()
    try:
        data = (root / on_disk(file.path)).read_bytes()
    except FileNotFoundError:
        return Reading(file, read, b"", None, "it vanished before it could be read")
    except OSError as error:
        return Reading(file, read, b"", None, f"the file cannot be read ({error.strerror})")
    sha256 = hashlib.sha256(data).digest()
    if sha256 in known:
        return Reading(file, read, sha256, None)
    try:
        features = None if described is None else described(sha256)
        return Reading(file, read, sha256, describe_content(data, networks, settings, features))
    except UnreadableImage as error:
        return Reading(file, read, sha256, None, error.reason)


def describe_content(
    data: bytes, networks: Sequence[Network], settings: Settings, features: LocalFeatures | None = None
) -> Content:
    """Decode a picture file's bytes, and prepare all that is kept of it.

    Args:
        data: of the file.
        networks: that embed it: the encoder's and, where copies have one of their own, theirs.
        settings: of the store.
        features: its local features, where they are known.

    Raises:
        UnreadableImage: it is no picture.
    """
    image, size = read_sized(data, settings.max_pixels, draft=decoded_side(networks, settings))
    if settings.same_picture and features is None:
        features = in_pixels_of(size, describe(image, settings.gallery_features, settings.side))
    pixels = [for_embedding(image, network) for network in networks]
    regions = gallery_regions(image) if settings.regions else []
    return Content(
        size,
        pixels[0],
        pixels[1] if len(pixels) > 1 else None,
        features,
        [for_embedding(region, networks[-1]) for region in regions],
    )


def decoded_side(networks: Sequence[Network], settings: Settings) -> int:
    """Return the shorter side that a picture needs at least, so that decoding it smaller loses nothing."""
    return 2 * max(settings.side, *(network.resize for network in networks))


def in_pixels_of(size: Size, features: LocalFeatures) -> LocalFeatures:
    """Bring local features of a picture that was decoded smaller to its own pixels."""
    if features.size == size:
        return features
    points = (features.points + 0.5) * np.divide(size, features.size) - 0.5
    return replace(features, points=points.astype(np.float32), size=size)


def embed_contents(contents: Sequence[Content], encoders: Sequence[OpenEncoder]) -> list[Content]:
    """Embed what was not embedded yet, all of it together.

    Args:
        contents: whose pixels are let go of.
        encoders: the encoder and, where copies have one of their own, theirs.

    Raises:
        RisError: a vector is not finite.
    """
    fresh = [one for one in contents if one.embedded is None]
    if not fresh:
        return list(contents)
    count, embedder = len(fresh), encoders[-1].embedder
    vectors = embed_batch(encoders[0].embedder, [one.pixels for one in fresh])
    copies, regions = (
        embed_batch(embedder, pixels).reshape(count, -1, embedder.network.dimension) if pixels else None
        for pixels in (
            [one.for_copies for one in fresh if one.for_copies is not None],
            [region for one in fresh for region in one.regions],
        )
    )
    lines = iter(
        Embedded(
            vectors[line : line + 1],
            None if copies is None else copies[line],
            None if regions is None else regions[line],
        )
        for line in range(count)
    )
    return [
        replace(one, pixels=one.pixels[:0], for_copies=None, regions=(), embedded=next(lines))
        if one.embedded is None
        else one
        for one in contents
    ]


def embed_readings(readings: Sequence[Reading], encoders: Sequence[OpenEncoder]) -> list[Reading]:
    """Embed what files show, see `embed_contents`."""
    embedded = iter(embed_contents([one.content for one in readings if one.content is not None], encoders))
    return [one if one.content is None else replace(one, content=next(embedded)) for one in readings]


def embed_batch(embedder: Embedder, pixels: Sequence[Pixels]) -> Vectors:
    """Embed pictures (3, crop, crop) uint8: (n, D) float32, each of length 1.

    Raises:
        RisError: a vector is not finite.
    """
    vectors = embedder.embed(np.stack(pixels))
    if not np.isfinite(vectors).all():
        raise RisError("The encoder gives vectors that are not finite; take another encoder.")
    return normalise(vectors)
