import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_encoders import small_encoder

from ris.engine import SearchEngine
from ris.store.writing import COMMITTED

Ris = Callable[..., Any]

LATER = 30
"""Pictures that a build reads after its first commit."""

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
    assert re.search(r"cut \\u202egpj\.exe: the lower \d+ % of the picture is missing\n", ended.err)
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
def test_an_encoder_for_copies_of_the_same_name_is_told(ris: Ris, tmp_path: Path) -> None:
    first, other = (small_encoder(tmp_path / f"encoder_{seed}", seed=seed) for seed in (0, 1))
    assert ris("build", "photos", "two.ris", "--encoder", first, "--copies-encoder", other).code == 0
    assert "for copies another one, test_resnet" in ris("info", "two.ris").out
    ris("build", "photos", "one.ris", "--encoder", first)
    assert "for copies" not in ris("info", "one.ris").out


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
    before = set(own.rglob("*"))
    ended = ris("build", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1].startswith("error: ")
    assert set(own.rglob("*")) == before
    assert ris("check", "photos.ris").code == 0


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
    assert ris("check", "photos.ris").out == "The store is whole.\n"


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
        ("refit", "photos"),
    ],
)
def test_what_cannot_be_changed_is_told_in_a_sentence(
    ris: Ris, own: Path, arguments: tuple[str, ...]
) -> None:
    shutil.copy(own / "photos/crop.png", own / "elsewhere.png")
    ended = ris(*arguments)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("error: ")
    assert ris("check", "photos.ris").code == 0


def contents(store: Path) -> tuple[list[tuple[str, str]], Any]:
    """The paths and checksums of the pictures of a store, and their vectors."""
    with SearchEngine.open(store) as engine:
        assert engine.verify() == []
        return [(one.path, one.sha256) for one in engine.pictures()], engine.vectors()[1]


