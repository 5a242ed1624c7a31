"""Archives into folders: by content, in one pass, within bounds, and nothing outside of the folder."""

import bz2
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from ris.artifacts import writing
from ris.errors import RisError


class Readable(Protocol):
    """What content is read from."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none are left after an empty answer."""


Members = Iterable[tuple[str, Readable]]
"""Regular files of an archive: name as the archive gives it, and content."""

_CHUNK = 1 << 18
_TAR_HEADERS = 4096
"""Bytes that a tar may spend on the headers and the padding of one file."""
_TAR_END = 1 << 20
"""Bytes that a tar may spend on the zeros after its last file."""
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_DECOMPRESSORS: dict[bytes, Callable[[IO[bytes]], Readable]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_NO_NAME = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
"""Control characters, backslashes and undecodable bytes."""
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    # What the two libraries raise on malformed headers, beside their own errors.
    ValueError,
    RuntimeError,
)


class Tree:
    """Writes files below a folder: never outside of it, never over one another, never more than allowed."""

    def __init__(self, folder: Path, origin: Path, max_files: int, max_bytes: int) -> None:
        """Start at an empty or absent `folder`; `origin` is what the errors name."""
        self.folder = folder.resolve()
        self.origin = origin
        self.max_files = max_files
        self.max_bytes = max_bytes
        self.files = 0
        self.bytes = 0

    def add(self, path: PurePosixPath, content: Readable) -> None:
        """Write one file.

        Raises:
            RisError: the path leaves the folder or is taken, or there are too many files or bytes.
        """
        destination = self.folder / path
        if _NO_NAME.search(str(path)) or not destination.resolve().is_relative_to(self.folder):
            raise RisError(f"{self.origin} holds {str(path)!r}, no name for a file here; rename it.")
        self.files += 1
        if self.files > self.max_files:
            raise RisError(f"{self.origin} holds more than {self.max_files} files; raise data.max_files.")
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            stream = destination.open("xb")
        except (FileExistsError, NotADirectoryError) as error:
            raise RisError(f"{self.origin} holds {path} twice; remove one of the two.") from error
        with stream:
            while chunk := content.read(_CHUNK):
                self.bytes += len(chunk)
                if self.bytes > self.max_bytes:
                    raise _too_large(self.origin, self.max_bytes)
                stream.write(chunk)

    def check_classes(self) -> None:
        """Check that there are files, each in the folder of a class.

        Raises:
            RisError: there are none, or one stands at the top.
        """
        if not self.files:
            raise RisError(f"{self.origin} holds no files; put the pictures there, in one folder a class.")
        stray = min((entry.name for entry in self.folder.iterdir() if entry.is_file()), default=None)
        if stray:
            raise RisError(f"{self.origin} holds {stray} outside of any class; put it in one folder a class.")


def unpack(archive: Path, target: Path, root: str | None, max_files: int, max_bytes: int) -> None:
    """Unpack the pictures of an archive to `target/<class>/<file>`, all of them or nothing.

    The archive is a zip, a tar, plain or compressed by gzip, bzip2 or xz, or a zip that holds such a tar;
    its content tells which. The traces of macOS (`__MACOSX`, `.DS_Store`, `._*`) are left out.

    Args:
        archive: the file.
        target: the folder to make; replaced if it exists.
        root: the archive's folder that holds one folder a class; the rest is left out. None where the
            classes stand at the top or below one single folder.
        max_files: regular files accepted.
        max_bytes: bytes accepted, unpacked.

    Raises:
        RisError: the archive is damaged, holds anything but files and folders, names a place outside of
            `target`, is larger than allowed, lacks `root`, or holds files outside of any class.
    """
    with writing(target) as fresh, _damage_told(archive):
        whole = Tree(fresh.with_name(f"{fresh.name}.whole"), archive, max_files, max_bytes)
        with archive.open("rb") as stream:
            if _start(stream)[:4] in _ZIP_MAGIC:
                with zipfile.ZipFile(stream) as opened:
                    _add_zip(whole, opened, root)
            else:
                _add_tar(whole, stream, root)
        whole.folder.mkdir(exist_ok=True)
        if root is None:
            whole.folder = _below_single_folder(whole.folder)
        whole.check_classes()
        whole.folder.rename(fresh)


def is_litter(path: PurePosixPath) -> bool:
    """Whether a path is one of the traces that macOS leaves in archives and folders."""
    return any(part in ("__MACOSX", ".DS_Store") or part.startswith("._") for part in path.parts)


def _add_zip(tree: Tree, opened: zipfile.ZipFile, root: str | None) -> None:
    files = _zip_files(opened, tree.origin)
    tars = _tars(opened, files, root)
    if len(tars) > 1:
        tars = [info for info in tars if PurePosixPath(info.filename).name.partition(".")[0] == root]
        if len(tars) != 1:
            raise _without_root(tree.origin, root, (info.filename for info in files))
    if tars:
        with opened.open(tars[0]) as stream:
            _add_tar(tree, stream, root)
    else:
        _add(tree, ((info.filename, opened.open(info)) for info in files), root)


