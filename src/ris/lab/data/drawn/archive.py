"""Which pictures there are, what is wrong with some, and how they are packed."""

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ris.artifacts import writing
from ris.lab.data.drawn import backdrops, life, scenes, things
from ris.lab.data.drawn.scenes import Subject

ROOT = "demo_categories"
"""The folder inside the archive that holds one folder a class; paths below are relative to it."""

SIZES = {
    "balloon": 36,
    "butterfly": 44,
    "cactus": 40,
    "fish": 48,
    "fish_closeup": 36,
    "flower": 52,
    "house": 44,
    "mug": 40,
    "mushroom": 44,
    "sailboat": 40,
    "teapot": 40,
    "umbrella": 36,
}
"""Good pictures of each class. They are numbered from 1; what is planted to be rejected comes after them."""

BACKGROUND = "BACKGROUND_noise"

PLANTED = {
    **{f"{BACKGROUND}/image_{number:04d}.jpg": "background" for number in range(1, 9)},
    "cactus/image_0041.jpg": "not_an_image",
    "house/image_0045.jpg": "truncated",
    "kite/image_0001.jpg": "small_class",
    "mug/image_0041.jpg": "empty",
    "sailboat/image_0041.jpg": "duplicate",
}
"""Path -> kind of rejection, for every file that must not reach the catalog, and no other.

The text file, the truncated JPEG (60 % of its bytes) and the empty file are all named .jpg; `kite` has one
picture.
"""

DUPLICATED = ("sailboat/image_0007.jpg", "sailboat/image_0041.jpg")
"""The file that stands twice, byte for byte: the one to keep, the one to reject."""

ODD = {
    "balloon/image_0003.jpg": "greyscale",
    "butterfly/image_0005.jpg": "cmyk",
    "flower/image_0004.png": "palette",
    "mushroom/image_0006.jpg": "png_named_jpg",
    "teapot/image_0008": "no_suffix",
    "umbrella/image_0009.jpg": "exif_rotated",
}
"""Path -> what is unusual, for the pictures that are fine once read with care: they belong in the catalog."""

TWINS = tuple(
    (f"fish/image_{number:04d}.jpg", f"fish_closeup/image_{number:04d}.jpg") for number in range(1, 13)
)
"""Near-duplicates across classes: the second is 60 % of the first's area, resized and encoded anew."""

_ORIENTATION = 0x0112
_OLDEST = (1980, 1, 1, 0, 0, 0)
_FISHBOWL = (backdrops.underwater, backdrops.sea, backdrops.studio)

SUBJECTS = {
    "balloon": Subject(things.balloon, (backdrops.sky, backdrops.desert), tilt=0.12),
    "butterfly": Subject(life.butterfly, (backdrops.meadow, backdrops.forest), tilt=0.4),
    "cactus": Subject(life.cactus, (backdrops.desert, backdrops.table), tilt=0.12),
    "fish": Subject(life.fish, _FISHBOWL, scale=(0.65, 0.95), tilt=0.25),
    "fish_closeup": Subject(life.fish, _FISHBOWL, scale=(1.05, 1.45), tilt=0.25),
    "flower": Subject(life.flower, (backdrops.meadow, backdrops.sky)),
    "house": Subject(things.house, (backdrops.meadow, backdrops.sky), tilt=0.08),
    "mug": Subject(things.mug, (backdrops.table, backdrops.wallpaper)),
    "mushroom": Subject(life.mushroom, (backdrops.forest, backdrops.meadow), tilt=0.15),
    "sailboat": Subject(things.sailboat, (backdrops.sea, backdrops.sky), tilt=0.15),
    "teapot": Subject(things.teapot, (backdrops.table, backdrops.wallpaper), tilt=0.15),
    "umbrella": Subject(things.umbrella, (backdrops.sky, backdrops.night), tilt=0.4),
    "kite": Subject(things.kite, (backdrops.sky,)),
}


def draw_archive(path: Path, seed: int) -> None:
    """Draw the picture set and pack it as a zip archive with a tar.gz inside, as Caltech 101 comes.

    Beside `demo/demo_categories.tar.gz` stand annotations and a `__MACOSX` entry, which readers must ignore.
    Same seed, same versions of NumPy, Pillow and zlib, same kind of processor: same bytes.

    Args:
        path: the zip file to write; it appears only when it is complete.
        seed: not negative.
    """
    pack(path, draw_files(seed))


