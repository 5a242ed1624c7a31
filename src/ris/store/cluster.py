"""Pictures read, embedded and compared by the workers of a Ray cluster.

The workers do with a file, or with a pair of pictures, what one machine does, by the same functions; one
process, the coordinator, numbers what they hand over and writes the store, or groups what they have proven.
So the store is the same, vector by vector, and so are the duplicates.
"""

import hashlib
import logging
import os
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ris.encoders.named import Identity, OpenEncoder, restore
from ris.errors import RisError
from ris.extras import require
from ris.gallery.proofs import Proof, found_in
from ris.gallery.settings import Settings
from ris.names import on_disk
from ris.store.commits import Commit, is_store
from ris.store.folder import File, inside
from ris.store.gallery import StoreGallery
from ris.store.ingest import BATCH, Reading, embed_readings, read_file
from ris.store.storage import Place

HANDED = 4 * BATCH
"""Files that a worker takes together."""
AHEAD = 2
"""Times the processors of the cluster: how many tasks are under way."""
PATIENCE = 10.0
"""Seconds in which a cluster must answer."""
LIBRARIES = ("ris", "numpy", "opencv-python-headless", "openvino", "pillow")
"""Whose versions decide what is made of a picture."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that decides what is made of a picture, fixed by the coordinator."""

    root: Path
    """The folder of pictures, under one path on every machine."""
    settings: Settings
    encoders: tuple[Identity, ...]
    """The encoder's and, where copies have one of their own, theirs."""
    weights: tuple[bytes | None, ...]
    """Of each, where no package brings them."""
    versions: Mapping[str, str]
    """Of `LIBRARIES`."""
    probes: tuple[str, ...]
    """What each encoder makes of a known picture, see `probe`."""

    @classmethod
    def of(
        cls,
        root: Path,
        settings: Settings,
        encoders: Iterable[OpenEncoder],
        weights: tuple[bytes | None, ...],
    ) -> "Recipe":
        """Return that by which this process would do it.

        Raises:
            RisError: an encoder computes on a GPU, where a vector depends on those beside it.
        """
        opened = tuple(encoders)
        if any(one.identity.runtime != "openvino" for one in opened):
            raise RisError("A cluster embeds on processors; leave out either --ray or --device.")
        identities = tuple(one.identity for one in opened)
        return cls(root, settings, identities, weights, _versions(), tuple(probe(one) for one in opened))

    def opened(self) -> tuple[OpenEncoder, ...]:
        """Open the encoders in a worker, after seeing that it makes of a picture what the coordinator does.

        Raises:
            RisError: it does not.
        """
        _check_versions(self.versions)
        host = socket.gethostname()
        if not self.root.is_dir():
            raise RisError(f"The worker on {host} does not see {self.root}; mount it there, at that path.")
        opened = []
        for identity, weights, wanted in zip(self.encoders, self.weights, self.probes, strict=True):
            try:
                encoder = OpenEncoder(identity, restore(identity, weights))
            except RisError as error:
                raise RisError(f"The worker on {host} cannot embed: {error}") from error
            if probe(encoder) != wanted:
                raise RisError(
                    f"The worker on {host} embeds a picture otherwise than the coordinator, as another kind "
                    "of processor does; take machines of one kind."
                )
            opened.append(encoder)
        return tuple(opened)


class Cluster:
    """A Ray cluster that reads and embeds."""

    def __init__(self, recipe: Recipe) -> None:
        import ray

        # Inside a tuple it is handed on as it is, and fetched once by each process.
        self._recipe = (ray.put(recipe),)
        self._root = recipe.root
        self._work: Any = ray.remote(num_cpus=1, max_retries=-1)(work_on)

    def read(self, files: Iterable[File]) -> Iterator[Reading]:
        """Yield what came of reading each file, in their order, with what is new embedded.

        What a machine had under way when it was lost, another one does again.

        Raises:
            RisError: a worker makes of a picture something else than the coordinator would.
        """
        remaining, waiting = iter(files), deque[Any]()
        parts = iter(lambda: list(islice(remaining, HANDED)), [])
        while True:
            room = _at_once() - len(waiting)
            waiting += [self._work.remote(self._recipe, part) for part in islice(parts, max(room, 0))]
            if not waiting:
                return
            for reading in _result(waiting.popleft()):
                self._check_seen(reading)
                yield reading

    def _check_seen(self, reading: Reading) -> None:
        """See that a file that a worker did not find is gone, and not only from there."""
        if reading.reason is not None and not reading.sha256:
            file = self._root / on_disk(reading.file.path)
            if file.is_file():
                raise RisError(
                    f"A worker cannot read {file} ({reading.reason}); mount the folder there, too."
                )


