"""Edits that keep every pixel in its place: encoded anew, shrunk, blurred, of other colours."""

from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from ris.copies.edits.edit import Edit, Edited, Images, Rng, from_array, resized, scaling, unmoved


def jpeg(image: Image.Image, _rng: Rng, quality: float, _: Images) -> Edited:
    """Encode as JPEG of a quality."""
    stream = BytesIO()
    image.save(stream, "JPEG", quality=round(quality))
    return Image.open(stream).convert("RGB"), unmoved()


def jpeg_half(image: Image.Image, rng: Rng, quality: float, others: Images) -> Edited:
    """Shrink to half the sides and encode as JPEG of a quality."""
    small, matrix = shrink(image, rng, image.width / 2, others)
    return jpeg(small, rng, quality, others)[0], matrix


def shrink(image: Image.Image, _rng: Rng, width: float, _: Images) -> Edited:
    """Shrink to a width in pixels; nothing is enlarged."""
    scale = min(1.0, width / image.width)
    small = resized(image, image.width * scale, image.height * scale)
    return small, scaling(small.width / image.width, small.height / image.height)


def pixelate(image: Image.Image, rng: Rng, width: float, others: Images) -> Edited:
    """Make it of so many squares a line."""
    small, _ = shrink(image, rng, width, others)
    return small.resize(image.size, Image.Resampling.NEAREST), unmoved()


def grey_dark(image: Image.Image, _rng: Rng, brightness: float, _: Images) -> Edited:
    """Make it grey, and its brightness a factor of what it was."""
    return ImageEnhance.Brightness(image.convert("L").convert("RGB")).enhance(brightness), unmoved()


def gamma(image: Image.Image, _rng: Rng, power: float, _: Images) -> Edited:
    """Raise its levels, 0 to 1, to a power."""
    return from_array(255 * (np.asarray(image) / 255) ** power), unmoved()


def blur(image: Image.Image, _rng: Rng, sigma: float, _: Images) -> Edited:
    """Blur by a Gaussian of a sigma in pixels."""
    return image.filter(ImageFilter.GaussianBlur(sigma)), unmoved()


def noise(image: Image.Image, rng: Rng, sigma: float, _: Images) -> Edited:
    """Add noise of a sigma in grey levels."""
    return from_array(np.asarray(image) + rng.normal(0, sigma, (image.height, image.width, 3))), unmoved()


def colour(image: Image.Image, rng: Rng, strength: float, _: Images) -> Edited:
    """Turn the hue by a share of half a circle and change the saturation by it, each up or down."""
    hue, saturation = rng.choice((-1, 1), 2) * strength
    channels = np.asarray(image.convert("HSV")).astype(np.float64)
    channels[..., 0] = np.rint(channels[..., 0] + 128 * hue) % 256
    channels[..., 1] = np.rint(channels[..., 1] * (1 + saturation)).clip(0, 255)
    return Image.fromarray(channels.astype(np.uint8), "HSV").convert("RGB"), unmoved()


def palette(image: Image.Image, _rng: Rng, colours: float, _: Images) -> Edited:
    """Keep so many colours, dithered, as a GIF does."""
    return image.quantize(round(colours)).convert("RGB"), unmoved()


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "jpeg10": Edit(jpeg, 10, "JPEG at quality 10"),
        "jpeg3_half": Edit(jpeg_half, 3, "half the size, JPEG at quality 3"),
        "down64": Edit(shrink, 64, "64 pixels wide"),
        "down32": Edit(shrink, 32, "32 pixels wide"),
        "pixelated32": Edit(pixelate, 32, "32 squares wide"),
        "blur": Edit(blur, 3, "blurred"),
        "blur4": Edit(blur, 4, "blurred by 4 pixels"),
        "noise": Edit(noise, 25, "with noise"),
        "grey_dark": Edit(grey_dark, 0.5, "grey and dark"),
        "gamma4": Edit(gamma, 4, "with gamma 4"),
        "colour": Edit(colour, 0.3, "in other colours"),
        "palette16": Edit(palette, 16, "in 16 colours"),
    }
)