def pack(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Pack (path, content) pairs the way Caltech 101 is packed; equal pairs give equal bytes."""
    pictures = _tar((f"{ROOT}/{name}", content) for name, content in files)
    annotations = _tar([("Annotations/README.txt", b"Outlines of the objects would stand here.\n")])
    entries = {
        "demo/demo_categories.tar.gz": gzip.compress(pictures, compresslevel=1, mtime=0),
        "__MACOSX/demo/._demo_categories.tar.gz": b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ",
        "demo/Annotations.tar": annotations,
    }
    with writing(path) as fresh, zipfile.ZipFile(fresh, "w") as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name, date_time=_OLDEST)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            archive.writestr(entry, content)


def draw_files(seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of every file of the picture set, good and planted, in a fixed order."""
    names = [
        f"{label}/image_{number:04d}.jpg" for label, size in SIZES.items() for number in range(1, size + 1)
    ]
    odd = {name.rsplit(".", 1)[0]: name for name in ODD}
    originals = {twin: original for original, twin in TWINS}
    for name in sorted([*(odd.get(name.removesuffix(".jpg"), name) for name in names), *PLANTED]):
        if name in originals:
            yield name, _closer(_draw(originals[name], seed), _rng(name, seed))
        else:
            kept, copy = DUPLICATED
            yield name, _content(kept if name == copy else name, seed)


def _rng(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _draw(name: str, seed: int) -> Image.Image:
    label = name.split("/")[0]
    others = tuple(subject.painter for other, subject in SUBJECTS.items() if other != label)
    matched = any(name in pair for pair in TWINS)
    return scenes.scene(_rng(name, seed), SUBJECTS.get(label), others, stylish=not matched)


def _content(name: str, seed: int) -> bytes:
    kind = PLANTED.get(name) or ODD.get(name)
    match kind:
        case "empty":
            return b""
        case "not_an_image":
            return b"A note to myself: photograph the other cactus, too.\n"
    picture = _draw(name, seed)
    match kind:
        case "truncated":
            whole = _jpeg(picture)
            return whole[: len(whole) * 6 // 10]
        case "greyscale":
            return _jpeg(picture.convert("L"))
        case "cmyk":
            return _jpeg(picture.convert("CMYK"))
        case "png_named_jpg":
            return _encoded(picture, "PNG")
        case "palette":
            alone = scenes.specimen(_rng(name, seed), SUBJECTS[name.split("/")[0]].painter)
            return _encoded(alone.quantize(64), "PNG")
        case "exif_rotated":
            exif = Image.Exif()
            exif[_ORIENTATION] = 6
            return _jpeg(picture.transpose(Image.Transpose.ROTATE_90), exif=exif)
    return _jpeg(picture, quality=int(_rng(name, seed).integers(70, 93)))


def _closer(picture: Image.Image, rng: np.random.Generator) -> bytes:
    """Crop 60 % of the area off the middle, resize and encode anew."""
    size = np.array(picture.size)
    kept = np.rint(size * np.sqrt(0.6)).astype(int)
    left, top = rng.integers(0, size - kept + 1)
    crop = picture.crop((left, top, left + kept[0], top + kept[1]))
    scale = rng.uniform(0.9, 1.3)
    resized = crop.resize((round(kept[0] * scale), round(kept[1] * scale)), Image.Resampling.BICUBIC)
    return _jpeg(resized, quality=int(rng.integers(60, 86)))


def _jpeg(picture: Image.Image, quality: int = 85, exif: Image.Exif | None = None) -> bytes:
    return _encoded(picture, "JPEG", quality=quality, **({"exif": exif} if exif else {}))


def _encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def _tar(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Pack files, each folder before its first file, without times, owners or anything of this machine."""
    stream, folders = io.BytesIO(), set[str]()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files:
            for folder in reversed(Path(name).parents[:-1]):
                if folder.as_posix() not in folders:
                    folders.add(folder.as_posix())
                    entry = tarfile.TarInfo(folder.as_posix())
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
