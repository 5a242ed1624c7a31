"""Every kind of index, and how one is opened.

What a kind is called costs nothing to read: its class, and the library behind it, are imported when needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ris.errors import RisError
from ris.extras import Extra, require

if TYPE_CHECKING:
    from ris.indexes.index import Index


@dataclass(frozen=True)
class Searchable:
    """What pictures can be searched by: all that the command, the page and the report say of it."""

    name: str
    """In options, configuration, metrics and file names."""
    label: str
    """For people."""
    note: str
    """What it does, a few words for people."""


@dataclass(frozen=True)
class Kind(Searchable):
    """A kind of index over one of the spaces."""

    implementation: str
    """Module and name of the class, `ris.indexes.annoy:AnnoyIndex`."""
    projected: bool
    """Whether it is over the PCA space, not over the encoder's vectors as they are."""
    exact: bool = False
    """Whether it finds all of the nearest, or most of them."""
    stage: str | None = None
    """The lab's stage that builds it, and the section of its parameters; None where the lab has it not."""
    defaults: Mapping[str, int] = field(default_factory=dict)
    """Its parameters in a store."""
    extra: Extra | None = None
    """What has to be installed for it beside the core."""

    @property
    def index(self) -> "type[Index]":
        """The class.

        Raises:
            RisError: its library is not installed.
        """
        self.check_installed()
        module, _, name = self.implementation.partition(":")
        found: type[Index] = getattr(import_module(module), name)
        return found

    def check_installed(self) -> None:
        """Check that the library behind it is installed.

        Raises:
            RisError: it is not; it says what to install.
        """
        if self.extra:
            require(self.extra, to=f"search by {self.label}")

    @property
    def approximates(self) -> str | None:
        """The exact kind of the same space, which recall is measured against; None for an exact one."""
        return None if self.exact else exact_of(self.projected)


_ANNOY = {"n_trees": 100, "search_k": 10_000}
KINDS = (
    Kind(
        name="knn",
        label="KNN",
        note="exact, on all dimensions",
        implementation="ris.indexes.exact:ExactIndex",
        exact=True,
        projected=False,
        stage="index_knn",
    ),
    Kind(
        name="knn_pca",
        label="KNN with PCA",
        note="exact, on fewer dimensions",
        implementation="ris.indexes.exact:ExactIndex",
        exact=True,
        projected=True,
        stage="index_knn",
    ),
    Kind(
        name="annoy",
        label="ANNOY",
        note="approximate, by trees",
        implementation="ris.indexes.annoy:AnnoyIndex",
        projected=False,
        stage="index_annoy",
        defaults=_ANNOY,
        extra="annoy",
    ),
    Kind(
        name="annoy_pca",
        label="ANNOY with PCA",
        note="approximate, by trees, on fewer dimensions",
        implementation="ris.indexes.annoy:AnnoyIndex",
        projected=True,
        stage="index_annoy",
        defaults=_ANNOY,
        extra="annoy",
    ),
    Kind(
        name="ivf_pca",
        label="IVF with PCA",
        note="approximate, by partitions, on fewer dimensions",
        implementation="ris.indexes.ivf:IvfIndex",
        projected=True,
    ),
)
REGISTRY: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
"""Every kind of index by its name; a new one is a new file and one entry here."""
RERANKED = Searchable("reranked", "re-ranked", "exact, and asked again with the first answers")
"""What `ris.indexes.reranked` makes of the exact kind of the PCA space."""
SEARCHABLE: Mapping[str, Searchable] = {**REGISTRY, RERANKED.name: RERANKED}
NOTES = "; ".join(f"{one.name}: {one.note}" for one in SEARCHABLE.values())
"""What each does, for the help of the command and of the API."""

if TYPE_CHECKING:
    IndexName: TypeAlias = str
else:
    IndexName = Literal[("auto", *SEARCHABLE)]
    """What a person may search by, as an option or a field."""


def exact_of(projected: bool) -> str:
    """Return the name of the exact kind of a space."""
    return next(kind.name for kind in KINDS if kind.projected == projected and kind.exact)


def approximated(name: str) -> str | None:
    """Return the exact kind that one is an approximation of; None where it is none."""
    return REGISTRY[name].approximates if name in REGISTRY else None


def open_index(folder: Path, *, kind: "type[Index]", dimension: int, made_for: str) -> "Index":
    """Open an index folder, checking index.json and every checksum before its data is read.

    Raises:
        RisError: the index is of another kind, dimension or metric or over other vectors, or a file of it is
            missing, cut short or changed.
    """
    from ris.indexes.manifest import read_manifest, verify

    manifest = read_manifest(folder)
    verify(folder, manifest, kind=kind.kind, files=kind.files, dimension=dimension, made_for=made_for)
    opened = kind.load(folder, manifest)
    if (opened.count, opened.dimension) != (manifest.count, manifest.dimension):
        raise RisError(
            f"{folder / 'index.json'} tells of {manifest.count} vectors, but its data holds {opened.count}; "
            "remake it with `dvc repro`."
        )
    return opened
