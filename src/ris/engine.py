"""The search engine: what the command and the page stand on."""

import copy
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import watchfiles
from PIL import Image

from ris import arguments, forks
from ris.audit.collection import FOLDER, Labelled, audit_collection
from ris.audit.findings import Audit, Flawed, Leak, Mislabelled, Outlier
from ris.copies.edits import EDITS
from ris.copies.local_features import LocalFeatures, describe
from ris.copies.threshold import Threshold
from ris.copies.views import query_views
from ris.encoders.embedder import Device, Embedder
from ris.encoders.named import OpenEncoder, choose, directions, restore
from ris.encoders.transforms import Pixels, for_embedding
from ris.encoders.words import meaning
from ris.errors import RisError
from ris.gallery import embedding_map
from ris.gallery.calibrating import Collection, Plan, Verdicts, calibrate_collection, check_plan
from ris.gallery.catalogue import NO_PICTURES, Positions
from ris.gallery.duplicates import Seen, Verify, find_duplicates
from ris.gallery.feedback import refined, weighted
from ris.gallery.gallery import PARTITIONED, RERANKED
from ris.gallery.proofs import found_in
from ris.gallery.search import Prepared, Wanted, check_k, same, similar
from ris.gallery.settings import Settings
from ris.images import decoders
from ris.images.decoders import names_camera, read_image
from ris.images.queries import is_row, part, read_file, read_query, whole_side
from ris.indexes.index import Mask
from ris.indexes.projection import normalise
from ris.indexes.registry import REGISTRY
from ris.indexes.vectors import Rows, Vectors, checked
from ris.names import on_disk
from ris.store import confirmed, versions, writing
from ris.store.checking import problems
from ris.store.cluster import Cluster, Comparisons, Recipe, connected
from ris.store.columns import read_columns
from ris.store.commits import Commit, is_store, latest
from ris.store.export import THUMBNAIL, export
from ris.store.folder import inside, linked_once
from ris.store.gallery import StoreGallery
from ris.store.info import describe_store
from ris.store.ingest import BATCH, decoded_side
from ris.store.map import places
from ris.store.recall import recall_now
from ris.store.reencode import make
from ris.store.storage import Place, holds, place_of
from ris.store.writing import COPIES_WEIGHTS, WEIGHTS, Work, weights_of
from ris.threads import in_order
from ris.types import (
    BadQueryError,
    Box,
    BusyError,
    Calibrated,
    Change,
    ChangedPair,
    DamagedError,
    Difference,
    DuplicateGroup,
    Duplicates,
    Filter,
    Finding,
    Hit,
    Info,
    NoSuchPictureError,
    NoSuchVersionError,
    Opened,
    Picture,
    Progress,
    Query,
    ReadOnlyError,
    Rejected,
    Relation,
    RemovalError,
    TextAnswer,
    UnconfirmedError,
    Version,
)

__all__ = [
    "INDEXES",
    "RERANKED",
    "Audit",
    "BadQueryError",
    "Box",
    "BusyError",
    "Calibrated",
    "Change",
    "ChangedPair",
    "DamagedError",
    "Difference",
    "DuplicateGroup",
    "Filter",
    "Finding",
    "Flawed",
    "Hit",
    "Info",
    "Leak",
    "Mislabelled",
    "NoSuchPictureError",
    "NoSuchVersionError",
    "Opened",
    "Outlier",
    "Picture",
    "Progress",
    "Query",
    "ReadOnlyError",
    "Rejected",
    "Relation",
    "RemovalError",
    "SearchEngine",
    "TextAnswer",
    "UnconfirmedError",
    "Version",
    "is_store",
]

Result = TypeVar("Result")

INDEXES = (*REGISTRY, RERANKED)
"""Names of all indexes; `SearchEngine.indexes` has those of a store."""
RETRY = 5000
"""Milliseconds after which a watch tries again what another writer prevented."""


@dataclass(frozen=True, eq=False)
class _Unembedded:
    """A query before it is embedded."""

    pixels: Pixels | Vectors
    """(3, crop, crop) uint8 as the network sees it, or (D,) the vector of one of the store's own."""
    features: LocalFeatures | None
    sha256: bytes | None
    """Of the file that it is the whole of."""
    content: int | None = None
    """Of the store's own."""


@dataclass(eq=False)
class _Computed:
    """What is computed when it is first needed, and over which gallery."""

    directions: Vectors | None = None
    duplicates: tuple[StoreGallery | None, Duplicates] = None, Duplicates([], [])
    map: tuple[StoreGallery | None, npt.NDArray[np.float32]] = None, np.zeros((0, 2), np.float32)


