"""Whether a picture file still names the camera that took it."""

from pathlib import Path

from PIL import Image

from ris.images.decoding import FORMATS

MAKE, MODEL = 0x010F, 0x0110
"""Tags of Exif 2.32, section 4.6.4."""


def names_camera(file: Path) -> bool:
    """Tell whether a picture file has the maker or the model of a camera in its Exif."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            exif = image.getexif()
            return any(str(exif.get(tag) or "").strip("\0 ") for tag in (MAKE, MODEL))
    except Exception:
        return False
