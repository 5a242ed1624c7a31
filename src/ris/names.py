"""Names of files whose bytes are not UTF-8, as texts that every format and program can hold.

Each byte that is not UTF-8 stands as one private character, U+EF80 to U+EFFF for the bytes 0x80 to 0xFF. If a
name has such a character itself, each byte of its UTF-8 stands so, too; so a text names one file alone.
"""

import os

_FIRST, _LAST, _BYTE = "\uef80", "\uefff", 0xEF00
_TO_DISK = {_BYTE + byte: 0xDC00 + byte for byte in range(0x80, 0x100)}


def kept(name: str) -> str:
    """Return how a name or path, as Python gives it (surrogateescape), is kept and shown."""
    if name.isascii():
        return name
    return "".join(
        "".join(chr(_BYTE + byte) for byte in os.fsencode(char))
        if "\udc80" <= char <= "\udcff" or _FIRST <= char <= _LAST
        else char
        for char in name
    )


def on_disk(name: str) -> str:
    """Return the name or path of the file that `kept` made a text of."""
    return name if name.isascii() else name.translate(_TO_DISK)