class SearchEngine:
    """A store of pictures that is searched by picture.

    Reading is safe from several threads at once, and goes on while another thread or process writes: it sees
    the state that was committed when the engine was opened, last wrote, or was refreshed. A writing call is a
    transaction: whatever ends it, the store holds the old state or the new one.

    Every error that a caller can cause is a `RisError` of one sentence.
    """

    def __init__(
        self, gallery: StoreGallery, embedder: Embedder, copies: Embedder | None, threads: int, urls: bool
    ) -> None:
        """Put an engine together, as `build` and `open` do it."""
        decoders.start()
        forks.used()
        self.max_pixels = gallery.settings.max_pixels
        """Of a query; may be set."""
        self._opened: StoreGallery | None = gallery
        self._store = gallery.store
        self._embedder, self._threads, self._urls = embedder, threads, urls
        self._copies_embedder = copies
        self._read_only = False
        self._pool = ThreadPoolExecutor(threads)
        self._computed = _Computed()

    # Made, opened, closed

    @classmethod
    def build(
        cls,
        folder: str | Path,
        store: str | Path,
        *,
        encoder: str | Path | None = None,
        weights: str | Path | None = None,
        accept_licence: bool = False,
        device: Device = "cpu",
        copies_encoder: str | Path | None = None,
        same_picture: bool = True,
        regions: bool = False,
        indexes: Sequence[str] = (),
        ray: str | None = None,
        urls: bool = False,
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> Self:
        """Make a store of all pictures in a folder, at any depth, and open it.

        Files that cannot be used are listed with their reasons (`rejected`), links that leave the folder and
        hidden files are not followed.

        Args:
            folder: of pictures; it is only read.
            store: folder to be made, or an address such as `s3://bucket/photos.ris`; where it exists, it
                must be empty, or a store whose building was broken off, which then goes on.
            encoder: a name that `ris encoders` lists, `timm:` and the name of a model of timm, or an encoder
                folder such as the pipeline's `models/encoder`; None for `efficientnet_lite0`, which works
                offline.
            weights: file of a named encoder's weights, or a folder with `model.safetensors`; None for the
                publisher's, which are loaded and then kept in the store.
            accept_licence: accept the licence of weights that ask for it.
            device: what embeds, now and later: the processor, or the GPU that PyTorch names `cuda` or `mps`
                (the last was never run).
            copies_encoder: another one, named likewise, by which `find` and `duplicates` look for copies, and
                every picture is embedded, too; needs `same_picture`. None for the same one.
            same_picture: keep local features, so that the very same picture can be proven, some 36 kB a
                picture.
            regions: look for regions of each picture, too, by `find`, which finds more of small
                crops; six pictures are embedded for each, and some 26 kB kept. Needs `same_picture`.
            indexes: approximate indexes to build beside those that the store chooses, such as `annoy`.
            ray: address of a Ray cluster whose workers read and embed the pictures, such as `auto` or
                `HOST:6379`; they see the folder at the same path. None for this process.
            urls: whether a query may be an address on the web.
            progress: see `Progress`.
            threads: that decode and describe pictures, and embed queries; None for one a processor.

        Raises:
            RisError: the folder cannot be read, the store is there already, an encoder is unknown, or
                `same_picture` is off where it is needed.
        """
        forks.check()
        root, place = Path(folder).absolute(), place_of(store)
        if not root.is_dir():
            raise RisError(f"{folder} is no folder; name the folder of the pictures.")
        if copies_encoder is not None and not same_picture:
            raise RisError("An encoder for copies needs local features; leave one of the two options out.")
        threads = threads or os.cpu_count() or 1
        file = None if weights is None else Path(weights)
        first, held = _opened(encoder, device, threads, file, accept_licence)
        kept, copies = {WEIGHTS: held}, None
        if copies_encoder is not None:
            copies, held = _opened(copies_encoder, device, threads)
            kept[COPIES_WEIGHTS] = held
            if copies.identity == first.identity:
                raise RisError("The encoder for copies is the store's own; leave it out.")
        settings = Settings(
            same_picture=same_picture, regions=regions and same_picture, indexes=_approximate(indexes)
        )
        files = {name: data for name, data in kept.items() if data is not None}
        work = Work(place, root, first, copies, settings, threads, progress)
        with _on_cluster(work, ray, tuple(kept.values())) as work:
            writing.build(work, files)
        for_copies = None if copies is None else copies.embedder
        return cls(StoreGallery(place), first.embedder, for_copies, threads, urls)

    @classmethod
    def open(
        cls,
        store: str | Path,
        *,
        version: int | None = None,
        read_only: bool = False,
        urls: bool = False,
        threads: int | None = None,
    ) -> Self:
        """Open a store.

        Args:
            store: its folder or address.
            version: one of `versions`, which is only read; None for the newest.
            read_only: refuse whatever would write to the store.
            urls: whether a query may be an address on the web.
            threads: see `build`.

        Raises:
            DamagedError: it is damaged, of another format, or its encoder has changed.
            NoSuchVersionError: it does not keep that version.
            RisError: there is no store.
        """
        forks.check()
        place, threads = place_of(store), threads or os.cpu_count() or 1
        if not is_store(place):
            raise RisError(f"{store} holds no store; `ris build` makes one.")
        gallery = StoreGallery(place, _commit(place, version))
        embedder = restore(gallery.identity, weights_of(place, WEIGHTS), threads)
        copies = None
        if gallery.copies is not None:
            copies = restore(gallery.copies, weights_of(place, COPIES_WEIGHTS), threads)
        engine = cls(gallery, embedder, copies, threads, urls)
        engine._read_only = read_only or version is not None
        return engine

    def close(self) -> None:
        """End its threads; afterwards the engine is not used."""
        self._opened = None
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def warm_up(self) -> None:
        """Make ready for many searches: what a first one does once is done."""
        for embedder in (self._embedder, self._copies_embedder):
            if embedder is not None:
                side = embedder.network.crop
                embedder.embed(np.zeros((self._threads, 3, side, side), np.uint8))

    def refresh(self, version: int | None = None) -> bool:
        """Take up what other processes committed since; return whether there was anything.

        Args:
            version: one of `versions`, to take that up, be it earlier or later; None for the newest.

        Raises:
            NoSuchVersionError: the store does not keep that version.
            DamagedError: the store was built anew with another encoder.
        """
        gallery, commit = self._gallery, _commit(self.location, version)
        if commit == gallery.commit:
            return False
        if (commit.identity, commit.copies) != (gallery.identity, gallery.copies):
            raise DamagedError(f"{self.location} was built anew with another encoder; open it again.")
        self._opened = StoreGallery(self.location, commit, gallery)
        return True

    def snapshot(self) -> Self:
        """Return an engine that stays on the version that is searched now, and shares all else with this one.

        So several calls answer of one version. Neither it nor this one is used after the other was closed.
        """
        return copy.copy(self)

    # Written

    def add(self, paths: Iterable[str | Path], *, progress: Progress | None = None) -> Change:
        """Add picture files, and all pictures of folders, that lie in the store's folder.

        Files that are in the store already are read again.

        Args:
            paths: relative to the working directory, or absolute.
            progress: see `Progress`.

        Raises:
            RisError: a path lies outside the store's folder or does not exist.
            BusyError, ReadOnlyError: the store cannot be written now, or ever.
        """
        root = self.folder.resolve()
        chosen = []
        for path in (Path(on_disk(one)) for one in arguments.texts("paths", paths)):
            full = path.absolute()
            inner = full.resolve() if full.name == ".." else full.parent.resolve() / full.name
            if not inner.is_relative_to(root):
                raise RisError(
                    f"{path} does not lie in {self.folder}, the folder of the store; move it there first."
                )
            if not os.path.lexists(inner):
                raise RisError(f"{path} does not exist.")
            chosen.append(inner)
        return self._written(writing.add(self._work(progress), chosen))

    def remove(self, paths: Iterable[str | Path]) -> Change:
        """Take pictures out of the store; the files stay. A later `sync` adds those that still lie there.

        Args:
            paths: of pictures or folders, as the catalogue names them (relative to the store's folder), or
                absolute.

        Raises:
            NoSuchPictureError: the store holds nothing at a path.
            BusyError, ReadOnlyError: the store cannot be written now, or ever.
        """
        root = self.folder.resolve()
        chosen = []
        for path in arguments.texts("paths", paths):
            inner = root / path
            if not inner.is_relative_to(root):
                raise NoSuchPictureError(f"{path} does not lie in {self.folder}, the folder of the store.")
            chosen.append(inner.relative_to(root).as_posix())
        return self._written(writing.remove(self._work(None), chosen))

    def sync(
        self,
        *,
        allow_removals: bool = False,
        checksum: bool = False,
        ray: str | None = None,
        progress: Progress | None = None,
    ) -> Change:
        """Bring the store to what its folder holds now: only new content is embedded.

        Args:
            allow_removals: take pictures away however many are gone; without it, a folder that lacks more
                than half of them is taken for a disk that is not mounted, and the store stays as it is.
            checksum: read every file again; without it, one of the same size and time of change is taken for
                unchanged.
            ray: see `build`.
            progress: see `Progress`.

        Raises:
            RemovalError: more than half of the pictures are gone.
            RisError: the folder cannot be read.
            BusyError, ReadOnlyError: the store cannot be written now, or ever.
        """
        work = replace(
            self._work(progress),
            allow_removals=arguments.flag("allow_removals", allow_removals),
            checksum=arguments.flag("checksum", checksum),
        )
        names = (WEIGHTS,) if work.copies is None else (WEIGHTS, COPIES_WEIGHTS)
        with _on_cluster(work, ray, tuple(weights_of(self.location, name) for name in names)) as work:
            return self._written(writing.sync(work))

    def watch(
        self, stop: Event | None = None, *, allow_removals: bool = False, progress: Progress | None = None
    ) -> Iterator[Change]:
        """Sync now and after every change in the folder, until `stop` is set; yield what was done.

        The first is yielded in any case, later ones where they changed the store or met rejected files.
        """
        yield self.sync(allow_removals=allow_removals, progress=progress)
        # What changed before the watch began is seen at its first timeout.
        waiting = True
        for seen in watchfiles.watch(
            self.folder,
            watch_filter=lambda _, path: not holds(self.location, Path(path)),
            stop_event=stop,
            rust_timeout=RETRY,
            yield_on_timeout=True,
        ):
            if not (seen or waiting):
                continue
            try:
                change = self.sync(allow_removals=allow_removals, progress=progress)
            except BusyError:
                waiting = True
                continue
            waiting = False
            if change.added or change.changed or change.moved or change.removed or change.rejected:
                yield change

    def refit(self, *, progress: Progress | None = None) -> None:
        """Fit the spaces to all that the store holds now, and leave out what no picture shows.

        A store does so by itself where it has doubled since they were fitted.

        Raises:
            BusyError, ReadOnlyError: the store cannot be written now, or ever.
        """
        self._written(writing.fit_again(self._work(progress)))

    def reencoded(
        self,
        store: Path,
        encoder: str | Path,
        weights: Path | None = None,
        accept_licence: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Make, or go on with, a store of the same folder and options with another encoder, and open it.

        See `ris.reencoding`, which compares the two and puts one in the other's place.

        Args:
            store: where it is made.
            encoder: see `build`.
            weights: likewise.
            accept_licence: likewise.
            progress: see `Progress`.

        Raises:
            RisError: this store has the encoder already; or as `build`.
        """
        gallery = self._gallery
        device: Device = "cpu" if gallery.identity.runtime == "openvino" else "cuda"
        first, held = _opened(encoder, device, self._threads, weights, accept_licence)
        if first.identity == gallery.identity:
            raise RisError(f"{self.location} has the encoder {first.identity.network.name} already.")
        kept = {WEIGHTS: held, COPIES_WEIGHTS: weights_of(self.location, COPIES_WEIGHTS)}
        work = replace(self._work(progress), store=store, encoder=first, known=None)
        if work.copies is not None and work.copies.identity == first.identity:
            work = replace(work, copies=None)
        make(work, {name: data for name, data in kept.items() if data is not None}, gallery)
        for_copies = None if work.copies is None else work.copies.embedder
        return type(self)(StoreGallery(store), first.embedder, for_copies, self._threads, self._urls)

    def calibrate(
        self,
        rate: float = 0.01,
        *,
        pictures: int = 24,
        strangers: int = 600,
        edits: Iterable[str] = tuple(EDITS),
        verdicts: Verdicts | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Calibrated:
        """Choose the threshold of "this very picture" over the store's own pictures, and keep it.

        Pictures of a sample are edited and searched for, and searched for in the rest as strangers, see
        `ris.gallery.calibrating`. Where they are too few for the rate, the threshold stays as it was.

        Args:
            rate: of strangers that may be said to be here.
            pictures: queries for each edit.
            strangers: queries searched for in the rest, of which one half chooses and the other reports.
            edits: names of `ris.copies.edits.EDITS`.
            verdicts: what a person says of two paths: whether they are one picture.
            seed: of the sample and of the edits.
            progress: see `Progress`.

        Raises:
            RisError: the store keeps no local features, or has too few pictures for the edits.
            BadQueryError: an argument is not allowed.
            BusyError, ReadOnlyError: the store cannot be written now, or ever.
        """
        gallery = self._gallery
        plan = Plan(
            arguments.number("rate", rate, 0),
            arguments.whole("pictures", pictures, 1),
            arguments.whole("strangers", strangers, 1),
            arguments.texts("edits", edits),
            arguments.whole("seed", seed, 0),
            verdicts or {},
        )
        check_plan(plan, gallery)
        with ThreadPoolExecutor(self._threads) as pool:
            found = calibrate_collection(self._collection(gallery), plan, pool, progress)
        if found.threshold is not None:
            self._written(writing.keep_threshold(self._work(None), found))
        return found

    def _collection(self, gallery: StoreGallery) -> Collection:
        """Return the store as it is calibrated: any match score is enough."""
        lenient = StoreGallery(self.location, gallery.commit, gallery)
        lenient.threshold = Threshold(0.0, 1.0)
        pictures = gallery.catalogue.pictures(range(len(gallery.catalogue)))

        def find(image: Image.Image, without: Positions) -> Finding:
            allowed = np.ones(len(pictures), np.bool_)
            allowed[without] = False
            return self._answered(lenient, self.open_query(image), 10, allowed, NO_PICTURES)

        return Collection(
            pictures,
            gallery.shown,
            gallery.threshold.evidence,
            lambda one: self.image(pictures[one].row),
            find,
        )

    def versions(self) -> list[Version]:
        """Return the states of the store that can be restored, the newest first."""
        return versions.versions(self.location)

    def relocate(self, folder: str | Path) -> None:
        """Say where the store's pictures lie: after they were moved, or to confirm a store from elsewhere.

        Raises:
            RisError: there is no such folder.
            BusyError, ReadOnlyError: the store cannot be written now, or ever.
        """
        self._check_writable()
        confirmed.relocate(self.location, Path(folder).absolute())
        self.refresh()

    def restore(self, version: int) -> None:
        """Make one of `versions` the newest: an undo, of which every other one stays.

        Files are not touched; a later `sync` brings the store to the folder again.

        Raises:
            NoSuchVersionError: that version is not kept.
            BusyError, ReadOnlyError: the store cannot be written now, or ever.
        """
        self._check_writable()
        versions.restore(self.location, arguments.whole("version", version, 1))
        self.refresh()

    def set_columns(self, table: str | Path | pd.DataFrame) -> int:
        """Take a table of the user's own columns in place of any before it, to filter by.

        Args:
            table: a CSV or Parquet file, or a data frame, with a column `path` as in the catalogue, each path
                once. Lines whose picture is not in the store wait for it.

        Returns:
            How many pictures of the store it has a line for.

        Raises:
            RisError: the table cannot be read, or has no or repeated paths.
            BusyError, ReadOnlyError: the store cannot be written now, or ever.
        """
        work = self._work(None)
        return self._written(writing.set_columns(work.store, read_columns(table)))

    # Searched

    def search(
        self,
        query: Query | Sequence[Query],
        k: int = 10,
        *,
        weights: Sequence[float] | None = None,
        like: Sequence[Query] = (),
        unlike: Sequence[Query] = (),
        index: str = "auto",
        max_distance: float | None = None,
        where: Filter | None = None,
        collapse: bool = False,
        verify: bool = True,
        box: Box | None = None,
    ) -> list[Hit]:
        """Find what is similar to a picture, or to several together.

        Args:
            query: see `Query`, or a list of them, to search by their mean. Pictures of the store that are
                searched with or marked are not among the hits.
            k: hits wanted.
            weights: of the pictures of a list; a negative one leads away from its picture.
            like: pictures that are right, such as some of the hits of a first search: the query is moved
                towards them (Rocchio's formula, see `ris.gallery.feedback`).
            unlike: pictures that are wrong, from which it is moved away.
            index: one of `INDEXES`, or `auto`.
            max_distance: of a hit.
            where: which pictures count.
            collapse: fold hits that are near-duplicates of a nearer one into it, so that k different pictures
                are returned where there are so many; needs local features.
            verify: have geometry look at the hits, so that they say whether they are the same picture as the
                query; where the store has no local features, or the query is a list, they do not.
            box: search with this part of the query, which is one picture.

        Returns:
            The nearest first; at equal distance by path.

        Raises:
            UnreadableImage: the query is no picture.
            NoSuchPictureError: the query is a row that the store does not hold.
            BadQueryError: another argument is not allowed.
        """
        gallery = self._gallery
        check_k(k)
        wanted = _wanted(k, index, max_distance, collapse, verify)
        if isinstance(query, list | tuple):
            if box is not None:
                raise BadQueryError("A part is of one picture; cut the pictures of a list before.")
            prepared = self._together(gallery, query, weights)
        elif weights is None:
            prepared = self._prepared(gallery, cast(Query, query), box, prove=verify)
        else:
            raise BadQueryError("weights belong to a list of pictures; give the pictures as a list.")
        prepared = self._refined(gallery, prepared, like, unlike)
        return similar(gallery, prepared, gallery.catalogue.mask(Filter.checked(where)), wanted)

    def search_text(
        self,
        text: str,
        k: int = 10,
        *,
        like: Sequence[Query] = (),
        unlike: Sequence[Query] = (),
        index: str = "auto",
        max_distance: float | None = None,
        where: Filter | None = None,
        collapse: bool = False,
    ) -> TextAnswer:
        """Find what some words name, with a network that was trained on ImageNet's classes.

        What words can mean are the thousand classes, or what is defined by words like theirs; colours and
        numbers of things are not understood. A distance is larger than those between pictures.

        Args:
            text: such as `umbrella`, `musical instrument`, `a laptop beside a cup`.
            k: hits wanted.
            like: see `search`.
            unlike: see `search`.
            index: one of `INDEXES`, or `auto`.
            max_distance: of a hit.
            where: which pictures count.
            collapse: see `search`.

        Raises:
            BadQueryError: nothing is known by that name, with the nearest known ones; or the store's encoder
                knows no classes; or another argument is not allowed.
        """
        gallery = self._gallery
        check_k(k)
        wanted = _wanted(k, index, max_distance, collapse, verify=False)
        if self._computed.directions is None:
            self._computed.directions = directions(gallery.identity)
        meant = meaning(arguments.text("text", text))
        vector = normalise(self._computed.directions[list(meant.classes)].mean(axis=0)[None])[0]
        prepared = self._refined(gallery, Prepared(vector, None), like, unlike)
        hits = similar(gallery, prepared, gallery.catalogue.mask(Filter.checked(where)), wanted)
        return TextAnswer(hits, meant.names, meant.ignored)

    def find(
        self, query: Query, k: int = 10, *, where: Filter | None = None, box: Box | None = None
    ) -> Finding:
        """Find where a very picture is, after whatever edit, or that it is not here.

        A file of the same bytes is the same picture, whatever it shows; all else geometry must prove.
        Slower than `search`: by nine views of the query, and geometry looks at a hundred candidates.
        A row of the store finds others than itself.

        Raises:
            RisError: as `search`.
        """
        gallery = self._gallery
        check_k(k)
        allowed, own = gallery.catalogue.mask(Filter.checked(where)), _own(gallery, query)
        return self._answered(gallery, self.open_query(query, box), k, allowed, own)

    def _answered(
        self, gallery: StoreGallery, opened: Opened, k: int, allowed: Mask | None, own: Positions
    ) -> Finding:
        described = self._pool.submit(self._described, gallery, opened.image)
        embedder = self._for_copies(gallery)
        pixels = [for_embedding(view, embedder.network) for view in query_views(opened.image)]
        views = normalise(embedder.embed(np.stack(pixels)))
        prepared = Prepared(views[0], described.result(), own, opened.sha256)
        return same(gallery, views, prepared, k, allowed)

    def search_many(
        self,
        queries: Sequence[Query],
        k: int = 10,
        *,
        index: str = "auto",
        max_distance: float | None = None,
        where: Filter | None = None,
        collapse: bool = False,
        verify: bool = True,
        progress: Progress | None = None,
    ) -> list[list[Hit]]:
        """Search with many pictures, faster than one by one; the hits are the same.

        Raises:
            RisError: as `search`; an unreadable picture ends it.
        """
        gallery = self._gallery
        check_k(k)
        wanted = _wanted(k, index, max_distance, collapse, verify)
        queries = arguments.several("queries", queries)
        answer = partial(
            similar, gallery, allowed=gallery.catalogue.mask(Filter.checked(where)), wanted=wanted
        )
        read = partial(self._unembedded, gallery, prove=verify)
        unembedded = in_order(self._pool, read, queries, lead=4 * BATCH)
        answers: list[list[Hit]] = []
        while batch := list(islice(unembedded, BATCH)):
            vectors = self._vectors([one.pixels for one in batch])
            owns = [_own(gallery, query) for query in queries[len(answers) : len(answers) + len(batch)]]
            prepared = [
                Prepared(vector, one.features, own, one.sha256, one.content)
                for vector, one, own in zip(vectors, batch, owns, strict=True)
            ]
            answers += self._pool.map(answer, prepared)
            if progress is not None:
                progress("answering queries", len(answers), len(queries))
        return answers

    def compare(
        self, query: Query, k: int = 10, *, where: Filter | None = None, box: Box | None = None
    ) -> dict[str, tuple[list[Hit], float]]:
        """Search by every index: by its name the hits, not verified, and the milliseconds of the search.

        Embedding the query is not part of the time.
        """
        gallery = self._gallery
        check_k(k)
        prepared = self._prepared(gallery, query, box, prove=False)
        allowed = gallery.catalogue.mask(Filter.checked(where))
        answers = {}
        for index in gallery.indexes:
            gallery.prepare(index)
            start = time.perf_counter()
            hits = similar(gallery, prepared, allowed, Wanted(k, index))
            answers[index] = hits, 1000 * (time.perf_counter() - start)
        return answers

    def duplicates(self, *, ray: str | None = None, progress: Progress | None = None) -> list[DuplicateGroup]:
        """Find groups of pictures that are one picture, largest group first; no file is touched.

        Links and hard links to a file of the folder are that file, and are left out.

        Args:
            ray: address of a Ray cluster whose workers compare the pictures, see `build`; they see the store,
                and the folder, at the same paths. None for this process.
            progress: see `Progress`.

        Raises:
            RisError: the store keeps no local features, or no cluster answers.
        """
        return self._duplicates(progress, ray).groups

    def changed_versions(self, *, progress: Progress | None = None) -> list[ChangedPair]:
        """Find pairs of pictures of which one is a changed version of the other, by path.

        They come of the same comparing as `duplicates`, and after it at once.

        Raises:
            RisError: the store keeps no local features.
        """
        return self._duplicates(progress).changed

    def audit(
        self, label: str = FOLDER, split: str | None = None, *, progress: Progress | None = None
    ) -> Audit:
        """Find what is wrong in a labelled collection; no file is touched.

        Near-duplicates that stand on several sides of a split, as `duplicates` proves them; labels that the
        neighbours contradict (`ris.audit.labels`); pictures that are unlike all others of their label
        (`ris.audit.outliers`); and pictures that are black, blank or blurred (`ris.audit.flaws`).

        Args:
            label: `folder` for the name of the folder that a picture lies in, or one of `columns`.
            split: `folder` for the first folder of a picture's path, or one of `columns`; None for no split.
            progress: see `Progress`.

        Raises:
            BadQueryError: there is no such column, or all pictures are on one side of the split.
            RisError: there are no pictures.
        """
        gallery = self._gallery
        confirmed.check(self.location, gallery.commit)
        if not len(gallery.catalogue):
            raise RisError(f"{self.location} has no pictures, and so nothing to audit.")
        labels = arguments.text("label", label)
        sides = None if split is None else arguments.text("split", split)
        labelled = Labelled.of(gallery, labels, sides)
        duplicates = Duplicates([], []) if gallery.features is None else self._duplicates(progress)
        return audit_collection(labelled, duplicates, self._threads, progress)

    # Looked at

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._gallery.catalogue)

    @property
    def indexes(self) -> tuple[str, ...]:
        """Those of `INDEXES` that can be searched; a store without pictures has none."""
        return self._gallery.indexes

    @property
    def location(self) -> Place:
        """The store's folder, or its address."""
        return self._store

    @property
    def store(self) -> Path:
        """The store's folder.

        Raises:
            RisError: it lies at an address, see `location`.
        """
        if isinstance(self._store, Path):
            return self._store
        raise RisError(f"{self._store} is an address and no folder.")

    @property
    def folder(self) -> Path:
        """The folder of pictures.

        Raises:
            UnconfirmedError: the store was built elsewhere; see `relocate`.
        """
        gallery = self._gallery
        confirmed.check(self.location, gallery.commit)
        return gallery.folder

    @property
    def version(self) -> int:
        """That is searched now, see `Info`."""
        return self._gallery.commit.number

    @property
    def generation(self) -> int:
        """Counts the committed changes of what is searched: a new one, a new number."""
        return self._gallery.generation

    def info(self) -> Info:
        """Return all facts of the store."""
        return describe_store(self._gallery)

    def pictures(
        self, where: Filter | None = None, offset: int = 0, limit: int | None = None
    ) -> list[Picture]:
        """Return the pictures that a filter lets through, by path, from the offset-th (from 0) on."""
        catalogue = self._gallery.catalogue
        offset = arguments.whole("offset", offset, 0)
        end = None if limit is None else offset + arguments.whole("limit", limit, 0)
        return catalogue.pictures(catalogue.chosen(Filter.checked(where))[offset:end])

    def count(self, where: Filter | None = None) -> int:
        """Count the pictures that a filter lets through."""
        return len(self._gallery.catalogue.chosen(Filter.checked(where)))

    def picture(self, row: int) -> Picture:
        """Return the picture of a row.

        Raises:
            NoSuchPictureError: there is none.
        """
        catalogue = self._gallery.catalogue
        return catalogue.pictures([catalogue.position(row)])[0]

    def labels(self) -> dict[str, int]:
        """Return the labels, sorted, and how many pictures have them."""
        return self._gallery.catalogue.labels()

    def folders(self) -> list[str]:
        """Return every folder that holds pictures at any depth, sorted, without the top one."""
        return self._gallery.catalogue.folders()

    def columns(self) -> dict[str, list[str]]:
        """Return the user's own columns and the values that occur in each, sorted."""
        catalogue = self._gallery.catalogue
        return {name: catalogue.values(name) for name in catalogue.columns}

    def rejected(self) -> list[Rejected]:
        """Return the files of the folder that are not in the store, and why, by path."""
        return list(self._gallery.rejected)

    def file(self, row: int) -> Path:
        """Return where a picture's file lies: an absolute path, for sure inside the folder.

        Raises:
            NoSuchPictureError: there is no such row, or its file is gone or has become a link out of the
                folder.
        """
        picture = self.picture(row)
        file = inside(self.folder, picture.path)
        if file is None:
            raise NoSuchPictureError(f"{picture.path} is not in the store's folder any more.")
        return file

    def image(self, row: int, side: int | None = None) -> Image.Image:
        """Read a picture, RGB and upright.

        Args:
            row: of the picture.
            side: longest side wanted, pixels: a larger picture is shrunk to it, which is faster than reading
                it whole.

        Raises:
            NoSuchPictureError: see `file`.
            UnreadableImage: the file has changed and is no picture any more.
        """
        image = read_image(self.file(row), self._gallery.settings.max_pixels, side)
        if side is not None:
            image.thumbnail((side, side))
        return image

    def read(self, query: Query, box: Box | None = None) -> Image.Image:
        """Return a query, or a part of it, as the picture that is searched with: RGB and upright.

        Raises:
            RisError: as `search`.
        """
        return self.open_query(query, box).image

    def open_query(self, query: Query, box: Box | None = None, *, max_pixels: int | None = None) -> Opened:
        """Read a query, or a part of it, to search with it several times.

        Args:
            query: see `Query`.
            box: the part.
            max_pixels: of a query; None for the engine's own limit.

        Raises:
            RisError: as `search`.
        """
        settings = self._gallery.settings
        draft = whole_side(decoded_side(self._gallery.networks, settings), box)
        if is_row(query):
            opened = read_file(self.file(query), settings.max_pixels, draft)
        else:
            opened = read_query(query, max_pixels or self.max_pixels, draft, self._urls)
        return opened if box is None else Opened(part(opened.image, box), None)

    def map(
        self, *, progress: Progress | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the map of the store: rows (n,), and places (n, 2) in a plane, neighbours near each other.

        It is computed when it is first asked for, which takes about a minute for 10,000 pictures, and kept in
        the store until the pictures change by more than a tenth; new ones are placed near their neighbours
        until then.
        """
        gallery = self._gallery
        order = gallery.catalogue.by_path
        return gallery.catalogue.rows[order], self._places(gallery, progress)[order]

    def place(self, query: Query, box: Box | None = None) -> tuple[float, float]:
        """Return about where a picture belongs on the map: near its nearest neighbours."""
        gallery = self._gallery
        laid_out = self._places(gallery, None)
        if not len(laid_out):
            raise RisError(f"{self.location} has no pictures, and so no map.")
        prepared = self._prepared(gallery, query, box, prove=False)
        distances, positions = gallery.nearest(
            "knn", prepared.vector, embedding_map.NEIGHBOURS, None, prepared.without
        )
        x, y = embedding_map.among(distances[None], laid_out[positions][None])[0].tolist()
        return x, y

    # Checked, taken out

    def check(self) -> list[str]:
        """Check every checksum and row of the store; return what is wrong, each a sentence."""
        return problems(self.location)

    verify = check
    """Its former name."""

    def recall(self) -> dict[str, float]:
        """Measure, on a sample of its own pictures, what `auto` finds of the ten that are nearest.

        Returns:
            The mean share, by the share of pictures that a random filter lets through: `1`, `0.05`, `0.005`.

        Raises:
            RisError: there are no pictures.
        """
        if not len(self):
            raise RisError(f"{self.location} has no pictures, and so no recall.")
        return recall_now(self._gallery)

    def export(self, folder: str | Path, *, progress: Progress | None = None) -> None:
        """Write all there is for other programs, TensorBoard's projector among them; see `ris.store.export`.

        Raises:
            RisError: the folder exists and is not empty, or cannot be written.
        """
        gallery = self._gallery
        order = gallery.catalogue.by_path
        pictures = gallery.catalogue.pictures(order)
        export(
            Path(folder),
            pictures,
            gallery.vectors()[gallery.shown[order]],
            lambda position: self.image(pictures[position].row, THUMBNAIL),
            workers=self._threads,
            progress=progress,
        )

    def vectors(self) -> tuple[Rows, Vectors]:
        """Return the rows (n,) of all pictures, by path, and the encoder's vectors (n, D) of them."""
        gallery = self._gallery
        order = gallery.catalogue.by_path
        return gallery.catalogue.rows[order], gallery.vectors()[gallery.shown[order]]

    def nearest(
        self, vectors: Vectors, k: int, index: str = "auto", without: Sequence[Rows] | None = None
    ) -> tuple[Vectors, Rows]:
        """Ask an index with the encoder's vectors (q, D).

        Args:
            vectors: (q, D).
            k: wanted.
            index: see `search`.
            without: for each query rows of pictures that the store is searched without, such as its own.

        Returns:
            distances (q, j) float32, ascending along a line, and rows (q, j); j is k, or how many pictures
            there are. Where a line has fewer, infinity and -1 fill it.

        Raises:
            BadQueryError: there is no such index, or k is below 1.
            NoSuchPictureError: the store does not hold a row of `without`.
            RisError: the vectors have another dimension or hold a NaN.
        """
        gallery = self._gallery
        check_k(k)
        vectors = checked(vectors, "queries", gallery.network.dimension)
        rows = gallery.catalogue.rows
        shape = len(vectors), min(k, len(rows))
        distances, found = np.full(shape, np.inf, np.float32), np.full(shape, -1, np.int64)
        for i, vector in enumerate(vectors):
            own = NO_PICTURES
            if without is not None:
                own = np.array([gallery.catalogue.position(int(row)) for row in without[i]], np.int64)
            near, positions = gallery.nearest(index, vector, k, None, own)
            distances[i, : len(near)], found[i, : len(near)] = near, rows[positions]
        return distances, found

    # Inside

    @property
    def _gallery(self) -> StoreGallery:
        """What is searched now.

        Raises:
            RisError: the engine was closed.
        """
        forks.check()
        if self._opened is None:
            raise RisError("The engine was closed; open the store again.")
        return self._opened

    def _for_copies(self, gallery: StoreGallery) -> Embedder:
        """Return what embeds the views of a query whose copies are looked for.

        Where candidates come from the index that `search` asks, it is the encoder of that.
        """
        if self._copies_embedder is None or gallery.candidates is None:
            return self._embedder
        return self._copies_embedder

    def _check_writable(self) -> None:
        if self._read_only:
            raise ReadOnlyError(f"{self.location} was opened to be read only; open it to be written.")

    def _work(self, progress: Progress | None) -> Work:
        self._check_writable()
        gallery, copies = self._gallery, None
        if gallery.copies is not None and self._copies_embedder is not None:
            copies = OpenEncoder(gallery.copies, self._copies_embedder)
        return Work(
            self.location,
            self.folder,
            OpenEncoder(gallery.identity, self._embedder),
            copies,
            gallery.settings,
            self._threads,
            progress,
            gallery.fragments,
        )

    def _written(self, result: Result) -> Result:
        self.refresh()
        return result

    def _seen(self, picture: Picture) -> Seen:
        return Seen(
            self.image(picture.row), names_camera(self.file(picture.row), self._gallery.settings.max_pixels)
        )

    def _duplicates(self, progress: Progress | None, ray: str | None = None) -> Duplicates:
        """Compare the pictures of the gallery, once."""
        gallery = self._gallery
        if gallery.features is None:
            raise RisError(
                f"{self.location} keeps no local features, so that nothing can be proven; build it with them."
            )
        compared, found = self._computed.duplicates
        if compared is not gallery:
            order = gallery.catalogue.by_path
            paths = gallery.catalogue.paths(order)
            order = order[linked_once(self.folder, paths, gallery.shown[order].tolist())]
            pictures = gallery.catalogue.pictures(order)
            with _verifying(gallery, ray) as (verify, verifiers):
                found = find_duplicates(
                    pictures,
                    gallery.shown[order],
                    gallery.near_duplicate_vectors(),
                    gallery.hashes,
                    verify,
                    lambda position: self._seen(pictures[position]),
                    workers=self._threads,
                    verifiers=verifiers,
                    progress=progress,
                )
            self._computed.duplicates = gallery, found
        return found

    def _places(self, gallery: StoreGallery, progress: Progress | None) -> npt.NDArray[np.float32]:
        """Return the map of a gallery, (n, 2) by position, computed once."""
        mapped, laid_out = self._computed.map
        if mapped is not gallery:
            laid_out = places(gallery, progress, keep=not self._read_only)
            self._computed.map = gallery, laid_out
        return laid_out

    def _prepared(self, gallery: StoreGallery, query: Query, box: Box | None, prove: bool) -> Prepared:
        """Embed a query, and describe its points beside the network."""
        own = _own(gallery, query)
        if is_row(query) and box is None:
            unembedded = self._unembedded(gallery, query, prove)
            vector = self._vectors([unembedded.pixels])[0]
            return Prepared(vector, unembedded.features, own, unembedded.sha256, unembedded.content)
        opened = self.open_query(query, box)
        described = self._pool.submit(self._described, gallery, opened.image) if prove else None
        (vector,) = self._vectors([for_embedding(opened.image, gallery.network)])
        return Prepared(vector, described.result() if described else None, own, opened.sha256)

    def _together(
        self, gallery: StoreGallery, queries: Sequence[Query], weights: Sequence[float] | None
    ) -> Prepared:
        """Embed several pictures as one query."""
        if not queries:
            raise BadQueryError("The query is an empty list; give at least one picture.")
        vectors, own = self._embedded(gallery, queries)
        return Prepared(weighted(vectors, weights), None, own)

    def _refined(
        self, gallery: StoreGallery, query: Prepared, like: Sequence[Query], unlike: Sequence[Query]
    ) -> Prepared:
        """Move a query towards and away from pictures that the searcher marked."""
        like, unlike = arguments.several("like", like), arguments.several("unlike", unlike)
        if not like and not unlike:
            return query
        vectors, own = self._embedded(gallery, [*like, *unlike])
        moved = refined(query.vector, vectors[: len(like)], vectors[len(like) :])
        return replace(query, vector=moved, without=np.concatenate([query.without, own]))

    def _embedded(self, gallery: StoreGallery, queries: Sequence[Query]) -> tuple[Vectors, Positions]:
        """Embed pictures, (n, D); return them, and the positions of those that are the store's own."""
        read = partial(self._unembedded, gallery, prove=False)
        unembedded = in_order(self._pool, read, queries, lead=4 * BATCH)
        vectors: list[Vectors] = []
        while batch := list(islice(unembedded, BATCH)):
            vectors += self._vectors([one.pixels for one in batch])
        return np.stack(vectors), np.concatenate([_own(gallery, query) for query in queries])

    def _unembedded(self, gallery: StoreGallery, query: Query, prove: bool) -> _Unembedded:
        """Read a whole query, in one thread; of its own pictures the store knows all."""
        if is_row(query):
            position = gallery.catalogue.position(query)
            content = gallery.shown[position]
            known = gallery.features[content] if prove and gallery.features is not None else None
            (picture,) = gallery.catalogue.pictures([position])
            vector = gallery.vectors(np.array([content]))[0]
            return _Unembedded(vector, known, bytes.fromhex(picture.sha256), int(content))
        opened = self.open_query(query)
        described = self._described(gallery, opened.image) if prove else None
        return _Unembedded(for_embedding(opened.image, gallery.network), described, opened.sha256)

    def _vectors(self, prepared: Sequence[Pixels | Vectors]) -> list[Vectors]:
        """Embed what is not embedded yet."""
        pixels = [one.astype(np.uint8, copy=False) for one in prepared if one.ndim > 1]
        fresh = iter(normalise(self._embedder.embed(np.stack(pixels))) if pixels else ())
        return [next(fresh) if one.ndim > 1 else one.astype(np.float32, copy=False) for one in prepared]

    def _described(self, gallery: StoreGallery, image: Image.Image) -> LocalFeatures | None:
        if gallery.features is None:
            return None
        return describe(image, gallery.settings.query_features, gallery.settings.side)


def _opened(
    encoder: str | Path | None,
    device: Device,
    threads: int,
    weights: Path | None = None,
    accept_licence: bool = False,
) -> tuple[OpenEncoder, bytes | None]:
    """Open the encoder that a new store shall have; return the weights that it must keep with it."""
    identity, kept = choose(encoder, device, weights, accept_licence)
    return OpenEncoder(identity, restore(identity, kept, threads)), kept


@contextmanager
def _on_cluster(work: Work, address: str | None, weights: tuple[bytes | None, ...]) -> Iterator[Work]:
    """Yield work that a Ray cluster does a part of, where its address is given.

    Args:
        work: as this process does it.
        address: see `SearchEngine.build`.
        weights: of each encoder, where no package brings them.
    """
    if address is None:
        yield work
        return
    encoders = [work.encoder, *([] if work.copies is None else [work.copies])]
    recipe = Recipe.of(work.root, work.settings, encoders, weights)
    with connected(address):
        yield replace(work, cluster=Cluster(recipe))


@contextmanager
def _verifying(gallery: StoreGallery, address: str | None) -> Iterator[tuple[Verify, int | None]]:
    """Yield what looks for contents in others, and in how many threads, see `find_duplicates`.

    Args:
        gallery: that keeps local features.
        address: see `SearchEngine.duplicates`.
    """
    if address is None:
        yield partial(found_in, gallery), None
        return
    with connected(address):
        comparisons = Comparisons(gallery)
        yield comparisons.found_in, comparisons.at_once


def _commit(store: Place, version: int | None) -> Commit:
    """Return a version of a store, or the newest."""
    if version is None:
        return latest(store)
    return versions.kept_version(store, arguments.whole("version", version, 1))


def _wanted(k: int, index: str, max_distance: float | None, collapse: bool, verify: bool) -> Wanted:
    """Return what is wanted of a search.

    Raises:
        BadQueryError: an argument is not allowed.
    """
    return Wanted(
        k,
        arguments.text("index", index),
        None if max_distance is None else arguments.number("max_distance", max_distance, 0),
        arguments.flag("collapse", collapse),
        prove=arguments.flag("verify", verify),
    )


def _own(gallery: StoreGallery, query: Query) -> Positions:
    """Return the position (1,) of a query that is a picture of the store, (0,) of another."""
    return np.array([gallery.catalogue.position(query)]) if is_row(query) else NO_PICTURES


def _approximate(names: Sequence[str]) -> tuple[str, ...]:
    """Return the approximate indexes that are wanted of a store.

    Raises:
        RisError: there is no such one, or its library is not installed.
    """
    known = [kind.name for kind in REGISTRY.values() if not kind.exact and kind.name != PARTITIONED]
    for name in names:
        if name not in known:
            raise RisError(
                f"{name} is no index that a store can have beside its own; name one of {', '.join(known)}."
            )
        REGISTRY[name].check_installed()
    return tuple(dict.fromkeys(names))
