"""From a picture's own colours to sRGB, by the ICC profile that is embedded in it."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE = 10_000_000
"""Bytes; a larger profile is ignored."""
NEAR = 4
"""Levels of 255: a profile that moves no colour farther than this is not applied, such as those of sRGB."""

_MODES = {"RGB ": ("RGB",), "GRAY": ("L",), "CMYK": ("CMYK",)}
"""By the colour space of a profile, the modes of the pictures that it describes."""
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Convert a picture of mode L, RGB or CMYK to RGB, by its profile where that is of any use.

    Relative colorimetric with black point compensation. A profile of sRGB itself changes no pixel. One that
    is broken, or describes other channels than the picture has, counts as none; only a grey picture may have
    a profile of colours, in which it then lies.

    Args:
        image: to convert.
        profile: the bytes of an ICC profile; anything else counts as none.
    """
    if isinstance(profile, bytes) and 0 < len(profile) <= MAX_PROFILE:
        for mode in (image.mode, "RGB") if image.mode == "L" else (image.mode,):
            transform = _transform(profile, mode)
            if transform is not None:
                return transform.apply(image.convert(mode))
    return image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what brings a mode to sRGB; None where the profile is of no use."""
    try:
        own = ImageCms.ImageCmsProfile(BytesIO(profile))
        if mode not in _MODES.get(own.profile.xcolor_space, ()):
            return None
        transform = ImageCms.buildTransform(
            own,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            _FLAGS,
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    steps = np.linspace(0, 255, 17).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17, 17 * 17, 3)
    colours = Image.fromarray(cube).convert(mode)
    before, after = (np.asarray(one, np.int16) for one in (colours.convert("RGB"), transform.apply(colours)))
    return transform if np.abs(after - before).max() > NEAR else None
