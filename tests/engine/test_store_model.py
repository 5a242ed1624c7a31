"""Any sequence of changes leaves what a dictionary and a brute-force search say."""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

from ris import engine
from ris.encoders.embedder import Embedder
from ris.encoders.encoder import Encoder
from ris.encoders.transforms import for_embedding
from ris.engine import RERANKED, Filter, RemovalError, SearchEngine
from ris.gallery.settings import Settings
from ris.store import refit, spaces

NAMES = st.sampled_from([f"{folder}{name}.png" for folder in ("", "a/", "a/b/", "ab/") for name in "pqr"])
PICTURES = st.integers(0, 9)
BAD = -1


def drawn(number: int) -> Image.Image:
    """One of ten pictures of coloured noise."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((40, 30), Image.Resampling.NEAREST)


class Changes(RuleBasedStateMachine):
    """A store, the files that lie in its folder, and the pictures that it must hold."""

    encoder: ClassVar[Path]
    embedder: ClassVar[Embedder]
    known: ClassVar[dict[int, npt.NDArray[np.float32]]] = {}
    files: dict[str, int]
    """Path -> picture, on disk."""
    held: dict[str, int]
    """Path -> picture, in the store."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.folder = self.home / "photos"
        self.folder.mkdir()
        self.files, self.held = {}, {}

    @initialize(files=st.dictionaries(NAMES, PICTURES, max_size=6))
    def build(self, files: dict[str, int]) -> None:
        for path, number in files.items():
            self.put(path, number)
        self.engine = SearchEngine.build(
            self.folder, self.home / "store", encoder=self.encoder, same_picture=False, threads=1
        )
        self.reader = SearchEngine.open(self.home / "store", threads=1)
        self.held = dict(self.files)

    @rule(path=NAMES, number=PICTURES)
    def put(self, path: str, number: int) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        drawn(number).save(self.folder / path)
        self.files[path] = number

    @rule(path=NAMES)
    def spoil(self, path: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(b"bad")
        self.files[path] = BAD

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.files)))
        (self.folder / path).unlink()
        del self.files[path]

    @precondition(lambda self: self.files)
    @rule(data=st.data(), target_path=NAMES)
    def rename(self, data: st.DataObject, target_path: str) -> None:
        path = data.draw(st.sampled_from(sorted(self.files)))
        (self.folder / target_path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).replace(self.folder / target_path)
        self.files[target_path] = self.files.pop(path)

    @rule()
    def sync(self) -> None:
        before = self.pictures_by_row()
        try:
            change = self.engine.sync()
        except RemovalError:
            assert self.pictures_by_row() == before
            change = self.engine.sync(allow_removals=True)
            assert 2 * change.removed > len(before)
        else:
            assert 2 * change.removed <= len(before)
        after = {path: number for path, number in self.files.items() if number != BAD}
        assert change.added - change.removed == len(after) - len(self.held)
        assert change.unchanged + change.changed + change.moved + change.removed == len(self.held)
        self.held = after
        for row, (path, sha256) in self.pictures_by_row().items():
            if row in before:  # a row keeps its path or its content
                assert path == before[row][0] or sha256 == before[row][1]
            else:
                assert row > max(before, default=0)

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.files)), min_size=1, max_size=3))
        self.engine.add(self.folder / path for path in chosen)
        for path in chosen:
            self.held.pop(path, None)
            if self.files[path] != BAD:
                self.held[path] = self.files[path]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.held)))
        self.engine.remove([path])
        del self.held[path]

    @rule(number=PICTURES, k=st.integers(1, 8), folder=st.sampled_from(["", "a", "a/b", "ab"]))
    def search(self, number: int, k: int, folder: str) -> None:
        allowed = [path for path in self.held if not folder or path.startswith(f"{folder}/")]
        query = self.vector(number)
        distance = {path: float(np.linalg.norm(self.vector(self.held[path]) - query)) for path in allowed}
        expected = sorted(distance.values())[:k]
        for index in self.engine.indexes:
            if index.endswith("_pca") or index == RERANKED:
                hits = self.engine.search(drawn(number), k, index=index, where=Filter(folders=(folder,)))
                assert len({hit.path for hit in hits}) == len(hits) == min(k, len(allowed))
                assert {hit.path for hit in hits} <= set(allowed)
                continue
            hits = self.engine.search(drawn(number), k, index=index, where=Filter(folders=(folder,)))
            np.testing.assert_allclose([hit.distance for hit in hits], expected, atol=1e-5)
            for hit in hits:
                assert hit.distance == pytest.approx(distance[hit.path], abs=1e-5)
            assert len({hit.path for hit in hits}) == len(hits)

    @invariant()
    def holds_what_it_must(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.reader.refresh()
        for opened in (self.engine, self.reader):
            assert {picture.path for picture in opened.pictures()} == set(self.held)
            rows, vectors = opened.vectors()
            expected = np.array([self.vector(self.held[path]) for path in sorted(self.held)])
            np.testing.assert_allclose(vectors, expected.reshape(vectors.shape), atol=1e-5)
            assert rows.tolist() == [picture.row for picture in opened.pictures()]
        assert self.engine.verify() == []

    def pictures_by_row(self) -> dict[int, tuple[str, str]]:
        return {picture.row: (picture.path, picture.sha256) for picture in self.engine.pictures()}

    def vector(self, number: int) -> npt.NDArray[np.float32]:
        if number not in self.known:
            pixels = for_embedding(drawn(number), self.embedder.network)[None]
            vector = self.embedder.embed(pixels)[0]
            self.known[number] = vector / np.linalg.norm(vector)
        return self.known[number]

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            self.reader.close()
        shutil.rmtree(self.home)


@pytest.mark.parametrize(
    ("growth", "exact_up_to", "parts"),
    [(spaces.GROWTH, 20_000, refit.PARTS), (100.0, 3, 2)],
    ids=["as it is", "partitions that are left behind, tables in few parts"],
)
def test_any_changes(
    encoder: Path, growth: float, exact_up_to: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refit, "GROWTH", growth)
    monkeypatch.setattr(refit, "PARTS", parts)
    monkeypatch.setattr(engine, "Settings", partial(Settings, exact_up_to=exact_up_to))
    Changes.encoder, Changes.known = encoder, {}
    Changes.embedder = Encoder.open(encoder).embedder()
    run_state_machine_as_test(
        Changes,
        settings=settings(
            max_examples=15,
            database=None,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),
        ),
    )
