"""Families of pictures that share a layout, a mark, a frame or a place, and differ in what they show.

They are where a proof by geometry goes wrong: twenty invoices of one company are twenty pictures. Each family
is one function, `FAMILIES` is their registry.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count as counted
from types import MappingProxyType
from typing import TypeAlias
from zlib import crc32

import numpy as np
from PIL import Image

from ris.errors import RisError
from ris.lab.families import charts, documents, games, marks, scenes, screens
from ris.lab.families.sheet import Photographs, Rng

Family: TypeAlias = Callable[[Rng, Photographs], Image.Image]
"""Draws a member, RGB; see `Photographs`."""

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        name: family
        for file in (charts, documents, screens, games, marks, scenes)
        for name, family in file.FAMILIES.items()
    }
)
PHOTOGRAPHIC = frozenset(
    (
        *("identity_cards", "newspaper_pages", "web_shops", "news_bars", "meme_panels"),
        *("captions_on_one_photograph", "bursts", "frames", "stock_watermarks", "polaroids", "thumbnails"),
    )
)
"""Those whose members show photographs."""
ATTEMPTS = 100


def draw(name: str, count: int, photographs: Sequence[Image.Image] = (), seed: int = 0) -> list[Image.Image]:
    """Draw members of a family, no two of which are the same.

    Args:
        name: one of `FAMILIES`.
        count: members wanted; the first ones are the same however many are wanted.
        photographs: RGB; one of `PHOTOGRAPHIC` needs one more than members, the first for all of them.
        seed: of all that is drawn.

    Raises:
        RisError: there is no such family, there are too few photographs, or it has not so many members.
    """
    if name not in FAMILIES:
        raise RisError(f"There is no family {name!r}; there are {', '.join(FAMILIES)}.")
    if name in PHOTOGRAPHIC and len(photographs) <= count:
        raise RisError(f"{count} of {name} need {count + 1} photographs, but there are {len(photographs)}.")
    members: dict[bytes, Image.Image] = {}
    for number in range(count):
        own = [photographs[0], photographs[1 + number]] if name in PHOTOGRAPHIC else []
        for attempt in counted():
            member = FAMILIES[name](np.random.default_rng([seed, crc32(name.encode()), number, attempt]), own)
            if member.tobytes() not in members:
                break
            if attempt == ATTEMPTS:
                raise RisError(f"The family {name} has not {count} different members; ask for fewer.")
        members[member.tobytes()] = member
    return list(members.values())


def draw_all(
    names: Sequence[str], count: int, photographs: Sequence[Image.Image], seed: int = 0
) -> Iterator[tuple[str, list[Image.Image]]]:
    """Draw as many members of each family, no photograph in two of them; yield names and members.

    Raises:
        RisError: as `draw`.
    """
    left = list(photographs)
    for name in names:
        taken = [left.pop(0) for _ in range(min(count + 1, len(left)))] if name in PHOTOGRAPHIC else []
        yield name, draw(name, count, taken, seed)