@dataclass(frozen=True, eq=False)
class Compared:
    """A store whose pictures are compared, fixed by the coordinator."""

    store: Place
    """Under one path on every machine, or an address."""
    commit: Commit
    versions: Mapping[str, str]
    """Of `LIBRARIES`."""
    example: str | None
    """A picture whose file the coordinator can read, by its path in the folder; None where there is none."""

    @classmethod
    def of(cls, gallery: StoreGallery) -> "Compared":
        """Return what this process would compare."""
        paths = gallery.catalogue.paths(gallery.catalogue.by_path)
        example = next((path for path in paths if _readable(gallery, path)), None)
        return cls(gallery.store, gallery.commit, _versions(), example)

    def opened(self) -> StoreGallery:
        """Open the store in a worker, after seeing that it finds there what the coordinator does.

        Raises:
            RisError: it does not.
        """
        _check_versions(self.versions)
        host = socket.gethostname()
        if not is_store(self.store):
            raise RisError(f"The worker on {host} does not see {self.store}; mount it there, at that path.")
        try:
            gallery = StoreGallery(self.store, self.commit)
        except RisError as error:
            raise RisError(f"The worker on {host} cannot read the store: {error}") from error
        if self.example is not None and not _readable(gallery, self.example):
            raise RisError(
                f"The worker on {host} cannot read {gallery.folder / on_disk(self.example)}; mount the "
                "folder there, at that path."
            )
        return gallery


class Comparisons:
    """A Ray cluster that looks for contents of a store in others."""

    def __init__(self, gallery: StoreGallery) -> None:
        import ray

        self.at_once = _at_once()
        """Tasks that are to be under way, each waited for in a thread of its own."""
        self._compared = (ray.put(Compared.of(gallery)),)
        self._work: Any = ray.remote(num_cpus=1, max_retries=-1)(compare_on)

    def found_in(self, content: int, others: Sequence[int]) -> list[Proof]:
        """Look for a content in others, see `ris.gallery.proofs.found_in`; from several threads at once.

        What a machine had under way when it was lost, another one does again.

        Raises:
            RisError: a worker does not find what the coordinator does, or what it reads is damaged.
        """
        if not others:
            return []
        proofs: list[Proof] = _result(self._work.remote(self._compared, content, others))
        return proofs


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect this process to the Ray cluster at an address.

    Raises:
        RisError: Ray is not installed, or no cluster answers.
    """
    require("ray", to="work on a cluster")
    import ray

    before = ray.is_initialized()
    if not before:
        try:
            _knock(address)
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise RisError(
                f"No Ray cluster answers at {address}; start one by `ray start --head`, or name another."
            ) from error
    try:
        yield
    finally:
        if not before:
            ray.shutdown()


def _knock(address: str) -> None:
    """See that something listens at `HOST:PORT`, for which Ray would wait for minutes.

    Raises:
        OSError: nothing does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()


def work_on(recipe: tuple[Any], files: list[File]) -> list[Reading]:
    """Read and embed files, in a worker.

    Args:
        recipe: a reference of Ray's to it.
        files: in its folder.

    Raises:
        RisError: it makes of a picture something else than the coordinator would.
    """
    made_by, encoders = _opened(*recipe)
    networks = [one.identity.network for one in encoders]
    readings = []
    for start in range(0, len(files), BATCH):
        read = [
            read_file(made_by.root, networks, made_by.settings, (), file)
            for file in files[start : start + BATCH]
        ]
        readings += embed_readings(read, encoders)
    return readings


def compare_on(compared: tuple[Any], content: int, others: Sequence[int]) -> list[Proof]:
    """Look for a content in others, in a worker.

    Args:
        compared: a reference of Ray's to it.
        content: of its store.
        others: likewise.

    Raises:
        RisError: the worker does not find what the coordinator does, or what it reads is damaged.
    """
    return found_in(_opened(*compared)[1], content, others)


def probe(encoder: OpenEncoder) -> str:
    """Return the SHA-256 of the vector of a known picture."""
    side = encoder.identity.network.crop
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, side, side), np.uint8)
    return hashlib.sha256(encoder.embedder.embed(pixels).tobytes()).hexdigest()


_held: dict[Any, tuple[Any, Any]] = {}
"""The `Recipe` or `Compared` that this process, a worker, works by, and what that opened."""


def _opened(reference: Any) -> tuple[Any, Any]:
    import ray

    if reference not in _held:
        fixed = ray.get(reference)
        cv2.setNumThreads(1)
        _held.clear()
        _held[reference] = fixed, fixed.opened()
    return _held[reference]


def _at_once() -> int:
    """Return how many tasks are to be under way on the cluster as it is now."""
    import ray

    return AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))


def _result(reference: Any) -> Any:
    """Wait for what a task returns.

    Raises:
        RisError: the task raised one.
    """
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RisError):
            raise RisError(str(error.cause)) from error
        raise


def _readable(gallery: StoreGallery, path: str) -> bool:
    """Tell whether this process can read the file of a picture."""
    file = inside(gallery.folder, path)
    return file is not None and os.access(file, os.R_OK)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _check_versions(versions: Mapping[str, str]) -> None:
    """See that this process, a worker, has the coordinator's versions.

    Raises:
        RisError: it has another one.
    """
    own = _versions()
    for name, wanted in versions.items():
        if own[name] != wanted:
            raise RisError(
                f"The worker on {socket.gethostname()} has {name} {own[name]}, and the coordinator {wanted}; "
                "install the same version on both."
            )