def _tars(opened: zipfile.ZipFile, files: list[zipfile.ZipInfo], root: str | None) -> list[zipfile.ZipInfo]:
    """Return the tars that may hold the pictures; none where the zip does so itself."""
    if root is not None and any(_below(info.filename, root) for info in files):
        return []
    tars = [info for info in files if _holds_tar(opened, info)]
    return [] if root is None and len(tars) < len(files) else tars


def _add_tar(tree: Tree, stream: IO[bytes], root: str | None) -> None:
    decompress = _decompressor(_start(stream))
    content = decompress(stream) if decompress else stream
    allowed = tree.max_bytes + _TAR_HEADERS * tree.max_files + _TAR_END
    bounded = _Bounded(content, allowed, _too_large(tree.origin, tree.max_bytes))
    with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Header) as opened:
        _add(tree, _tar_members(opened, tree.origin), root)
        # To the end, where the checksums stand.
        while rest := opened.fileobj.read(_CHUNK) if opened.fileobj else b"":
            if rest.strip(b"\0"):
                raise tarfile.ReadError("it goes on after its end")


def _add(tree: Tree, members: Members, root: str | None) -> None:
    names = set()
    for name, content in members:
        path = _below(name, root)
        if path:
            tree.add(path, content)
        else:
            names.add("/".join(PurePosixPath(name).parts[:1]))
    if root is not None and not tree.files:
        raise _without_root(tree.origin, root, names)


def _zip_files(opened: zipfile.ZipFile, archive: Path) -> list[zipfile.ZipInfo]:
    files = []
    for info in opened.infolist():
        if is_litter(PurePosixPath(info.filename)):
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        _check_member(archive, info.filename, plain=kind in (0, stat.S_IFREG, stat.S_IFDIR))
        if info.is_dir():
            continue
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise RisError(
                f"{archive} holds {info.filename} encrypted or oddly compressed; pack it with deflate."
            )
        files.append(info)
    return files


def _tar_members(opened: tarfile.TarFile, archive: Path) -> Members:
    for header in opened:
        if is_litter(PurePosixPath(header.name)):
            continue
        is_file = header.isreg() and not header.issparse()
        _check_member(archive, header.name, plain=is_file or header.isdir())
        content = opened.extractfile(header) if is_file else None
        if content:
            yield header.name, content


def _check_member(archive: Path, name: str, plain: bool) -> None:
    path = PurePosixPath(name)
    if not plain:
        raise RisError(
            f"{archive} holds {name!r}, neither a file nor a folder; pack it without links and devices."
        )
    if path.is_absolute() or ".." in path.parts:
        raise RisError(f"{archive} holds {name!r}, a place outside of its own folder; do not trust it.")


def _below(name: str, root: str | None) -> PurePosixPath | None:
    """Return where a member stands below the folder `root`, or None where it does not."""
    parts = PurePosixPath(name).parts
    if root is None:
        return PurePosixPath(*parts) if parts else None
    top = PurePosixPath(root).parts
    for start in range(len(parts) - len(top)):
        if parts[start : start + len(top)] == top:
            return PurePosixPath(*parts[start + len(top) :])
    return None


def _below_single_folder(folder: Path) -> Path:
    entries = list(folder.iterdir())
    if len(entries) == 1 and entries[0].is_dir() and any(entry.is_dir() for entry in entries[0].iterdir()):
        return entries[0]
    return folder


def _holds_tar(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    with opened.open(info) as stream:
        start = _start(stream)
    return _decompressor(start) is not None or start[257:262] == b"ustar"


def _decompressor(start: bytes) -> Callable[[IO[bytes]], Readable] | None:
    return next((opener for magic, opener in _DECOMPRESSORS.items() if start.startswith(magic)), None)


def _start(stream: IO[bytes]) -> bytes:
    start = stream.read(tarfile.BLOCKSIZE)
    stream.seek(0)
    return start


class _Bounded(io.RawIOBase):
    """A stream that raises `error` when it turns out longer than `allowed` bytes."""

    def __init__(self, stream: Readable, allowed: int, error: RisError) -> None:
        self._stream = stream
        self._left = allowed
        self._error = error

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._stream.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise self._error
        return chunk


class _Header(tarfile.TarInfo):
    """A tar header; a broken or missing one is an error, where tarfile would take it for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf == bytes(tarfile.BLOCKSIZE):
                raise
            raise tarfile.ReadError(str(error)) from error


@contextmanager
def _damage_told(archive: Path) -> Iterator[None]:
    try:
        yield
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        told = " ".join(str(error).split()) or type(error).__name__
        raise RisError(
            f"{archive} is damaged, cut off, or neither zip nor tar ({told}); get it again."
        ) from error


def _too_large(origin: Path, max_bytes: int) -> RisError:
    return RisError(
        f"{origin} holds more than {max_bytes} bytes, unpacked; raise data.max_bytes if you trust it."
    )


def _without_root(archive: Path, root: str | None, names: Iterable[str]) -> RisError:
    listed = sorted(names)
    found = ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
    wanted = f"files in a folder {root}" if root else "single archive or folder of classes"
    return RisError(
        f"{archive} holds no {wanted}, but {found or 'nothing'}; set data.root to the right folder."
    )
