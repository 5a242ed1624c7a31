"""Queries, answers and errors of the engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from ris import arguments
from ris.errors import BadQueryError as BadQueryError
from ris.errors import RisError


@dataclass(frozen=True, eq=False)
class Opened:
    """A query that was read."""

    image: Image.Image
    """RGB and upright."""
    sha256: bytes | None
    """Of the file that it is the whole of; None where it is of no file, or a part."""


Query: TypeAlias = str | Path | bytes | Image.Image | npt.NDArray[np.uint8] | int | Opened
"""A picture to search with: a file's path, a file's bytes, a PIL image, pixels (h, w, 3) in the order red,
green, blue (OpenCV's are blue first: give `pixels[..., ::-1]`), the row of one of the store's own, what
`SearchEngine.open_query` returned, or, where URLs were switched on, an address."""
Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a picture, as shares of its width and height, from 0 to 1."""
Corners: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom in a picture's pixels, right and bottom excluded."""
Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many; from one thread at a time."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One row of the catalogue."""

    row: int
    """The picture's number in the store, its own for ever: also when its file is changed or moved."""
    path: str
    """Relative to the folder of pictures, with `/` between names."""
    label: str
    """Name of the folder that it lies in; empty where it lies at the top."""
    width: int
    height: int
    """Pixels, standing upright."""
    bytes: int
    modified: float
    """Seconds since 1970, of the file."""
    sha256: str
    """Of the file, 64 hex digits."""


@dataclass(frozen=True)
class Rejected:
    """A file that is not in the store."""

    path: str
    """Relative to the folder of pictures."""
    reason: str
    """A clause, such as "the file is cut short"."""


class Relation(StrEnum):
    """What is proven of two pictures."""

    SAME_PICTURE = "same_picture"
    """One picture: where they overlap, all agrees, up to the edit that explains it."""
    CHANGED_VERSION = "changed_version"
    """One picture, but that a part of it was covered or replaced: a caption, a sticker, other text."""
    SAME_TEMPLATE = "same_template"
    """What agrees is a layout, a logo, a frame or a background; the content is another."""
    NOT_PROVEN = "not_proven"
    """No more than that they may look alike."""


@dataclass(frozen=True)
class Difference:
    """Where two pictures that were laid over each other differ."""

    share: float
    """Of what both show and where either has texture, from 0 to 1."""
    boxes: list[Corners]
    """In the pixels of the hit, or of the second picture of a pair; the largest first."""
    query_boxes: list[Corners]
    """The same, in the pixels of the query, or of the first picture of a pair."""


@dataclass(frozen=True)
class Hit:
    """A picture of the store as the answer to a query."""

    picture: Picture
    distance: float
    """Euclidean, between vectors of length 1: from 0 to 2, in the space of the index that was searched."""
    relation: Relation | None
    """What its bytes, or points and pixels, prove of it and the query; None where that was not looked at."""
    evidence: float
    """Match score of it and the query (in JSON `match_score`), see `ris.copies.relations`; 0 without one."""
    inliers: int
    """Points of the two pictures that agree, 0 where none do or that was not looked at."""
    mirrored: bool
    """Whether the query is a mirror image of it, by its matching points."""
    outline: list[tuple[float, float]] | None
    """The query's top left, top right, bottom right and bottom left corner in this picture's pixels; they may
    lie outside of it. None where nothing is proven."""
    difference: Difference | None
    """Where it differs from the query; None where nothing is proven, or no difference is."""
    copies: list[Picture]
    """Its near-duplicates among the hits, nearest first, where the search collapsed them into it."""

    @property
    def same_picture(self) -> bool | None:
        """Whether it is proven to be the query's very picture; None where that was not looked at."""
        return None if self.relation is None else self.relation is Relation.SAME_PICTURE

    @property
    def here(self) -> bool:
        """Whether it is proven to be the query's picture, as it is or in a changed version."""
        return self.relation in (Relation.SAME_PICTURE, Relation.CHANGED_VERSION)

    @property
    def path(self) -> str:
        """The picture's path."""
        return self.picture.path

    @property
    def row(self) -> int:
        """The picture's row."""
        return self.picture.row

    @property
    def label(self) -> str:
        """The picture's label."""
        return self.picture.label


@dataclass(frozen=True)
class TextAnswer:
    """What is like some words."""

    hits: list[Hit]
    meant: tuple[str, ...]
    """What the words were taken for, by name."""
    ignored: tuple[str, ...]
    """Those of the words that nothing is known of."""


@dataclass(frozen=True)
class Finding:
    """The answer to the question where a very picture is."""

    here: bool | None
    """Whether it is in the store, as it is or in a changed version; None where no file has the query's bytes
    and the store keeps no local features, so that nothing else is proven."""
    hits: list[Hit]
    """Files of the same bytes first, then proven ones, then by what speaks for them; of those that nothing
    speaks for, the most promising first. Distances are those of the space of the candidates."""
    false_positive_rate: float
    """Share of pictures that are not there of which it may be said that they are, as calibrated."""


@dataclass(frozen=True)
class Filter:
    """Which pictures may be among the hits; all conditions that are given must hold."""

    labels: tuple[str, ...] = ()
    """One of these."""
    folders: tuple[str, ...] = ()
    """In one of these folders, at any depth, relative to the folder of pictures."""
    min_bytes: int | None = None
    max_bytes: int | None = None
    min_side: int | None = None
    """Least length of the shorter side, pixels."""
    modified_after: float | None = None
    modified_before: float | None = None
    """Seconds since 1970."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Values of the user's own columns, see `SearchEngine.set_columns`."""

    def __post_init__(self) -> None:
        """Check what is given, and take a folder for what it names, however it is written.

        Raises:
            BadQueryError: a value is of another type, or no finite number.
        """
        folders = arguments.texts("folders", self.folders)
        checked: dict[str, object] = {
            "labels": arguments.texts("labels", self.labels),
            "folders": tuple("/".join(PurePosixPath(folder).parts) for folder in folders),
            "columns": arguments.columns("columns", self.columns),
        }
        for name in ("min_bytes", "max_bytes", "min_side"):
            value = getattr(self, name)
            checked[name] = None if value is None else arguments.whole(name, value, 0)
        for name in ("modified_after", "modified_before"):
            value = getattr(self, name)
            checked[name] = None if value is None else arguments.number(name, value)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def checked(where: object) -> "Filter | None":
        """Take a filter or None.

        Raises:
            BadQueryError: it is something else.
        """
        if where is not None and not isinstance(where, Filter):
            raise BadQueryError(
                f"where is of type {type(where).__name__}; give a Filter, such as Filter(labels=('cats',))."
            )
        return where


@dataclass(frozen=True)
class Change:
    """What a writing call did to the store."""

    added: int
    changed: int
    """Same path, other content."""
    moved: int
    """Same content, other path."""
    removed: int
    unchanged: int
    rejected: list[Rejected]
    """Of the files that were looked at, those that are no use."""
    seconds: float


@dataclass(frozen=True)
class Version:
    """A state of the store that can be restored."""

    number: int
    written: float | None
    """When, seconds since 1970; None where that was not noted."""
    pictures: int


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that are one picture, re-encoded, resized, cropped, turned or mirrored."""

    pictures: list[Picture]
    """By path."""
    keep: Picture
    """The one to keep, as a suggestion."""
    why: str
    """Why that one, a clause."""
    inliers: int
    """Fewest points that prove a pair that joins the group."""


@dataclass(frozen=True)
class ChangedPair:
    """Two pictures of which one is a changed version of the other: neither is spare."""

    one: Picture
    other: Picture
    inliers: int
    """Points of the two that agree."""
    difference: Difference


@dataclass(frozen=True)
class Duplicates:
    """What is in a store more than once."""

    groups: list[DuplicateGroup]
    """The largest first."""
    changed: list[ChangedPair]
    """By path."""


@dataclass(frozen=True)
class Pair:
    """A picture of the store as a query, and the best hit for it."""

    query: Picture
    edit: str
    """What was done to it, `unedited` where nothing was."""
    found: Picture
    match_score: float


@dataclass(frozen=True)
class Calibrated:
    """A threshold that was chosen over a store's own pictures, and how good it is."""

    threshold: float | None
    """Match score above which a picture is the same one; None where the pictures are too few for the rate."""
    rate: float
    """The false-positive rate that it was chosen for."""
    thresholds: dict[float, float | None]
    """Of other rates, likewise."""
    pictures: int
    """Queries for each edit."""
    recall: dict[str, float]
    """By edit: share that was found and said to be here, by this threshold, or by the one that holds."""
    chosen_on: int
    """Different pictures, none of which the rest of the store shows, on which it was chosen."""
    reported_on: int
    """Others, on which it was not chosen."""
    claimed: int
    """Of these, how many were said to be here, as they are or after an edit."""
    claimed_ci95: tuple[float, float] | None
    """95 % interval of their share, exact for any number; None where there are none."""
    strangers: list[Pair]
    """Those with the highest score, for a person to say which are right after all."""
    copies: list[Pair]
    """What was taken for copies and so did not count, likewise."""


@dataclass(frozen=True)
class Info:
    """All that can be said of a store without searching it."""

    store: str
    folder: str
    """Of the pictures."""
    pictures: int
    rejected: int
    labels: int
    columns: tuple[str, ...]
    """The user's own."""
    encoder: str
    """Its name."""
    dimension: int
    """Of the encoder's vectors."""
    copies_encoder: str | None
    """The name of that by which copies are looked for; None where it is the same one."""
    precision: str
    """`bf16` or `fp32`: what the vectors were computed in."""
    indexes: tuple[str, ...]
    local_features: bool
    """Whether the same picture can be proven."""
    regions: bool
    """Whether regions of pictures are searched, too, for the same picture."""
    threshold: float | None
    """What the proof's score must exceed; None where it was not calibrated."""
    false_positive_rate: float | None
    """At that threshold, as calibrated."""
    threshold_over: str | None
    """Whose threshold it is, and over what it was chosen."""
    bytes: int
    """On disk."""
    format: int
    """Version of the store's format."""
    version: int
    """That is searched, one of `SearchEngine.versions`, or a later one of the same pictures."""
    generation: int
    """Counts the committed changes."""
    auto: str
    """The index that `auto` stands for, and why."""
    space_version: int | None
    """Counts how often the spaces were fitted; None where there are none yet."""
    space_fitted_to: int | None
    """How many contents they were last fitted to."""
    recall: dict[str, float] | None
    """recall@10 of the approximate index against exact search, measured on the store's own vectors: `all`,
    and by the share of pictures that a random filter lets through; None where `auto` is exact."""
    unread: int | None
    """Files that a build which was broken off has still to read; None where it ended."""


class NoSuchPictureError(RisError):
    """The store holds no such row or path, or the picture's file is not there any more."""


class NoSuchVersionError(RisError):
    """The store keeps no such version."""


class ReadOnlyError(RisError):
    """The store cannot be written: its folder does not allow it, or it was opened to be read only."""


class UnconfirmedError(RisError):
    """The store was built elsewhere, and the user has not confirmed its folder of pictures."""


class RemovalError(RisError):
    """A sync would take away most of the pictures at once, and was not allowed to."""


class BusyError(RisError):
    """Another process is writing to the store."""


class DamagedError(RisError):
    """The store is damaged, of another format, or was made with another encoder."""
