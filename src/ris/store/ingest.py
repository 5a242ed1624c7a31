"""One look at a picture: all that is kept of it, from one pass over its bytes."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor

from ris.config import Network
from ris.copies.local_features import LocalFeatures, describe
from ris.encoders.encoder import Embedder
from ris.encoders.transforms import for_embedding
from ris.errors import RisError
from ris.images.decoding import FORMATS, UnreadableImage, read_image
from ris.indexes.projection import normalise
from ris.indexes.vectors import Vectors
from ris.store.folder import File
from ris.store.settings import Settings

Item = TypeVar("Item")
Result = TypeVar("Result")
Size: TypeAlias = tuple[int, int]

BATCH = 8
"""Pictures that are embedded together, always so many: the fastest on two cores, and with one fixed shape a
vector does not depend on what else is in its batch."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a picture shows."""

    size: Size
    """Width and height, upright."""
    pixels: Tensor
    """(3, crop, crop) uint8, as the network sees it."""
    features: LocalFeatures | None


@dataclass(frozen=True, eq=False)
class Look:
    """What came of looking at a file."""

    file: File
    looked: int
    """When it was read, nanoseconds since 1970."""
    sha256: str
    seen: Seen | None
    """None where the content was known, or is no use."""
    reason: str | None = None
    """Why it is no use, a clause."""


def look(root: Path, network: Network, settings: Settings, known: Container[str], file: File) -> Look:
    """Read a file, and look at what it shows unless its content's SHA-256 is known."""
    looked = time.time_ns()
    try:
        data = (root / file.path).read_bytes()
    except FileNotFoundError:
        return Look(file, looked, "", None, "it vanished before it could be read")
    except OSError as error:
        return Look(file, looked, "", None, f"the file cannot be read ({error.strerror})")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 in known:
        return Look(file, looked, sha256, None)
    try:
        return Look(file, looked, sha256, see(data, network, settings))
    except UnreadableImage as error:
        return Look(file, looked, sha256, None, error.reason)


def see(data: bytes, network: Network, settings: Settings) -> Seen:
    """Look at a picture file's bytes.

    Raises:
        UnreadableImage: it is no picture.
    """
    image = read_image(data, settings.max_pixels, draft=drafted(network, settings))
    size = upright_size(data)
    features = None
    if settings.same_picture:
        features = in_pixels_of(size, describe(image, settings.gallery_features, settings.side))
    return Seen(size, for_embedding(image, network), features)


def drafted(network: Network, settings: Settings) -> int:
    """Return the shorter side that a picture needs at least, so that decoding it smaller loses nothing."""
    return 2 * max(network.resize, settings.side)


def upright_size(data: bytes) -> Size:
    """Return a picture's width and height as it stands upright, by its header."""
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        lying = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (image.height, image.width) if lying else image.size


def in_pixels_of(size: Size, features: LocalFeatures) -> LocalFeatures:
    """Bring local features of a picture that was decoded smaller to its own pixels."""
    if features.size == size:
        return features
    points = (features.points + 0.5) * np.divide(size, features.size) - 0.5
    return replace(features, points=points.astype(np.float32), size=size)


def embed_batch(embedder: Embedder, pixels: Sequence[Tensor]) -> Vectors:
    """Embed at most `BATCH` pictures (3, crop, crop) uint8: (n, D) float32, each of length 1.

    Raises:
        RisError: a vector is not finite.
    """
    batch = torch.stack([*pixels, *[torch.zeros_like(pixels[0])] * (BATCH - len(pixels))])
    vectors = embedder.embed(batch)[: len(pixels)]
    if not np.isfinite(vectors).all():
        raise RisError("The encoder gives vectors that are not finite; take another encoder.")
    return normalise(vectors)


def ahead(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], lead: int
) -> Iterator[Result]:
    """Yield what `work` makes of each item, in order, with at most `lead` items under way or waiting."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= lead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
