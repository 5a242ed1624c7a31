"""Files whose names are not UTF-8 are pictures like others, and every program can hold how they are told."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ris.engine import Filter, SearchEngine
from ris.names import kept, on_disk

Draw = Callable[..., Image.Image]
NAMES = [b"caf\xe9.png", b"\xff\xfe.png", b"d\xe9j\xe0/vu \xe8.png", "\ue000 \uefff.png".encode()]


@given(st.binary(max_size=40))
def test_every_name_is_told_by_one_text(name: bytes) -> None:
    text = kept(os.fsdecode(name))
    text.encode("utf-8")
    assert os.fsencode(on_disk(text)) == name


@given(st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xDFFF), max_size=40))
def test_what_is_utf_8_stays_as_it_is(name: str) -> None:
    assert kept(name) == name


@pytest.fixture
def odd(photos: Path, tmp_path: Path, encoder: Path, texture: Draw) -> SearchEngine:
    for number, name in enumerate(NAMES):
        file = photos / os.fsdecode(name)
        file.parent.mkdir(exist_ok=True)
        texture(500 + number, 60, 60).save(tmp_path / "drawn.png")
        (tmp_path / "drawn.png").rename(file)
    return SearchEngine.build(photos, tmp_path / "odd.ris", encoder=encoder, threads=2)


def test_they_are_stored_found_shown_and_followed(odd: SearchEngine, photos: Path, texture: Draw) -> None:
    paths = {os.fsencode(on_disk(one.path)) for one in odd.pictures()}
    assert paths >= set(NAMES)
    assert odd.rejected() == []
    for number, name in enumerate(NAMES):
        (hit,) = odd.search(texture(500 + number, 60, 60), 1)
        assert os.fsencode(on_disk(hit.path)) == name
        assert json.loads(json.dumps(hit.path, ensure_ascii=False).encode()) == hit.path
        assert odd.image(hit.row).size == (60, 60)
        assert os.fsencode(odd.file(hit.row)).endswith(name)
    assert odd.sync().unchanged == 12 + len(NAMES)
    folder = os.fsdecode(b"d\xe9j\xe0")
    assert odd.count(Filter(folders=(folder,))) == 1
    assert odd.add([photos / os.fsdecode(NAMES[0])]).unchanged == 12 + len(NAMES)
    assert odd.remove([folder, os.fsdecode(NAMES[1])]).removed == 2
    assert odd.verify() == []
