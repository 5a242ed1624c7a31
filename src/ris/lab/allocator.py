"""How the C library hands out memory, which is what a small network on a CPU waits for most."""

import ctypes
import platform

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def reuse_memory() -> None:
    """Have the process keep the memory that it frees, instead of giving it back and fetching it page by page.

    glibc maps each large tensor anew, and the kernel clears its pages anew. Elsewhere than on glibc nothing
    happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 2**29)
