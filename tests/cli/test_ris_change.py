import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ris.engine import SearchEngine

Ris = Callable[..., Any]


NAMES = {
    "two words & more.jpg": "JPEG",
    "ordner/été - Straße.png": "PNG",
    "👩‍👧‍👦/emoji 🦊.webp": "WEBP",
    "עברית/תמונה ראשונה.gif": "GIF",
    "quote'\"\\$(x);#.bmp": "BMP",
    "-dash.jpg": "JPEG",
    "new\nline\x1b[31m.png": "PNG",
    f"{'long/' * 3}{'n' * 196}.jpg": "JPEG",
    "no suffix": "PNG",
    "palette.gif": "P",
    "grey16.png": "I;16",
    "cmyk.jpg": "CMYK",
    "wide.jpg": "WIDE",
    "tiny.png": "TINY",
    "alpha.png": "RGBA",
    "tall.tiff": "TALL",
    "phone.heic": "HEIF",
    "new.avif": "AVIF",
}


@pytest.fixture
def mixed(texture: Callable[..., Image.Image], tmp_path: Path) -> Path:
    """A folder of mixed sizes and formats, with odd names."""
    folder = tmp_path / "a folder, mixed"
    for seed, (name, kind) in enumerate(NAMES.items()):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = texture(seed, 300, 200)
        match kind:
            case "P":
                picture.quantize(16).save(file)
            case "I;16":
                Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(file)
            case "CMYK":
                picture.convert("CMYK").save(file)
            case "WIDE":
                picture.resize((4000, 60)).save(file)
            case "TALL":
                picture.resize((30, 900)).save(file)
            case "TINY":
                picture.resize((1, 1)).save(file)
            case "RGBA":
                picture.putalpha(128)
                picture.save(file)
            case _:
                picture.save(file, kind)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut \u202egpj.exe").write_bytes((folder / "-dash.jpg").read_bytes()[:3000])
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_folder_of_mixed_sizes_formats_and_names(ris: Ris, mixed: Path, tmp_path: Path) -> None:
    store = tmp_path / "the store"
    ended = ris("build", mixed, store)
    assert ended.code == 0
    assert f"{len(NAMES)} pictures of" in ended.out
    assert "3 files cannot be used:\n" in ended.err
    assert "cut \\u202egpj.exe: the file is cut short" in ended.err
    assert "\x1b" not in ended.out + ended.err
    told = ris("info", store, "--json").json
    assert {one["path"] for one in told["rejected_files"]} == {"empty.jpg", "cut \u202egpj.exe", "notes.txt"}
    assert told["pictures"] == len(NAMES)

    queries = [mixed / name for name in NAMES]
    answers = ris("search", store, *queries, "--json", "-k", 1, "--no-verify").json
    for name, answer in zip(NAMES, answers, strict=True):
        assert answer["query"] == str(mixed / name)
        assert answer["hits"][0]["picture"]["path"] == name
        assert answer["hits"][0]["distance"] < 0.02

    shown = ris("search", store, mixed / "no suffix", "-k", 30).out
    assert "new\\nline\\x1b[31m.png" in shown
    assert f"{'long/' * 3}{'n' * 196}.jpg" in shown, "a long name stays in one piece off a terminal"
    assert ris("search", store, mixed / "no suffix", "-k", 30, "-o", tmp_path / "sheet.png").code == 0
    assert ris("remove", store, "--", "-dash.jpg", "new\nline\x1b[31m.png").out.startswith("2 removed")


@pytest.mark.usefixtures("own")
def test_build_says_what_it_takes_and_what_it_made(ris: Ris) -> None:
    ended = ris("build", "photos", "new.ris", "--threads", 1)
    assert ended.code == 0
    assert "efficientnet_lite0, which works offline" in ended.err
    assert "note.jpg: its content is no picture in a known format" in ended.err
    assert "22 pictures of" in ended.out
    told = ris("info", "new.ris", "--json").json
    assert told["encoder"] == "efficientnet_lite0"
    assert told["local_features"] is True
    assert told["rejected_files"] == [
        {"path": "cactus/note.jpg", "reason": "its content is no picture in a known format"}
    ]


@pytest.mark.usefixtures("own")
def test_build_as_json_is_info(ris: Ris) -> None:
    built = ris("build", "photos", "new.ris", "--json", "--no-same-picture").json
    assert built["local_features"] is False
    assert built == ris("info", "new.ris", "--json").json


@pytest.mark.parametrize(
    "arguments",
    [
        ("photos", "photos.ris"),
        ("nowhere", "new.ris"),
        ("photos/crop.png", "new.ris"),
        ("photos", "new.ris", "--encoder", "vgg1"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_sentence(ris: Ris, own: Path, arguments: tuple[str, ...]) -> None:
    before = {path for path in own.rglob("*") if not path.name.startswith("store.db-")}
    ended = ris("build", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1].startswith("error: ")
    assert {path for path in own.rglob("*") if not path.name.startswith("store.db-")} == before
    assert ris("verify", "photos.ris").code == 0


def test_the_store_follows_its_folder(ris: Ris, own: Path, texture: Callable[..., Image.Image]) -> None:
    unchanged = ris("sync", "photos.ris")
    assert (unchanged.code, unchanged.out.split(" (")[0]) == (0, "22 unchanged")
    (own / "photos/new").mkdir()
    texture(5).save(own / "photos/new/texture.png")
    (own / "photos/crop.png").rename(own / "photos/new/moved.png")
    (own / "photos/fish/image_0003.jpg").unlink()
    texture(6).save(own / "photos/fish/image_0004.jpg")
    change = ris("sync", "photos.ris", "--json").json
    counts = {name: change[name] for name in ("added", "changed", "moved", "removed", "unchanged")}
    assert counts == {"added": 1, "changed": 1, "moved": 1, "removed": 1, "unchanged": 19}
    assert change["rejected"] == []
    assert ris("verify", "photos.ris").out == "The store is whole.\n"


def test_pictures_are_added_and_removed(ris: Ris, own: Path, texture: Callable[..., Image.Image]) -> None:
    texture(5).save(own / "photos/new.png")
    (own / "photos/bad.png").write_text("no picture")
    added = ris("add", "photos.ris", "photos/new.png", "photos/bad.png")
    assert added.code == 0
    assert added.out.startswith("1 added")
    assert "bad.png: its content is no picture" in added.err
    (answer,) = ris("search", "photos.ris", "photos/new.png", "--json", "-k", 1).json
    assert answer["hits"][0]["picture"]["path"] == "new.png"
    removed = ris("remove", "photos.ris", "new.png", "fish", "--json").json
    assert removed["removed"] == 7
    assert (own / "photos/fish/image_0001.jpg").is_file()
    with SearchEngine.open("photos.ris") as engine:
        assert set(engine.labels()) == {"", "balloon", "butterfly", "cactus"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "photos.ris", "elsewhere.png"),
        ("add", "photos.ris", "photos/nothing.png"),
        ("remove", "photos.ris", "nothing.png"),
        ("sync", "photos"),
        ("sync", "nothing.ris"),
        ("sync", "photos.ris", "--columns", "nothing.csv"),
    ],
)
def test_what_cannot_be_changed_is_told_in_a_sentence(
    ris: Ris, own: Path, arguments: tuple[str, ...]
) -> None:
    shutil.copy(own / "photos/crop.png", own / "elsewhere.png")
    ended = ris(*arguments)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("error: ")
    assert ris("verify", "photos.ris").code == 0
