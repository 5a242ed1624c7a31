"""`ris audit` on drawn pictures in which faults were planted."""

import json
import re
import shutil
from collections.abc import Callable
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from typer.testing import CliRunner

from ris.cli.app import app
from ris.engine import Audit, BadQueryError, SearchEngine
from ris.errors import RisError
from ris.lab.data.drawn import draw_files

EACH = 14
LABELS = ("balloon", "butterfly", "cactus")
MISLABELLED, STRANGER = "train/cactus/butterfly.jpg", "train/balloon/stranger.jpg"
CROP, COPY = "test/balloon/crop.jpg", "test/cactus/copy.jpg"
FLAWS = {"black": "test/butterfly/black.png", "blank": "train/cactus/blank.png", "blurred": "top.jpg"}

Draw = Callable[..., Image.Image]


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(one) for one in arguments], prog_name="ris")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three labels and two sides of a split, with one fault of each kind."""
    folder = tmp_path_factory.mktemp("audit") / "photos"
    drawn: dict[str, list[Image.Image]] = {label: [] for label in LABELS}
    for path, content in islice(draw_files(1), 110):
        label = path.split("/")[0]
        if label in drawn and len(drawn[label]) < EACH + 2:
            drawn[label].append(Image.open(BytesIO(content)).convert("RGB"))
    for label, pictures in drawn.items():
        for number, picture in enumerate(pictures[:EACH]):
            file = folder / ("test" if number < 3 else "train") / label / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            picture.save(file, quality=92)
    width, height = drawn["balloon"][5].size
    drawn["balloon"][5].crop((20, 20, width - 30, height - 20)).save(folder / CROP, quality=85)
    shutil.copy(folder / "train/cactus/7.jpg", folder / COPY)
    drawn["butterfly"][EACH].save(folder / MISLABELLED)
    tiles = np.random.default_rng(0).integers(0, 256, (12, 15), dtype=np.uint8)
    Image.fromarray(tiles).resize((300, 240), Image.Resampling.NEAREST).save(folder / STRANGER, quality=95)
    Image.new("RGB", (90, 60), (4, 3, 5)).save(folder / FLAWS["black"])
    Image.new("RGB", (90, 60), (200, 210, 220)).save(folder / FLAWS["blank"])
    drawn["cactus"][EACH].filter(ImageFilter.GaussianBlur(9)).save(folder / FLAWS["blurred"], quality=95)
    SearchEngine.build(folder, folder.with_suffix(".ris"), threads=2).close()
    return folder.with_suffix(".ris")


@pytest.fixture(scope="module")
def found(store: Path) -> Audit:
    with SearchEngine.open(store) as engine:
        return engine.audit(split="folder")


def test_each_fault_is_found_and_next_to_nothing_else(found: Audit) -> None:
    assert (found.pictures, found.labels, found.unlabelled, found.alone) == (3 * EACH + 7, 3, 1, 0)
    assert found.proven
    assert found.leaks is not None
    assert [[picture.path for picture in leak.pictures] for leak in found.leaks] == [
        [CROP, "train/balloon/5.jpg"],
        [COPY, "train/cactus/7.jpg"],
    ]
    assert [(leak.sides, leak.relation) for leak in found.leaks] == 2 * [(["test", "train"], "same_picture")]
    assert {one.kind: one.picture.path for one in found.flawed} == FLAWS
    (wrong,) = found.mislabelled
    assert (wrong.picture.path, wrong.label, wrong.suggested) == (MISLABELLED, "cactus", "butterfly")
    assert wrong.against - wrong.support >= 0.5
    assert {near.label for near in wrong.neighbours} == {"butterfly"}
    # One drawn cactus is more unlike the others than any other picture is.
    assert {one.picture.path for one in found.outliers} == {STRANGER, "train/cactus/12.jpg"}
    assert found.unread == []


def test_near_duplicates_have_one_vote_together_and_none_in_their_own_label(
    store: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(store.with_suffix(""), folder)
    picture = Image.open(folder / MISLABELLED)
    for quality in range(60, 90, 3):
        picture.save(folder / f"train/cactus/again-{quality}.jpg", quality=quality)
    with SearchEngine.build(folder, tmp_path / "store", threads=2) as engine:
        wrong = {one.picture.path: one for one in engine.audit().mislabelled}
    copies = [path for path in wrong if path == MISLABELLED or "again" in path]
    assert len(copies) == 11
    assert {wrong[path].suggested for path in copies} == {"butterfly"}
    assert "butterfly" not in {one.label for one in wrong.values()}


def test_the_command_tells_the_same_and_shows_it(store: Path, found: Audit, tmp_path: Path) -> None:
    report = tmp_path / "audit.html"
    ended = run("audit", store, "--split", "folder", "--output", report)
    assert (ended.exit_code, ended.stderr) == (0, f"The report is {report}.\n")
    told = "2 leaks, 1 contradicted label, 2 outliers, 3 flawed pictures in 49 pictures"
    assert ended.stdout.startswith(f"{told}.\nWithout a label: 1 picture.\n")
    for path in (MISLABELLED, STRANGER, CROP, COPY, *FLAWS.values()):
        assert ended.stdout.count(path) == 1
    page = report.read_text()
    assert told in page
    shown = 4 + 1 + len(found.mislabelled[0].neighbours) + 2 + 3
    assert page.count('src="data:image/jpeg') == page.count("<img ") == shown
    assert not re.search(r"https?:|<script", page)
    answer = json.loads(run("audit", store, "--split", "folder", "--json").stdout)
    assert [one["picture"]["path"] for one in answer["flawed"]] == list(FLAWS.values())
    assert answer["leaks"][0]["sides"] == ["test", "train"]
    assert json.loads(run("audit", store, "--json").stdout) == {**answer, "leaks": None}


def test_labels_and_sides_come_from_columns_too(store: Path, found: Audit, tmp_path: Path) -> None:
    own = tmp_path / "photos.ris"
    shutil.copytree(store, own)
    shutil.copytree(store.with_suffix(""), tmp_path / "photos")
    lines = ["path,kind,fold"]
    with SearchEngine.open(store) as engine:
        for picture in engine.pictures():
            side = picture.path.split("/")[0] if picture.label else ""
            lines.append(f"{picture.path},{picture.label},{side}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    assert run("relocate", own, tmp_path / "photos").exit_code == 0
    with SearchEngine.open(own) as engine:
        engine.set_columns(tmp_path / "table.csv")
        assert engine.audit("kind", "fold") == found
        with pytest.raises(BadQueryError, match="no column colour; it has fold, kind"):
            engine.audit("colour")
        with pytest.raises(BadQueryError, match="no column colour"):
            engine.audit(split="colour")
    ended = run("audit", own, "--label", "colour")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: ")


def test_without_local_features_files_of_the_same_bytes_are_known(store: Path, tmp_path: Path) -> None:
    photos = store.with_suffix("")
    with SearchEngine.build(photos, tmp_path / "plain.ris", same_picture=False, threads=2) as engine:
        leaks = engine.audit(split="folder").leaks
    assert leaks is not None
    assert [[one.path for one in leak.pictures] for leak in leaks] == [[COPY, "train/cactus/7.jpg"]]
    assert "only files of the same bytes" in run("audit", tmp_path / "plain.ris").stdout


def test_what_cannot_be_audited_is_told(texture: Draw, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    (folder / "one").mkdir(parents=True)
    with SearchEngine.build(folder, tmp_path / "few.ris", same_picture=False) as engine:
        with pytest.raises(RisError, match="no pictures"):
            engine.audit()
        texture(1).save(folder / "one/a.png")
        engine.sync()
        with pytest.raises(BadQueryError, match="one side of the split"):
            engine.audit(split="folder")
        alone = engine.audit()
        assert (alone.alone, alone.mislabelled, alone.outliers) == (1, [], [])
        pixels = np.asarray(texture(2))
        Image.fromarray(pixels).save(folder / "one/a.png")
        assert engine.audit().unread == ["one/a.png"]
