"""All that a store holds of its pictures, for other programs: a table, an array, and TensorBoard's projector.

The projector reads a tensor, a line a point; metadata, whose first line names the columns; a sprite of
thumbnails, line by line; and a configuration that names the three, relative to itself. Its shader takes the
sprite for as many lines as columns, so it is square (tensorboard/plugins/projector: projector_config.proto,
data-provider.ts, scatterPlotVisualizerSprites.ts).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import isqrt
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from ris.artifacts import write_array, write_table, writing
from ris.errors import RisError
from ris.indexes.vectors import Vectors
from ris.threads import worker_threads
from ris.types import Picture, Progress

Read: TypeAlias = Callable[[int], Image.Image]
"""Reads the picture at a position, which may be shrunk to twice `THUMBNAIL`; from several threads at once."""

SPRITE = 8192
"""Pixels of a side of the sprite, at most: the projector allows no more."""
THUMBNAIL = 64
"""Pixels of a side of a thumbnail; fewer where as many would not fit on the sprite."""
PAPER = (255, 255, 255)
"""Where there is no thumbnail."""
COLUMNS = ["path", "label", "width", "height", "bytes", "modified"]
"""Of the projector's metadata."""

_CONFIG = """\
embeddings {{
  tensor_name: "pictures"
  tensor_shape: {count}
  tensor_shape: {dimension}
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""
_LINE = dict.fromkeys((*range(32), *range(127, 160), 8232, 8233), " ")
"""Control characters, which would end a value or a line or move a terminal's cursor, are spaces."""


def export(
    folder: Path,
    pictures: Sequence[Picture],
    vectors: Vectors,
    read: Read,
    *,
    workers: int,
    progress: Progress | None = None,
) -> None:
    """Write `pictures.parquet`, `vectors.npy`, and `tensorboard/` with all that its projector reads.

    Line i of each is of picture i. The folder appears when it is complete.

    Args:
        folder: to be made; it may be there, empty.
        pictures: at least one.
        vectors: (n, D) of the pictures.
        read: see `Read`; what cannot be read has a blank thumbnail.
        workers: threads that read.
        progress: see `Progress`.

    Raises:
        RisError: there is no picture, or the folder is not empty or cannot be written.
    """
    folder = folder.absolute()
    if not pictures:
        raise RisError("There is no picture to export; add some first.")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RisError(f"{folder} is there already; name a new folder.")
        with writing(folder) as fresh:
            board = fresh / "tensorboard"
            board.mkdir(parents=True)
            table = pd.DataFrame([asdict(picture) for picture in pictures])
            write_table(fresh / "pictures.parquet", table)
            write_array(fresh / "vectors.npy", vectors)
            np.savetxt(board / "vectors.tsv", vectors, "%.6g", "\t")
            (board / "metadata.tsv").write_text(metadata(table), encoding="utf-8", newline="\n")
            side = sprite(board / "sprite.png", len(pictures), read, workers, progress)
            config = _CONFIG.format(count=len(pictures), dimension=vectors.shape[1], side=side)
            (board / "projector_config.pbtxt").write_text(config)
    except OSError as error:
        raise RisError(f"{folder} cannot be written ({error.strerror}); name another folder.") from error


def metadata(table: pd.DataFrame) -> str:
    """Return the projector's metadata of a table of pictures: a line of names, and one for each picture."""
    lines = [COLUMNS, *([str(value) for value in row] for row in table[COLUMNS].itertuples(index=False))]
    return "".join("\t".join(value.translate(_LINE) for value in line) + "\n" for line in lines)


def sprite(file: Path, count: int, read: Read, workers: int, progress: Progress | None = None) -> int:
    """Write thumbnails in as many lines as columns, and return the side of one in pixels.

    Args:
        file: to be written.
        count: of the pictures, at least 1.
        read: see `Read`.
        workers: threads that read.
        progress: see `Progress`.
    """
    columns = isqrt(count - 1) + 1
    side = min(THUMBNAIL, SPRITE // columns)

    def thumbnail(position: int) -> Image.Image | None:
        try:
            return ImageOps.fit(read(position).convert("RGB"), (side, side), Image.Resampling.LANCZOS)
        except RisError:
            return None

    sheet = Image.new("RGB", (columns * side, columns * side), PAPER)
    with worker_threads(workers) as pool:
        for position, picture in enumerate(pool.map(thumbnail, range(count))):
            if picture is not None:
                line, column = divmod(position, columns)
                sheet.paste(picture, (column * side, line * side))
            if progress:
                progress("drawing thumbnails", position + 1, count)
    sheet.save(file)
    return side
