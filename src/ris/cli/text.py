"""Names and numbers as people read them."""

from collections.abc import Mapping

_JOINERS = "\u200c\u200d"
"""Not printable by themselves, but part of what names in several scripts, and of emoji, are."""


def plain(text: str) -> str:
    """Return a text in one line that moves no cursor, changes no colour and turns no direction."""
    return "".join(
        char if char.isprintable() or char in _JOINERS else char.encode("unicode_escape").decode()
        for char in text
    )


def count(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun: "1 picture", "1,234 pictures"."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def size(number: int) -> str:
    """Return bytes in the unit in which they are easily read."""
    amount, unit = float(number), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{number:,} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"


def listed(parts: Mapping[str, int]) -> str:
    """Return counts in words, without those that are 0: "3 added, 1 removed"."""
    return ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
