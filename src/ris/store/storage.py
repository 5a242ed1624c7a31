"""Where a store lies: a local folder, or an address in an object store such as `s3://bucket/photos.ris`.

Lance reads and writes its tables at either by itself. This is for the few other files of a store: an
`Address` has of `Path` what they need. It reads and writes by the library that Lance uses, too, which takes
credentials from the same variables of the environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and so on).
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from ris.artifacts import writing
from ris.errors import BadQueryError, RisError
from ris.extras import require
from ris.types import BusyError, ReadOnlyError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
PATIENCE = 1.0
"""Seconds that a writer waits for another in the same folder, who may only be noting something."""
LEASE = 15.0
"""Seconds without a sign of life of its holder after which another writer takes the lock at an address."""

RETRIED = 30.0
"""Seconds for which a request is tried again, where the object store does not answer."""
RETRIES = 1000
"""How often, at most: the seconds alone decide."""


@dataclass(frozen=True)
class Address:
    """A file or folder in an object store; of `Path`'s methods those that a store needs.

    What cannot be read or written is an `OSError`, as of `Path`.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "Address":
        return Address(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """The last part of it."""
        return self.url.rpartition("/")[2]

    @property
    def key(self) -> str:
        """Its name within the bucket."""
        return urlsplit(self.url).path.strip("/")

    @property
    def bucket(self) -> "ObjectStore":
        """What it lies in."""
        scheme, where, *_ = urlsplit(self.url)
        return _bucket(f"{scheme}://{where}")

    def is_file(self) -> bool:
        """Tell whether there is a file at it."""
        import obstore

        try:
            with _as_os_errors():
                obstore.head(self.bucket, self.key)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Tell whether it may hold files, as every address may."""
        return True

    def iterdir(self) -> Iterator["Address"]:
        """Yield what lies in it, files and folders."""
        yield from (self / name for name in dict.fromkeys(one.split("/")[0] for one, *_ in self.listed()))

    def exists(self) -> bool:
        """Tell whether there is a file at it, or any below it."""
        return self.is_file() or any(True for _ in self.listed())

    def read_bytes(self) -> bytes:
        """Read the file."""
        import obstore

        with _as_os_errors():
            return bytes(obstore.get(self.bucket, self.key).bytes())

    def write_bytes(self, data: bytes) -> None:
        """Write the file, in place of any there; a reader sees the one or the other, whole."""
        import obstore

        with _as_os_errors():
            obstore.put(self.bucket, self.key, data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the file."""
        import obstore

        try:
            with _as_os_errors():
                obstore.delete(self.bucket, self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def listed(self) -> Iterator[tuple[str, int, int]]:
        """Yield each file below it: its name relative to this, its bytes, and when it was changed.

        The time is nanoseconds since 1970.
        """
        import obstore

        with _as_os_errors():
            for some in obstore.list(self.bucket, f"{self.key}/"):
                for one in some:
                    changed = int(one["last_modified"].timestamp() * 1000) * 1_000_000
                    yield one["path"].removeprefix(f"{self.key}/"), one["size"], changed


Place: TypeAlias = Path | Address


def place_of(name: str | Path | Address) -> Place:
    """Return the place that a path or an address names.

    Raises:
        BadQueryError: it is an address of a kind that is not known.
        RisError: what reads addresses is not installed.
    """
    if isinstance(name, Address):
        return name
    scheme, separator, rest = str(name).partition("://")
    if not (separator and scheme.isalnum()) or isinstance(name, Path):
        return Path(name).absolute()
    if scheme == "file":
        return Path(unquote(rest)).absolute()
    parts = urlsplit(str(name))
    if scheme not in SCHEMES or not parts.netloc or not parts.path.strip("/"):
        raise BadQueryError(
            f"{name} is no address that is known; give a path, file:///PATH, or "
            f"{', '.join(f'{one}://BUCKET/NAME' for one in SCHEMES)}."
        )
    require("remote", to=f"open {scheme}:// addresses")
    return Address(str(name).rstrip("/"))


def lance_options(store: Place) -> dict[str, str] | None:
    """Return how Lance tries a request again; by itself it gives up within some seconds."""
    if not isinstance(store, Address):
        return None
    return {"client_max_retries": str(RETRIES), "client_retry_timeout": str(ceil(RETRIED))}


def names(folder: Place) -> list[str]:
    """Return the names of the files in a folder; none where it is not there, or a local one cannot be read.

    Raises:
        RisError: an object store does not answer.
    """
    if isinstance(folder, Address):
        try:
            return [name for name, *_ in folder.listed() if "/" not in name]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RisError(f"{folder} cannot be read ({error.strerror}).") from error
    with suppress(OSError):
        return [entry.name for entry in os.scandir(folder)]
    return []


def size_of(folder: Place) -> int:
    """Return the bytes of all files in a folder, at any depth."""
    if isinstance(folder, Address):
        return sum(size for _, size, _ in folder.listed())
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def sha256_of(file: Place) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    if isinstance(file, Address):
        import obstore

        digest = hashlib.sha256()
        with _as_os_errors():
            for part in obstore.get(file.bucket, file.key):
                digest.update(part)
        return digest.hexdigest()
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(file: Place, data: bytes) -> None:
    """Write a file, in place of any there, in a folder that need not be there; whole or not at all."""
    if isinstance(file, Address):
        file.write_bytes(data)
        return
    file.parent.mkdir(exist_ok=True)
    with writing(file) as fresh:
        fresh.write_bytes(data)


def create(file: Place, text: str) -> None:
    """Put a file in place, whole, where there is none.

    Raises:
        FileExistsError: there is one.
    """
    if isinstance(file, Address):
        import obstore

        try:
            with _as_os_errors():
                obstore.put(file.bucket, file.key, text.encode(), mode="create")
        except FileExistsError:
            # It is this very one where a request was repeated whose answer had been lost.
            if file.read_bytes() != text.encode():
                raise
        return
    file.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".new", encoding="utf-8") as fresh:
        fresh.write(text)
        fresh.flush()
        os.fsync(fresh.fileno())
        os.link(fresh.name, file)


def delete(folder: Place) -> None:
    """Delete a folder and all in it, as far as that can be done."""
    if isinstance(folder, Address):
        with suppress(OSError):
            for name, *_ in list(folder.listed()):
                (folder / name).unlink(missing_ok=True)
        return
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def filled(folder: Place) -> Iterator[Path]:
    """Yield a local folder, what is put into which lies in a place when the block has ended."""
    if not isinstance(folder, Address):
        yield folder
        return
    with tempfile.TemporaryDirectory() as local:
        fresh = Path(local) / folder.name
        yield fresh
        for file in sorted(fresh.rglob("*")):
            if file.is_file():
                (folder / file.relative_to(fresh).as_posix()).write_bytes(file.read_bytes())


@contextmanager
def fetched(folder: Place) -> Iterator[Path]:
    """Yield a local folder with all that lies in a place, for as long as the block takes."""
    if not isinstance(folder, Address):
        yield folder
        return
    with tempfile.TemporaryDirectory() as local:
        for name, *_ in folder.listed():
            file = Path(local) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes((folder / name).read_bytes())
        yield Path(local)


def holds(store: Place, path: Path) -> bool:
    """Tell whether a local file lies in a store, links of both resolved or of neither."""
    return isinstance(store, Path) and path.is_relative_to(store.resolve())


@contextmanager
def locked(store: Place, name: str) -> Iterator[None]:
    """Hold the writer's lock of a store.

    That of a folder ends with the process at the latest; that at an address `LEASE` seconds later.

    Raises:
        BusyError: another one holds it.
        ReadOnlyError: it cannot be made.
    """
    busy = BusyError(f"Another process is writing to {store}; try again when it has ended.")
    if isinstance(store, Address):
        try:
            lease = _Lease(store / name)
        except FileExistsError as error:
            raise busy from error
        except OSError as error:
            raise ReadOnlyError(f"{store} cannot be written ({error.strerror}).") from error
        with lease:
            yield
        return
    lock = FileLock(store / name)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise busy from error
    except OSError as error:
        raise ReadOnlyError(f"{store} cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


class _Lease:
    """A lock at an address: a file that its holder writes anew, again and again, for as long as it lives."""

    def __init__(self, file: Address) -> None:
        """Take it.

        Raises:
            FileExistsError: another one holds it.
        """
        self._file, self._ended, self._renewals = file, threading.Event(), 0
        self._owner = os.urandom(16).hex()
        try:
            self._put("create")
        except FileExistsError:
            self._put(self._abandoned())
        self._renewing = threading.Thread(target=self._renew, daemon=True)
        self._renewing.start()

    def _abandoned(self) -> Any:
        """Return the version of another's lock that has stood for a whole lease, without comparing clocks."""
        import obstore

        held = FileExistsError(errno.EEXIST, "another one holds it")
        try:
            with _as_os_errors():
                seen = obstore.head(self._file.bucket, self._file.key)["e_tag"]
                for _ in range(10):
                    self._ended.wait(LEASE / 10)
                    if obstore.head(self._file.bucket, self._file.key)["e_tag"] != seen:
                        raise held
        except FileNotFoundError as error:
            raise held from error
        return {"e_tag": seen}

    def _put(self, mode: Any) -> None:
        import obstore

        self._renewals += 1
        note = json.dumps({"owner": self._owner, "renewals": self._renewals}).encode()
        with _as_os_errors():
            self._tag = obstore.put(self._file.bucket, self._file.key, note, mode=mode)["e_tag"]

    def _renew(self) -> None:
        while not self._ended.wait(LEASE / 5):
            with suppress(OSError):
                self._put({"e_tag": self._tag})

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewing.join()
        with suppress(OSError, ValueError):
            if json.loads(self._file.read_bytes())["owner"] == self._owner:
                self._file.unlink()


@cache
def _bucket(url: str) -> "ObjectStore":
    from obstore.store import from_url

    return from_url(url, retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRIED)})


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Tell what the library says as `Path` would."""
    from obstore import exceptions

    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.errno is None:
            raise FileNotFoundError(errno.ENOENT, "it is not there") from error
        raise
    except exceptions.NotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "it is not there") from error
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
        raise FileExistsError(errno.EEXIST, "it is there already") from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise PermissionError(errno.EACCES, "the object store does not let this user") from error
    except exceptions.BaseError as error:
        reason = " ".join(str(error).split())[:150].rstrip(" .")
        raise OSError(errno.EIO, f"the object store does not answer: {reason}") from error
