"""index.json: what an index folder holds, checked before anything else in the folder is opened."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ris.artifacts import checksum, read_json, write_json, writing
from ris.errors import RisError

METRIC: Final = "euclidean"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataFile(_Strict):
    """A file beside index.json."""

    bytes: int
    checksum: str


class Manifest(_Strict):
    """All that must be known of an index before its data is read."""

    kind: str
    metric: str
    dimension: int = Field(ge=1)
    count: int = Field(ge=1)
    parameters: dict[str, int]
    made_for: str
    """Names what the vectors are of, such as the checksum of a catalog."""
    files: dict[str, DataFile]


class Described(Protocol):
    """What an index says of itself."""

    kind: ClassVar[str]

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def count(self) -> int:
        """Number of vectors."""
        ...

    @property
    def parameters(self) -> Mapping[str, int]:
        """What it was built with."""
        ...


@contextmanager
def writing_index(folder: Path, index: Described, made_for: str) -> Iterator[Path]:
    """Yield an empty folder for the data files, then add index.json and put it all in place of `folder`.

    After an error in the block, `folder` is what it was.
    """
    with writing(folder) as fresh:
        fresh.mkdir()
        yield fresh
        manifest = Manifest(
            kind=index.kind,
            metric=METRIC,
            dimension=index.dimension,
            count=index.count,
            parameters=dict(index.parameters),
            made_for=made_for,
            files={
                path.name: DataFile(bytes=path.stat().st_size, checksum=checksum(path))
                for path in sorted(fresh.iterdir())
            },
        )
        write_json(fresh / "index.json", manifest.model_dump())


def read_manifest(folder: Path) -> Manifest:
    """Read index.json.

    Raises:
        RisError: it is missing or damaged.
    """
    path = folder / "index.json"
    try:
        return Manifest.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise RisError(f"{path} is damaged (`{key}`: {first['msg']}); remake it with `dvc repro`.") from error


def verify(
    folder: Path,
    manifest: Manifest,
    *,
    kind: str,
    files: tuple[str, ...],
    dimension: int,
    made_for: str,
) -> None:
    """Check that an index is the one that is asked for, and that its files are whole.

    Raises:
        RisError: the first thing that is not as it must be.
    """
    remake = "remake it with `dvc repro`."
    for name, found, expected in (
        ("kind", manifest.kind, kind),
        ("metric", manifest.metric, METRIC),
        ("dimension", manifest.dimension, dimension),
    ):
        if found != expected:
            raise RisError(f"The index in {folder} has {name} {found}, not {expected}; {remake}")
    if manifest.made_for != made_for:
        raise RisError(f"The index in {folder} was built over other vectors than the present ones; {remake}")
    if set(manifest.files) != set(files):
        raise RisError(f"{folder / 'index.json'} does not list just {' and '.join(files)}; {remake}")
    for file, expected_file in manifest.files.items():
        path = folder / file
        if not path.is_file():
            raise RisError(f"{path} is missing; {remake}")
        if path.stat().st_size != expected_file.bytes:
            raise RisError(f"{path} has {path.stat().st_size} bytes, not {expected_file.bytes}; {remake}")
        if checksum(path) != expected_file.checksum:
            raise RisError(f"{path} has changed since it was written; {remake}")