@pytest.fixture(scope="module")
def half_made(tmp_path_factory: pytest.TempPathFactory, texture: Callable[..., Image.Image]) -> Path:
    """A working folder with `photos`, and `half.ris`, whose build was killed after its first commit."""
    folder = tmp_path_factory.mktemp("half")
    (folder / "photos/a").mkdir(parents=True)
    (folder / "photos/b").mkdir()
    for number in range(COMMITTED):
        file = folder / f"photos/a/{number:03}.png"
        if number < 5:
            texture(number, 64, 64).save(file)
        else:
            shutil.copy(folder / f"photos/a/{number % 5:03}.png", file)
    picture = texture(0, 900, 700)
    for number in range(LATER):
        picture.putpixel((0, 0), (number, 0, 0))
        picture.save(folder / f"photos/b/{number:02}.png", compress_level=1)
    (folder / "photos/b/bad.png").write_text("no picture")
    command = subprocess.Popen(
        [sys.executable, "-m", "ris.cli", "build", "photos", "half.ris", "--threads", "1"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob("half.ris/commits/*.json")):
        assert time.monotonic() < deadline
        assert command.poll() is None
        time.sleep(0.01)
    command.kill()
    assert command.wait() == -signal.SIGKILL
    return folder


@pytest.fixture
def half(half_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `half_made` of its own, entered."""
    shutil.copytree(half_made, tmp_path / "half")
    monkeypatch.chdir(tmp_path / "half")
    return tmp_path / "half"


@pytest.mark.usefixtures("half")
def test_info_says_how_far_a_build_is_that_was_killed(ris: Ris) -> None:
    told = ris("info", "half.ris")
    assert told.code == 0
    assert f"{COMMITTED} pictures of" in told.out
    assert told.err == (f"Its building was broken off with {LATER + 1} files to read; `ris build` goes on.\n")
    assert ris("info", "half.ris", "--json").json["unread"] == LATER + 1


@pytest.mark.usefixtures("half")
def test_what_a_build_that_was_killed_has_read_is_searched(ris: Ris) -> None:
    (answer,) = ris("search", "half.ris", "photos/a/003.png", "--json", "-k", 1).json
    assert answer["hits"][0]["picture"]["path"] == "a/003.png"


def test_a_build_that_was_killed_goes_on(ris: Ris, half: Path) -> None:
    with SearchEngine.open("half.ris") as engine:
        read = {one.path: one.row for one in engine.pictures()}
    ended = ris("build", "photos", "half.ris", "--json")
    assert (ended.code, ended.json["unread"], ended.json["pictures"]) == (0, None, COMMITTED + LATER)
    assert [one["path"] for one in ended.json["rejected_files"]] == ["b/bad.png"]
    assert ris("build", "photos", "whole.ris").code == 0
    paths, vectors = contents(half / "half.ris")
    expected_paths, expected = contents(half / "whole.ris")
    assert paths == expected_paths
    assert np.array_equal(vectors, expected)
    with SearchEngine.open("half.ris") as engine:
        assert {one.path: one.row for one in engine.pictures()}.items() >= read.items()
    again = ris("build", "photos", "half.ris")
    assert (again.code, again.out) == (1, "")
    assert again.err.splitlines()[-1].endswith(
        "is a store already; `ris sync` brings it up to date, and to build it anew, delete it first."
    )


def test_a_build_that_was_killed_goes_on_as_it_was_begun(ris: Ris, half: Path) -> None:
    ended = ris("build", "photos", "half.ris", "--no-same-picture")
    assert (ended.code, ended.out) == (1, "")
    assert re.search(r"^error: .* was begun with another encoder or other options; [^.]*\.$", ended.err, re.M)
    assert [file.name for file in (half / "half.ris/commits").glob("*.json")] == ["0000000001.json"]


@pytest.mark.usefixtures("half")
def test_a_sync_ends_a_build_that_was_killed(ris: Ris) -> None:
    assert ris("sync", "half.ris", "--json").json["added"] == LATER
    told = ris("info", "half.ris", "--json").json
    assert (told["unread"], told["pictures"]) == (None, COMMITTED + LATER)
    assert ris("check", "half.ris").code == 0


def test_refit_fits_the_spaces_to_what_the_store_holds(
    ris: Ris, own: Path, texture: Callable[..., Image.Image]
) -> None:
    texture(5).save(own / "photos/new.png")
    ris("sync", "photos.ris")
    ris("remove", "photos.ris", "fish/image_0001.jpg")
    before, (_, vectors) = ris("info", "photos.ris", "--json").json, contents(own / "photos.ris")
    assert (before["space_version"], before["space_fitted_to"]) == (1, 22), "frozen since the build"
    told = ris("refit", "photos.ris", "--json").json
    assert (told["space_version"], told["space_fitted_to"], told["pictures"]) == (2, 22, 22)
    assert told["generation"] == before["generation"] + 1
    assert told == ris("info", "photos.ris", "--json").json
    assert np.array_equal(contents(own / "photos.ris")[1], vectors)
    (own / "photos/fish/image_0001.jpg").unlink()
    assert ris("build", "photos", "anew.ris").code == 0
    for index in ("knn", "knn_pca"):
        asked = ("photos/fish/image_0002.jpg", "--index", index, "--no-verify", "--json")
        refitted, anew = (
            ris("search", store, *asked).json[0]["hits"] for store in ("photos.ris", "anew.ris")
        )
        assert [hit["picture"]["path"] for hit in refitted] == [hit["picture"]["path"] for hit in anew]
        distances = [hit["distance"] for hit in anew]
        assert [hit["distance"] for hit in refitted] == pytest.approx(distances, abs=1e-3)
    text = ris("refit", "photos.ris")
    assert (text.code, text.err) == (0, "")
    assert "22 pictures of" in text.out


def test_annoy_is_built_where_it_is_wanted(ris: Ris, own: Path, query: Path) -> None:
    built = ris("build", "photos", "trees.ris", "--index", "annoy", "--index", "annoy_pca", "--json").json
    assert built["indexes"] == ["knn", "knn_pca", "annoy", "annoy_pca", "reranked"]
    for exact in ("knn", "knn_pca"):
        found, approximate = (
            ris("search", "trees.ris", query, "--json", "--index", index).json[0]["hits"]
            for index in (exact, exact.replace("knn", "annoy"))
        )
        assert [hit["picture"]["path"] for hit in approximate] == [hit["picture"]["path"] for hit in found]
        distances = [hit["distance"] for hit in found]
        assert [hit["distance"] for hit in approximate] == pytest.approx(distances, abs=1e-5)
    shutil.copy(query, own / "photos/new.jpg")
    ris("sync", "trees.ris")
    (answer,) = ris("search", "trees.ris", query, "--json", "--index", "annoy", "-k", 1).json
    assert answer["hits"][0]["picture"]["path"] == "new.jpg", "what its trees lack is searched beside them"


@pytest.mark.usefixtures("own")
def test_an_index_that_there_is_not_is_told_in_a_sentence(ris: Ris, query: Path) -> None:
    for name in ("nonsense", "knn", "ivf_pca", "reranked"):
        ended = ris("build", "photos", "new.ris", "--index", name)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.splitlines()[-1] == (
            f"error: {name} is no index that a store can have beside its own; name one of annoy, annoy_pca."
        )
        assert not Path("new.ris").exists()
    ended = ris("search", "photos.ris", query, "--index", "annoy")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "error: The store has no index annoy; it has knn, knn_pca, reranked, auto.\n"
