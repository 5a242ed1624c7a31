"""Edits of a picture, in five groups, by which "where is this very picture?" is judged.

A new edit is one function and one line in the file of its group.
"""

from collections.abc import Mapping
from types import MappingProxyType
from zlib import crc32

import numpy as np
from PIL import Image

from ris.copies.edits import bent, covered, cut, recoded, redrawn
from ris.copies.edits.edit import Edit, Edited, Images, Matrix, unmoved
from ris.errors import RisError

__all__ = [
    "EDITS",
    "FIFTEEN",
    "GROUPS",
    "STRENGTHS",
    "UNEDITED",
    "Edit",
    "Edited",
    "Matrix",
    "apply",
    "generator",
    "group_of",
    "unmoved",
]

GROUPS: Mapping[str, Mapping[str, Edit]] = MappingProxyType(
    {
        "recoded": recoded.EDITS,
        "cut": cut.EDITS,
        "covered": covered.EDITS,
        "bent": bent.EDITS,
        "redrawn": redrawn.EDITS,
    }
)
"""The edits by what they do."""
EDITS: Mapping[str, Edit] = MappingProxyType(
    {name: edit for group in GROUPS.values() for name, edit in group.items()}
)
"""All of them."""
FIFTEEN = (
    *("jpeg10", "down64", "crop50", "crop25", "crop12", "rot15", "rot90", "mirror", "grey_dark", "blur"),
    *("noise", "caption", "frame", "collage", "colour"),
)
"""Those over which the pipeline's gallery is judged, in their order."""
UNEDITED = "unedited"
"""What stands for an edit where a picture is asked for as it is."""
STRENGTHS: Mapping[str, float] = MappingProxyType({name: edit.strength for name, edit in EDITS.items()})
"""The reported strength of each."""


def apply(
    name: str,
    image: Image.Image,
    rng: np.random.Generator,
    strength: float | None = None,
    others: Images = (),
) -> Edited:
    """Edit a picture.

    Args:
        name: one of `EDITS`.
        image: RGB.
        rng: whence the place of a crop, the side of a turn and so on are drawn.
        strength: what it is of each edit, its function says; None takes the reported one.
        others: RGB pictures that some edits lay it on or beside, `Edit.others` says how many.

    Returns:
        The edited picture, RGB, and the matrix from the original's pixels to its own, see `Matrix`.

    Raises:
        RisError: there is no such edit, or there are too few other pictures for it.
    """
    if name not in EDITS:
        raise RisError(f"There is no edit {name!r}; there are {', '.join(EDITS)}.")
    edit = EDITS[name]
    if len(others) < edit.others:
        raise RisError(f"The edit {name} needs {edit.others} other pictures, but there are {len(others)}.")
    return edit.apply(image, rng, edit.strength if strength is None else strength, others)


def generator(name: str, row: int, seed: int) -> np.random.Generator:
    """Return the generator of one edit of one picture: what it draws depends on no other picture or edit."""
    number = FIFTEEN.index(name) if name in FIFTEEN else crc32(name.encode())
    return np.random.default_rng([seed, row, number])


def group_of(name: str) -> str:
    """Return the group of an edit."""
    return next(group for group, edits in GROUPS.items() if name in edits)
