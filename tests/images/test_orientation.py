"""All formats by all eight orientations: pixels and size are those of the upright picture."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ris.images.decoding import read_sized
from ris.images.queries import read_query

LIMIT = 1_000_000
SIZE = (160, 96)
UPRIGHT: npt.NDArray[np.uint8] = np.kron(
    np.random.default_rng(0).integers(0, 256, (3, 5), dtype=np.uint8), np.ones((32, 32), np.uint8)
)
AS_STORED: dict[int, npt.NDArray[np.uint8]] = {
    # What a camera stores, so that the tag's turn (EXIF 2.3, tag 274) brings it upright again.
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}
ATTRIBUTE = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{}"/></rdf:RDF>'
    "</x:xmpmeta>"
)
ELEMENT = ATTRIBUTE.replace(
    ' tiff:Orientation="{}"/>', "><tiff:Orientation>{}</tiff:Orientation></rdf:Description>"
)


def stored(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def by_exif(form: str, **options: Any) -> Callable[[Image.Image, int], bytes]:
    def store(image: Image.Image, orientation: int) -> bytes:
        exif = Image.Exif()
        exif[274] = orientation
        return stored(image, form, exif=exif.tobytes(), **options)

    return store


def by_xmp(form: str, text: str, **options: Any) -> Callable[[Image.Image, int], bytes]:
    def store(image: Image.Image, orientation: int) -> bytes:
        xmp = text.format(orientation)
        if form == "PNG":
            chunks = PngInfo()
            chunks.add_itxt("XML:com.adobe.xmp", xmp)
            return stored(image, form, pnginfo=chunks)
        if form == "TIFF":
            tags = ImageFileDirectory_v2()
            tags[700] = xmp.encode()
            return stored(image, form, tiffinfo=tags, **options)
        return stored(image, form, xmp=xmp.encode(), **options)

    return store


def by_exif_behind_the_pixels(image: Image.Image, orientation: int) -> bytes:
    data = by_exif("PNG")(image, orientation)
    start = data.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(data[start : start + 4])
    end = len(data) - 12
    return data[:start] + data[stop:end] + data[start:stop] + data[end:]


def by_exif_against_xmp(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    other = 1 + orientation % 8
    return stored(image, "JPEG", quality=95, exif=exif.tobytes(), xmp=ATTRIBUTE.format(other).encode())


def with_more_pages(image: Image.Image, orientation: int) -> bytes:
    more = [Image.new("L", (30, 20))]
    return by_exif("TIFF", save_all=True, append_images=more)(image, orientation)


STORES: dict[str, Callable[[Image.Image, int], bytes]] = {
    "jpeg": by_exif("JPEG", quality=95),
    "jpeg_xmp": by_xmp("JPEG", ATTRIBUTE, quality=95),
    "jpeg_exif_before_xmp": by_exif_against_xmp,
    "png": by_exif("PNG"),
    "png_late": by_exif_behind_the_pixels,
    "png_xmp": by_xmp("PNG", ELEMENT),
    "webp": by_exif("WEBP", lossless=True),
    "webp_xmp": by_xmp("WEBP", ELEMENT, lossless=True),
    "tiff": by_exif("TIFF"),
    "tiff_lzw": by_exif("TIFF", compression="tiff_lzw"),
    "tiff_jpeg": by_exif("TIFF", compression="jpeg"),
    "tiff_pages": with_more_pages,
    "tiff_xmp": by_xmp("TIFF", ATTRIBUTE),
    "tiff_lzw_xmp": by_xmp("TIFF", ELEMENT, compression="tiff_lzw"),
    "avif": by_exif("AVIF", quality=95),
    "heif": by_exif("HEIF", quality=95),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("store", STORES)
def test_pixels_and_size_are_upright(store: str, orientation: int) -> None:
    lying = Image.fromarray(np.ascontiguousarray(AS_STORED[orientation]))
    data = STORES[store](lying if store != "webp" else lying.convert("RGB"), orientation)
    for draft in (None, 40):
        image, size = read_sized(data, LIMIT, draft)
        assert size == SIZE
        assert image.size == (SIZE if draft is None else (80, 48))
        shown = np.asarray(image.resize(SIZE, Image.Resampling.NEAREST), np.int16)
        assert np.abs(shown - UPRIGHT[..., None]).mean() < 6
    again = read_query(image, LIMIT, None, False).image
    np.testing.assert_array_equal(np.asarray(again), np.asarray(image))


def test_the_containers_of_heif_and_avif_turn_the_picture() -> None:
    lying = Image.fromarray(np.ascontiguousarray(AS_STORED[5]))
    for store in ("heif", "avif"):
        data = STORES[store](lying, 5)
        assert b"irot" in data
        assert b"imir" in data


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", [np.uint16, np.uint8])
def test_grey_of_more_bits_and_colours_of_more_bits(orientation: int, kind: type) -> None:
    scale = 257 if kind is np.uint16 else 1
    lying = Image.fromarray(np.ascontiguousarray(AS_STORED[orientation]).astype(kind) * kind(scale))
    for store in ("tiff", "tiff_lzw", "png"):
        image, size = read_sized(STORES[store](lying, orientation), LIMIT)
        assert size == SIZE
        np.testing.assert_array_equal(np.asarray(image)[..., 0], UPRIGHT)
