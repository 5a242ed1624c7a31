"""A store that a Ray cluster builds is the one that a single process builds."""

import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

from ris import engine as engines
from ris.cli.app import app
from ris.engine import SearchEngine
from ris.errors import RisError
from ris.store import cluster
from ris.store.cluster import Compared, Recipe
from ris.store.commits import is_store, latest
from ris.store.gallery import StoreGallery
from ris.types import Duplicates

ray = pytest.importorskip("ray", reason="ris[ray] is not installed")
PROCESSES = multiprocessing.get_context("spawn")
COUNT = 40


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of one node without a processor, to which tests add those that work."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def two(nodes: Any) -> list[Any]:
    """Two nodes of one processor each."""
    while len(nodes.worker_nodes) < 2:
        nodes.add_node(num_cpus=1)
    return list(nodes.worker_nodes)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, texture: Callable[..., Image.Image]) -> Path:
    """A folder of forty pictures, two of the same bytes, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(COUNT - 1):
        texture(number, 120, 90).save(folder / f"{number:02}.png")
    (folder / "copy.png").write_bytes((folder / "10.png").read_bytes())
    (folder / "note.jpg").write_text("no picture")
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "HANDED", 4)


def same(found: SearchEngine, expected: SearchEngine) -> None:
    """Check that two stores hold the same, vector by vector, and answer the same."""
    rows, vectors = expected.vectors()
    found_rows, found_vectors = found.vectors()
    assert found_rows.tolist() == rows.tolist()
    assert found_vectors.tobytes() == vectors.tobytes()
    assert [found.picture(row) for row in rows] == [expected.picture(row) for row in rows]
    galleries = found._gallery, expected._gallery
    ours, theirs = (one.feature_bytes(list(range(one.count))) for one in galleries)
    assert ours == theirs
    assert found.rejected() == expected.rejected()
    assert found.verify() == []
    query = expected.folder / "07.png"
    assert found.search(query, 5) == expected.search(query, 5)
    assert found.find(query) == expected.find(query)


@pytest.fixture(scope="module")
def embedded(many: Path, tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Iterator[SearchEngine]:
    """The store that this process builds by itself."""
    store = tmp_path_factory.mktemp("stores") / "embedded.ris"
    with SearchEngine.build(many, store, encoder=encoder, threads=1) as engine:
        yield engine


def build(folder: Path, store: Path, encoder: Path, address: str) -> None:
    """Build on a cluster, in a process of its own."""
    from ris.store import writing

    cluster.HANDED, writing.COMMITTED = 4, 8
    SearchEngine.build(folder, store, encoder=encoder, threads=1, ray=address).close()


def test_two_nodes_build_what_one_process_builds(
    many: Path, tmp_path: Path, encoder: Path, nodes: Any, two: list[Any], embedded: SearchEngine
) -> None:
    store = tmp_path / "photos.ris"
    with SearchEngine.build(many, store, encoder=encoder, threads=1, ray=nodes.address) as engine:
        same(engine, embedded)
    assert len(two) == 2


def test_a_sync_brings_in_what_is_new(
    many: Path, tmp_path: Path, encoder: Path, nodes: Any, two: list[Any]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = [f"{number:02}.png" for number in range(10)]
    for name in names[:4]:
        shutil.copy2(many / name, folder)
    with (
        SearchEngine.build(folder, tmp_path / "photos.ris", encoder=encoder, threads=1) as engine,
        SearchEngine.build(folder, tmp_path / "other.ris", encoder=encoder, threads=1) as other,
    ):
        for name in names[4:]:
            shutil.copy2(many / name, folder)
        (folder / names[0]).unlink()
        change = engine.sync(ray=nodes.address)
        assert (change.added, change.removed) == (6, 1)
        other.sync()
        same(engine, other)
    assert len(two) == 2


def test_a_node_that_is_killed_at_half_changes_nothing(
    many: Path, tmp_path: Path, encoder: Path, nodes: Any, two: list[Any], embedded: SearchEngine
) -> None:
    killed = threading.Event()

    def kill(_: str, done: int, __: int) -> None:
        if done == COUNT // 2 and not killed.is_set():
            killed.set()
            nodes.remove_node(two[0], allow_graceful=False)

    store = tmp_path / "photos.ris"
    with SearchEngine.build(
        many, store, encoder=encoder, threads=1, ray=nodes.address, progress=kill
    ) as engine:
        assert killed.is_set()
        same(engine, embedded)


def test_a_coordinator_that_is_killed_loses_nothing(
    many: Path, tmp_path: Path, encoder: Path, nodes: Any, two: list[Any], embedded: SearchEngine
) -> None:
    store = tmp_path / "photos.ris"
    process = PROCESSES.Process(target=build, args=(many, store, encoder, nodes.address))
    process.start()
    while process.is_alive() and not is_store(store):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode != 0
    done = latest(store)
    assert done.unread
    assert done.pictures
    with SearchEngine.build(many, store, encoder=encoder, threads=1, ray=nodes.address) as engine:
        same(engine, embedded)
    assert len(two) == 2


def test_a_worker_that_makes_something_else_refuses(
    many: Path, tmp_path: Path, encoder: Path, nodes: Any, two: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "photos.ris"
    monkeypatch.setattr(cluster, "probe", lambda _: "of another processor")
    with pytest.raises(RisError, match="embeds a picture otherwise than the coordinator") as refused:
        SearchEngine.build(many, store, encoder=encoder, threads=1, ray=nodes.address)
    assert "\n" not in str(refused.value)
    assert not is_store(store)
    assert len(two) == 2


def test_a_worker_refuses_what_it_would_make_otherwise(tmp_path: Path, encoder: Path) -> None:
    from ris.encoders.named import OpenEncoder, choose, restore
    from ris.gallery.settings import Settings

    identity, weights = choose(encoder)
    opened = OpenEncoder(identity, restore(identity, weights))
    recipe = Recipe.of(tmp_path, Settings(same_picture=True), [opened], (weights,))
    assert recipe.opened()[0].identity == identity
    with pytest.raises(RisError, match="does not see"):
        replace(recipe, root=tmp_path / "gone").opened()
    with pytest.raises(RisError, match=r"has numpy .*, and the coordinator 1\.0"):
        replace(recipe, versions={**recipe.versions, "numpy": "1.0"}).opened()
    with pytest.raises(RisError, match="embeds a picture otherwise"):
        replace(recipe, probes=("of another processor",)).opened()
    with pytest.raises(RisError, match=r"The worker on .* cannot embed: The store's encoder is damaged"):
        replace(recipe, weights=(b"others",)).opened()


@pytest.fixture(scope="module")
def copied(
    tmp_path_factory: pytest.TempPathFactory, texture: Callable[..., Image.Image], encoder: Path
) -> Path:
    """A store of ten pictures, of each a copy, of some another one, and of one a changed version."""
    home = tmp_path_factory.mktemp("copied")
    folder = home / "photos"
    folder.mkdir()
    for number in range(10):
        image = texture(number)
        image.save(folder / f"{number}.png")
        image.resize((192, 144)).save(folder / f"{number} smaller.jpg", quality=85)
        if number < 3:
            ImageOps.mirror(image).save(folder / f"{number} mirrored.png")
    image.paste((250, 250, 250), (80, 60, 140, 110))
    image.save(folder / "9 covered.png")
    SearchEngine.build(folder, home / "photos.ris", encoder=encoder, threads=1).close()
    return home / "photos.ris"


@pytest.fixture
def unproven(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Duplicates:
    """What this process finds in that store; it finds nothing any more thereafter."""
    with SearchEngine.open(copied, threads=1) as engine:
        found = Duplicates(engine.duplicates(), engine.changed_versions())
    assert [len(group.pictures) for group in found.groups] == [3, 3, 3, 2, 2, 2, 2, 2, 2, 2]
    assert found.changed
    monkeypatch.setattr(engines, "found_in", None)
    return found


def test_two_nodes_find_the_duplicates_that_one_process_finds(
    copied: Path, nodes: Any, two: list[Any], unproven: Duplicates
) -> None:
    with SearchEngine.open(copied, threads=1) as engine:
        assert engine.duplicates(ray=nodes.address) == unproven.groups
        assert engine.changed_versions() == unproven.changed
    assert len(two) == 2


def test_a_node_that_is_killed_changes_no_duplicates(
    copied: Path, nodes: Any, two: list[Any], unproven: Duplicates
) -> None:
    killed = threading.Event()

    def kill(what: str, done: int, total: int) -> None:
        if what == "comparing pictures" and done >= total // 2 and not killed.is_set():
            killed.set()
            nodes.remove_node(two[0], allow_graceful=False)

    with SearchEngine.open(copied, threads=1) as engine:
        assert engine.duplicates(ray=nodes.address, progress=kill) == unproven.groups
        assert engine.changed_versions() == unproven.changed
    assert killed.is_set()


def test_a_worker_refuses_to_compare_what_it_finds_otherwise(copied: Path, tmp_path: Path) -> None:
    compared = Compared.of(StoreGallery(copied))
    assert compared.opened().commit == latest(copied)
    assert compared.example == "0 mirrored.png"
    with pytest.raises(RisError, match=r"has numpy .*, and the coordinator 1\.0"):
        replace(compared, versions={**compared.versions, "numpy": "1.0"}).opened()
    with pytest.raises(RisError, match=r"cannot read .*gone\.png; mount the folder"):
        replace(compared, example="gone.png").opened()
    with pytest.raises(RisError, match=r"The worker on .* does not see"):
        replace(compared, store=tmp_path).opened()
    moved = tmp_path / "photos.ris"
    shutil.copytree(copied, moved)
    shutil.rmtree(moved / "pictures.lance")
    with pytest.raises(RisError, match=r"The worker on .* cannot read the store: .* cannot be read"):
        replace(compared, store=moved).opened()


def test_no_cluster_is_told(many: Path, copied: Path, tmp_path: Path, encoder: Path) -> None:
    ray.shutdown()
    with pytest.raises(RisError, match="No Ray cluster answers"):
        SearchEngine.build(many, tmp_path / "photos.ris", encoder=encoder, ray="127.0.0.1:1")
    ended = CliRunner().invoke(app, ["duplicates", str(copied), "--ray", "127.0.0.1:1"])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == (
        "error: No Ray cluster answers at 127.0.0.1:1; start one by `ray start --head`, or name another.\n"
    )
