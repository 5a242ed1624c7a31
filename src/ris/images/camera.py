"""Whether a picture file still names the camera that took it."""

from ris.images.decoding import header

MAKE, MODEL = 0x010F, 0x0110
"""Tags of Exif 2.32, section 4.6.4."""


def names_camera(data: bytes, max_pixels: int) -> bool:
    """Tell whether a picture file has the maker or the model of a camera in its Exif.

    This reads in this process; `ris.images.decoders` does it in others.
    """
    try:
        exif = header(data, max_pixels).getexif()
        return any(str(exif.get(tag) or "").strip("\0 ") for tag in (MAKE, MODEL))
    except MemoryError:
        raise
    except Exception:
        return False
