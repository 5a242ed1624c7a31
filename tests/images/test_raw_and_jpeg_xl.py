"""Raw camera files and JPEG XL: upright, within the limits, and told of where their readers are missing."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from ris import extras
from ris.engine import SearchEngine
from ris.images import decoders, raw
from ris.images.decoding import UnreadableImage, read_image, read_sized

Draw = Callable[..., Image.Image]
MAX_PIXELS = 50_000_000
XYZ_TO_SRGB = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)
"""IEC 61966-2-1."""


def dng(image: Image.Image, orientation: int = 1) -> bytes:
    """What a camera would write that saw a picture: 16 bits a sensor, red, green, green and blue in turn."""
    linear = (np.asarray(image, np.float64) / 255) ** 2.2
    high, wide = linear.shape[:2]
    seen = np.empty((high, wide))
    for down, across, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        seen[down::2, across::2] = linear[down::2, across::2, channel]
    sensors = np.rint(seen * 65535).astype("<u2").tobytes()
    matrix = b"".join(struct.pack("<ii", round(one * 10_000), 10_000) for one in XYZ_TO_SRGB)
    tags: dict[int, tuple[int, int, bytes]] = {
        254: (4, 1, struct.pack("<I", 0)),
        256: (4, 1, struct.pack("<I", wide)),
        257: (4, 1, struct.pack("<I", high)),
        258: (3, 1, struct.pack("<H", 16)),
        259: (3, 1, struct.pack("<H", 1)),
        262: (3, 1, struct.pack("<H", 32803)),
        271: (2, 6, b"Maker\0"),
        272: (2, 6, b"Model\0"),
        273: (4, 1, b"STRP"),
        274: (3, 1, struct.pack("<H", orientation)),
        277: (3, 1, struct.pack("<H", 1)),
        278: (4, 1, struct.pack("<I", high)),
        279: (4, 1, struct.pack("<I", len(sensors))),
        33421: (3, 2, struct.pack("<HH", 2, 2)),
        33422: (1, 4, bytes([0, 1, 1, 2])),
        50706: (1, 4, bytes([1, 4, 0, 0])),
        50708: (2, 12, b"Maker Model\0"),
        50717: (4, 1, struct.pack("<I", 65535)),
        50721: (10, 9, matrix),
        50728: (5, 3, struct.pack("<II", 1, 1) * 3),
        50778: (3, 1, struct.pack("<H", 21)),
    }
    start = 8 + 2 + 12 * len(tags) + 4
    later = b""
    entries = b""
    for tag, (kind, count, value) in sorted(tags.items()):
        if len(value) > 4:
            place = struct.pack("<I", start + len(later))
            later += value + b"\0" * (len(value) % 2)
        else:
            place = value.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, count) + place
    entries = entries.replace(b"STRP", struct.pack("<I", start + len(later)))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0" + later + sensors


def levels(image: Image.Image, size: tuple[int, int] = (24, 18)) -> npt.NDArray[np.float64]:
    return np.asarray(image.resize(size, Image.Resampling.BOX), np.float64)


@pytest.fixture
def scene(texture: Draw) -> Image.Image:
    return texture(3, 240, 180)


def alike(one: Image.Image, other: Image.Image) -> float:
    return float(np.corrcoef(levels(one).ravel(), levels(other).ravel())[0, 1])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_raw_file_is_what_its_camera_saw_upright(scene: Image.Image, orientation: int) -> None:
    turn = {
        1: None,
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    turned = turn[orientation]
    stored = scene if turned is None else scene.transpose(turned)
    image, size = read_sized(dng(stored, orientation), MAX_PIXELS)
    assert (image.mode, image.format, size) == ("RGB", raw.FORMAT, scene.size)
    assert image.size == scene.size
    assert alike(image, scene) > 0.97
    small, same = read_sized(dng(stored, orientation), MAX_PIXELS, draft=40)
    assert same == scene.size
    assert small.size == (scene.width // 4, scene.height // 4)
    assert alike(small, scene) > 0.97


def test_a_raw_file_is_known_again_by_a_picture_of_it(scene: Image.Image, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "shot.dng").write_bytes(dng(scene))
    with SearchEngine.build(folder, tmp_path / "store.ris") as engine:
        (hit,) = engine.find(scene).hits
        assert (hit.path, hit.same_picture) == ("shot.dng", True)
        assert (hit.picture.width, hit.picture.height) == scene.size


@pytest.mark.parametrize("cut", [20, 200, 5000])
def test_a_damaged_raw_file_is_told_of(scene: Image.Image, cut: int) -> None:
    data = dng(scene)
    with pytest.raises(UnreadableImage, match=r"does not decode|known format"):
        read_image(data[: len(data) - cut] if cut > 1000 else data[:cut], MAX_PIXELS)


def test_the_pixels_of_a_raw_file_are_limited(scene: Image.Image) -> None:
    with pytest.raises(UnreadableImage, match="240 x 180 pixels, more than the 1000 allowed"):
        read_image(dng(scene), 1000)


def test_a_tiff_is_no_raw_file(scene: Image.Image) -> None:
    data = BytesIO()
    scene.save(data, "TIFF", tiffinfo={271: "Maker", 254: 0})
    assert not raw.is_raw(data.getvalue())
    assert read_image(data.getvalue(), MAX_PIXELS).tobytes() == scene.tobytes()


@pytest.mark.parametrize(
    "begins", [b"FUJIFILMCCD-RAW ", b"IIRO", b"\0\0\0\x18ftypcrx ", b"II*\0\x10\0\0\0CR"]
)
def test_other_raw_files_are_known_by_their_first_bytes(begins: bytes) -> None:
    with pytest.raises(UnreadableImage, match="LibRaw says"):
        read_image(begins + bytes(200), MAX_PIXELS)


def test_without_the_extra_a_raw_file_names_it(scene: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras._LIBRARIES, "formats", ("no_such_library",))
    with pytest.raises(UnreadableImage, match=r"pip install 'ris\[formats\]'"):
        read_image(dng(scene), MAX_PIXELS)


def jpeg_xl(image: Image.Image, **options: object) -> bytes:
    data = BytesIO()
    image.save(data, "JXL", **options)
    return data.getvalue()


@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl_is_read_in_a_process_of_its_own(scene: Image.Image, container: bool) -> None:
    data = jpeg_xl(scene, lossless=True, use_container=container)
    image, size = decoders.read_sized(data, MAX_PIXELS)
    assert (image.tobytes(), size, image.format) == (scene.tobytes(), scene.size, "JXL")


def test_exif_does_not_turn_jpeg_xl_again(scene: Image.Image) -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = jpeg_xl(scene, lossless=True, exif=exif.tobytes(), use_container=True)
    assert read_image(data, MAX_PIXELS).tobytes() == scene.tobytes()


def test_a_jpeg_inside_jpeg_xl_is_turned_as_itself(scene: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    file = tmp_path / "turned.jpg"
    scene.save(file, quality=95, exif=exif)
    with Image.open(file) as opened:
        data = jpeg_xl(opened, lossless_jpeg=True)
    assert read_image(data, MAX_PIXELS).tobytes() == read_image(file, MAX_PIXELS).tobytes()


def test_transparent_jpeg_xl_stands_on_white(scene: Image.Image) -> None:
    clear = scene.convert("RGBA")
    clear.putalpha(0)
    assert read_image(jpeg_xl(clear, lossless=True), MAX_PIXELS).getextrema() == ((255, 255),) * 3


def test_the_pixels_of_jpeg_xl_are_limited(scene: Image.Image) -> None:
    with pytest.raises(UnreadableImage, match="240 x 180 pixels"):
        read_image(jpeg_xl(scene), 1000)
