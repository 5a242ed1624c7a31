"""The catalog of a small, dirty folder: what is kept, what is dropped and why."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from PIL import Image, ImageFilter

from ris.errors import RisError
from ris.lab.compose import composed
from ris.lab.config import Params, check
from ris.lab.data.catalog import build_catalog
from ris.lab.data.split import check_split

CONF = Path(__file__).parents[3] / "conf"
CLASSES = ("ant", "bee", "cat")


def params(**clean: Any) -> Params:
    raw: Any = OmegaConf.to_container(composed(CONF, []))
    raw["clean"] |= {"max_pixels": 100_000, "min_class_size": 6} | clean
    raw["clean"]["near_duplicates"] |= {"words": 128}
    return check(raw)


def texture(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((160, 120))
    for _ in range(40):
        x, y, w, h = (int(value) for value in rng.integers((0, 0, 5, 5), (150, 110, 25, 25)))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        image.paste(colour, (x, y, x + w, y + h))
    return image.filter(ImageFilter.GaussianBlur(1))


def save(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, options.pop("format", "JPEG"), **options)


@pytest.fixture
def clean_tree(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for number, label in enumerate(CLASSES):
        for index in range(8):
            save(texture(100 * number + index), root / label / f"image_{index:04d}.jpg", quality=90)
    return root


@pytest.fixture
def dirty_tree(clean_tree: Path) -> Path:
    root = clean_tree
    save(texture(900), root / "BACKGROUND_Google" / "image_0001.jpg")
    save(texture(901), root / "stray.jpg")
    save(texture(902), root / "dog" / "only.jpg")
    (root / "ant" / "empty.jpg").touch()
    (root / "ant" / "text.jpg").write_text("a text")
    whole = (root / "ant" / "image_0000.jpg").read_bytes()
    (root / "ant" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "bee" / "again.jpg").write_bytes(whole)
    save(Image.new("L", (400, 400)), root / "bee" / "large.png", format="PNG")
    save(texture(903).convert("CMYK"), root / "bee" / "cmyk.jpg")
    save(texture(904), root / "bee" / "no_suffix", format="PNG")
    exif = Image.Exif()
    exif[274] = 6
    save(texture(905), root / "cat" / "nested" / "turned.jpg", exif=exif)
    # Two near-duplicates across classes: smaller, and cropped.
    save(texture(0).resize((120, 90)), root / "cat" / "twin_small.jpg", quality=70)
    save(texture(1).crop((10, 10, 130, 110)), root / "bee" / "twin_cropped.jpg", quality=80)
    return root


def test_every_file_is_in_one_table_with_its_reason(dirty_tree: Path) -> None:
    catalog, rejected = build_catalog(dirty_tree, params())
    assert dict(zip(rejected.path, rejected.kind, strict=True)) == {
        "BACKGROUND_Google/image_0001.jpg": "background",
        "stray.jpg": "background",
        "dog/only.jpg": "small_class",
        "ant/empty.jpg": "empty",
        "ant/text.jpg": "not_an_image",
        "ant/cut.jpg": "truncated",
        "bee/again.jpg": "duplicate",
        "bee/large.png": "too_large",
    }
    assert rejected.reason.str.len().min() > 10
    files = {file.relative_to(dirty_tree).as_posix() for file in dirty_tree.rglob("*") if file.is_file()}
    assert set(catalog.path) | set(rejected.path) == files
    assert not set(catalog.path) & set(rejected.path)
    for table in (catalog, rejected):
        assert table.path.tolist() == sorted(table.path)


def test_columns(dirty_tree: Path) -> None:
    catalog, rejected = build_catalog(dirty_tree, params())
    expected = ["path", "label", "width", "height", "mode", "sha256", "group", "split"]
    assert catalog.columns.tolist() == expected
    assert rejected.columns.tolist() == ["path", "reason", "kind"]
    assert {column: catalog[column].dtype for column in ("width", "height", "group")} == {
        "width": np.int32,
        "height": np.int32,
        "group": np.int32,
    }
    shown = catalog[["path", "label", "width", "height", "mode"]].itertuples(index=False, name=None)
    rows = {path: row for path, *row in shown}
    assert rows["bee/cmyk.jpg"] == ["bee", 160, 120, "CMYK"]
    assert rows["cat/nested/turned.jpg"] == ["cat", 120, 160, "RGB"]
    assert rows["bee/no_suffix"] == ["bee", 160, 120, "RGB"]
    for path, digest in zip(catalog.path, catalog.sha256, strict=True):
        assert digest == hashlib.sha256((dirty_tree / path).read_bytes()).hexdigest()


def test_near_duplicates_across_classes_share_group_and_side(dirty_tree: Path) -> None:
    catalog, _ = build_catalog(dirty_tree, params())
    group = dict(zip(catalog.path, catalog.group, strict=True))
    split = dict(zip(catalog.path, catalog.split, strict=True))
    twins = [("ant/image_0000.jpg", "cat/twin_small.jpg"), ("ant/image_0001.jpg", "bee/twin_cropped.jpg")]
    for one, other in twins:
        assert group[one] == group[other]
        assert split[one] == split[other]
    assert catalog.group.nunique() == len(catalog) - len(twins)
    check_split(catalog.split.tolist(), catalog.group.to_numpy(), catalog.label.tolist())


def test_without_near_duplicates_each_picture_is_its_own_group(dirty_tree: Path) -> None:
    settings = params().clean.near_duplicates.model_dump() | {"enabled": False}
    catalog, _ = build_catalog(dirty_tree, params(near_duplicates=settings))
    assert catalog.group.tolist() == list(range(len(catalog)))


def test_workers_do_not_change_a_byte(dirty_tree: Path) -> None:
    for one, other in zip(
        build_catalog(dirty_tree, params(workers=1)),
        build_catalog(dirty_tree, params(workers=2)),
        strict=True,
    ):
        pd.testing.assert_frame_equal(one, other)


def test_near_duplicates_count_once_towards_a_class(clean_tree: Path) -> None:
    for index in range(8):
        save(texture(500).resize((160 - 4 * index, 120 - 3 * index)), clean_tree / "ape" / f"{index}.jpg")
    catalog, rejected = build_catalog(clean_tree, params())
    assert set(catalog.label) == set(CLASSES)
    assert rejected.kind.tolist() == ["small_class"] * 8
    assert "1 different pictures" in rejected.reason[0]
    assert catalog.group.tolist() == list(range(24))


def test_nothing_rejected_is_an_empty_table(clean_tree: Path) -> None:
    _, rejected = build_catalog(clean_tree, params(min_class_size=8))
    assert rejected.shape == (0, 3)


def test_folders_that_are_of_no_use(tmp_path: Path, clean_tree: Path) -> None:
    with pytest.raises(RisError, match="absent cannot be read"):
        build_catalog(tmp_path / "absent", params())
    (tmp_path / "bare").mkdir()
    with pytest.raises(RisError, match="bare holds no files"):
        build_catalog(tmp_path / "bare", params())
    with pytest.raises(RisError, match="leaves 0 usable classes"):
        build_catalog(clean_tree, params(min_class_size=9))


def test_one_class_is_refused(tmp_path: Path) -> None:
    for index in range(8):
        save(texture(index), tmp_path / "images" / "ant" / f"{index}.jpg")
    (tmp_path / "images" / "bee").mkdir()
    (tmp_path / "images" / "bee" / "text.jpg").write_text("a text")
    with pytest.raises(RisError, match="leaves 1 usable class"):
        build_catalog(tmp_path / "images", params())
