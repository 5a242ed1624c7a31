"""No picture file is decoded in the process that searches."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ris.engine import SearchEngine
from ris.images.decoders import names_camera

Draw = Callable[..., Image.Image]


def test_finding_and_comparing_decode_elsewhere(
    photos: Path, tmp_path: Path, encoder: Path, texture: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = texture(40, 400, 300)
    for name, quality in (("large.jpg", 95), ("small.jpg", 60)):
        picture.save(photos / name, quality=quality)
    opened: list[object] = []
    real = Image.open

    def noted(file: object, *rest: object, **more: object) -> Image.Image:
        opened.append(file)
        return real(file, *rest, **more)  # type: ignore[arg-type]

    with SearchEngine.build(photos, tmp_path / "store", encoder=encoder, threads=1) as engine:
        query = tmp_path / "query.jpg"
        picture.crop((20, 20, 380, 280)).save(query, quality=80)
        monkeypatch.setattr(Image, "open", noted)
        assert {hit.path for hit in engine.find(query).hits if hit.same_picture} == {"large.jpg", "small.jpg"}
        (group,) = engine.duplicates()
        assert {one.path for one in group.pictures} == {"large.jpg", "small.jpg"}
    assert opened == []


@pytest.mark.parametrize(
    ("tag", "value", "named"), [(0x010F, "Maker", True), (0x0110, " \0", False), (0x013B, "A", False)]
)
def test_a_camera_is_named_by_maker_or_model(tmp_path: Path, tag: int, value: str, named: bool) -> None:
    exif = Image.Exif()
    exif[tag] = value
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.jpg", exif=exif)
    assert names_camera(tmp_path / "picture.jpg", 100) is named
    assert names_camera(b"no picture", 100) is False
