"""Where the pictures come from: a URL, an archive, a folder or the project's own drawings."""

import hashlib
import os
import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ris.artifacts import checksum, writing
from ris.download import download, verify
from ris.errors import RisError
from ris.lab import config
from ris.lab.data.archive import Tree, is_litter, unpack
from ris.lab.data.drawn import draw_archive

DRAWN = "drawn:"


def fetch_images(data: config.Data, seed: int, target: Path, cache: Path) -> dict[str, Any]:
    """Bring the pictures named by `data.source` to `target/<class>/<file>`, all of them or nothing.

    Args:
        data: the source; its checksum is of an archive and says nothing about a folder.
        seed: of the pictures that the project draws itself.
        target: the folder to make; replaced if it exists.
        cache: folder where a downloaded archive stays, to be used again while its checksum fits.

    Returns:
        What was fetched, see `describe`.

    Raises:
        RisError: the source is missing, unreadable, not what its checksum says, or not fit to be unpacked.
    """
    if data.source.startswith(("http://", "https://")):
        _unpack(_downloaded(data, cache), target, data)
    elif data.source == DRAWN:
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "drawn.zip"
            draw_archive(archive, seed)
            _unpack(archive, target, data)
    else:
        source = Path(data.source).expanduser()
        if source.is_dir():
            root = source / (data.root or "")
            copy_folder(root if root.is_dir() else source, target, data.max_files, data.max_bytes)
        elif source.is_file():
            verify(source, data.checksum)
            _unpack(source, target, data)
        else:
            raise RisError(
                f"data.source names {data.source}, which is no URL, archive file or folder; "
                "correct it, or set RIS_DATA_SOURCE to where the pictures are."
            )
    return describe(data.name, target)


def copy_folder(source: Path, target: Path, max_files: int, max_bytes: int) -> None:
    """Copy the regular files of a folder that holds one folder a class, all of them or nothing.

    A link is followed where it leads to a file of the same folder. The traces of macOS are left out.

    Raises:
        RisError: the folder is empty, larger than allowed or unreadable, holds a file outside of any class,
            a device, or a link that leaves it or leads to a folder.
    """
    source = source.resolve()
    if target.resolve().is_relative_to(source):
        raise RisError(f"data.source {source} holds this project's own data; name the folder of the classes.")
    with writing(target) as fresh:
        tree = Tree(fresh, source, max_files, max_bytes)
        tree.folder.mkdir()
        try:
            for path in _files(source):
                with (source / path).open("rb") as content:
                    tree.add(path, content)
        except PermissionError as error:
            raise RisError(f"{error.filename} cannot be read; change its permissions.") from error
        tree.check_classes()


def describe(name: str, images: Path) -> dict[str, Any]:
    """Describe an image tree by nothing but its content.

    Returns:
        `name`, number of `files`, `bytes`, and `tree_sha256`: the SHA-256 of the sorted lines
        `<SHA-256 of the file>  <path relative to images>`, each ended by a newline.
    """
    paths = [path for path in images.rglob("*") if path.is_file()]
    lines = sorted(
        f"{checksum(path).partition(':')[2]}  {path.relative_to(images).as_posix()}\n" for path in paths
    )
    return {
        "name": name,
        "files": len(paths),
        "bytes": sum(path.stat().st_size for path in paths),
        "tree_sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
    }


def _downloaded(data: config.Data, cache: Path) -> Path:
    if data.checksum is None:
        raise RisError(
            f"data.checksum is missing for {data.source}; "
            "set it to `sha256:` and what `sha256sum` says of the right file."
        )
    name = re.sub(r"[^\w.-]", "_", PurePosixPath(urlsplit(data.source).path).name).strip(".")
    archive = cache / (name or "archive")
    download(data.source, archive, data.checksum)
    return archive


def _unpack(archive: Path, target: Path, data: config.Data) -> None:
    unpack(archive, target, data.root, data.max_files, data.max_bytes)


def _files(source: Path) -> list[PurePosixPath]:
    def refuse(error: OSError) -> None:
        raise error

    found = []
    for folder, folders, names in os.walk(source, onerror=refuse):
        for path in (Path(folder, name) for name in folders + names):
            relative = PurePosixPath(path.relative_to(source).as_posix())
            if is_litter(relative):
                continue
            if path.is_symlink() and not (path.is_file() and path.resolve().is_relative_to(source)):
                raise RisError(
                    f"{path} is a link that leaves {source} or leads to no file; put the file itself there."
                )
            if path.is_file():
                found.append(relative)
            elif not path.is_dir():
                raise RisError(f"{path} is neither a file nor a folder; remove it.")
    return sorted(found)
