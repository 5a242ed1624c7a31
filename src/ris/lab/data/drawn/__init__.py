"""The built-in picture set: drawn from a seed, packed like Caltech 101, dirty like the real world."""

from ris.lab.data.drawn.archive import (
    BACKGROUND,
    DUPLICATED,
    ODD,
    PLANTED,
    ROOT,
    SIZES,
    TWINS,
    draw_archive,
    draw_files,
    pack,
)

__all__ = [
    "BACKGROUND",
    "DUPLICATED",
    "ODD",
    "PLANTED",
    "ROOT",
    "SIZES",
    "TWINS",
    "draw_archive",
    "draw_files",
    "pack",
]
