"""A store at an address in an object store is as one in a folder."""

import socket
from pathlib import Path

import pyarrow as pa
import pytest

from ris.encoders import cache
from ris.engine import SearchEngine
from ris.errors import RisError
from ris.store import storage
from ris.store.commits import LOCK, latest, write_commit
from ris.store.gallery import StoreGallery
from ris.store.storage import Address, locked, place_of
from ris.store.tables import REJECTED, REJECTED_SCHEMA, Changes
from ris.types import BusyError, DamagedError

Bucket = str


@pytest.fixture
def store(bucket: Bucket, tmp_path: Path) -> str:
    """The address of a store that is still to be made."""
    return f"{bucket}/{tmp_path.name}/photos.ris"


def vectors_of(engine: SearchEngine) -> dict[str, bytes]:
    rows, vectors = engine.vectors()
    return {engine.picture(row).path: vector.tobytes() for row, vector in zip(rows, vectors, strict=True)}


def features_of(engine: SearchEngine) -> list[tuple[bytes, int, bytes]]:
    gallery = engine._gallery
    return sorted(gallery.feature_bytes(list(range(gallery.count))), key=lambda one: one[2])


def test_holds_and_answers_what_a_folder_does(
    photos: Path, store: str, tmp_path: Path, encoder: Path
) -> None:
    options = {"encoder": encoder, "threads": 1, "indexes": ["annoy"]}
    SearchEngine.build(photos, store, **options).close()  # type: ignore[arg-type]
    with (
        SearchEngine.build(photos, tmp_path / "photos.ris", **options) as local,  # type: ignore[arg-type]
        SearchEngine.open(store, threads=1) as remote,
    ):
        assert remote.verify() == []
        assert vectors_of(remote) == vectors_of(local)
        assert features_of(remote) == features_of(local)
        assert remote.rejected() == local.rejected()
        assert remote.info().bytes > 0
        for index in ("auto", "annoy"):
            assert remote.search(photos / "02.png", 5, index=index) == local.search(
                photos / "02.png", 5, index=index
            )
        assert remote.find(photos / "a/03.png") == local.find(photos / "a/03.png")


def test_follows_its_folder_and_undoes(photos: Path, store: str, encoder: Path) -> None:
    with (
        SearchEngine.build(photos, store, encoder=encoder, threads=1) as engine,
        SearchEngine.open(store, threads=1) as reader,
    ):
        (photos / "00.png").unlink()
        (photos / "02.png").rename(photos / "renamed.png")
        change = engine.sync()
        assert (change.added, change.moved, change.removed) == (0, 1, 1)
        assert len(reader) == 12
        assert reader.refresh()
        assert len(reader) == 11
        engine.refit()
        engine.restore(engine.versions()[-1].number)
        assert len(engine) == 12
        assert engine.verify() == []


def test_damage_is_told(photos: Path, store: str, encoder: Path) -> None:
    SearchEngine.build(photos, store, encoder=encoder, threads=1).close()
    place = place_of(store)
    file = next(name for name in latest(place).tables["pictures"].files if "/data/" in name)
    (place / file).write_bytes(b"other")
    with pytest.raises(DamagedError, match="is damaged"):
        SearchEngine.open(store)
    (place / file).unlink()
    with pytest.raises(DamagedError, match="it is not there"):
        SearchEngine.open(store)


def test_two_writers_do_not_write_at_once(
    photos: Path, store: str, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "LEASE", 1.0)
    with SearchEngine.build(photos, store, encoder=encoder, threads=1) as engine:
        with locked(engine.location, LOCK), pytest.raises(BusyError, match="Another process is writing"):
            engine.remove(["a"])
        (engine.location / LOCK).write_bytes(b"of a writer that was killed")
        assert engine.remove(["a"]).removed == 6
        assert not (engine.location / LOCK).is_file()


def test_a_writer_that_lost_its_lock_commits_nothing(photos: Path, store: str, encoder: Path) -> None:
    SearchEngine.build(photos, store, encoder=encoder, threads=1).close()
    place = place_of(store)
    late, early = Changes(place, latest(place)), Changes(place, latest(place))
    line = pa.table([["a.png"], ["it is none"], [1], [1], [1]], schema=REJECTED_SCHEMA)
    late.dataset(REJECTED)
    early.append(REJECTED, line)
    with pytest.raises(BusyError):
        late.append(REJECTED, line)
    early.commit()
    with pytest.raises(BusyError):
        write_commit(place, late.before.model_copy(update={"number": early.before.number}))


def test_a_build_that_was_broken_off_goes_on(
    photos: Path, store: str, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ris.store.writing.COMMITTED", 4)

    def stop(_: str, done: int, __: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SearchEngine.build(photos, store, encoder=encoder, threads=1, progress=stop)
    with SearchEngine.open(store) as part:
        assert part.info().unread == 9
    with SearchEngine.build(photos, store, encoder=encoder, threads=1) as engine:
        assert len(engine) == 12
        assert engine.verify() == []


@pytest.mark.parametrize("name", ["ftp://host/x.ris", "s3://bucket", "s3:///x.ris"])
def test_what_is_no_address_is_told(name: str) -> None:
    with pytest.raises(RisError, match="no address that is known"):
        SearchEngine.open(name)


def test_where_nothing_lies_is_told(bucket: Bucket) -> None:
    with pytest.raises(RisError, match="holds no store"):
        SearchEngine.open(f"{bucket}/nothing.ris")


def test_a_server_that_is_gone_is_told(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    storage._bucket.cache_clear()
    monkeypatch.setattr(storage, "RETRIED", 0.5)
    try:
        with pytest.raises(RisError, match="cannot be read"):
            SearchEngine.open(f"{bucket}/photos.ris")
    finally:
        storage._bucket.cache_clear()


def test_file_addresses_are_folders(tmp_path: Path) -> None:
    assert place_of(f"file://{tmp_path}/my%20store.ris") == tmp_path / "my store.ris"
    assert place_of(tmp_path / "a.ris") == tmp_path / "a.ris"
    assert isinstance(place_of(str(tmp_path / "s3://a.ris")), Path)


def test_an_address_lists_what_lies_below(bucket: Bucket) -> None:
    folder = Address(f"{bucket}/listed")
    assert not folder.exists()
    for name in ("a.txt", "b/c.txt"):
        (folder / name).write_bytes(b"12")
    assert sorted((name, size) for name, size, _ in folder.listed()) == [("a.txt", 2), ("b/c.txt", 2)]
    assert sorted(one.name for one in folder.iterdir()) == ["a.txt", "b"]
    assert storage.names(folder) == ["a.txt"]
    assert not (folder / "b").is_file()
    storage.delete(folder)
    assert not folder.exists()


def test_local_features_are_fetched_once(
    photos: Path, store: str, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[int] = []
    read = StoreGallery.feature_bytes

    def counted(self: StoreGallery, contents: list[int]) -> list[tuple[bytes, int, bytes]]:
        fetched.extend(contents)
        return read(self, contents)

    with SearchEngine.build(photos, store, encoder=encoder, threads=1) as engine:
        monkeypatch.setattr(StoreGallery, "feature_bytes", counted)
        first = engine.search(photos / "02.png", 5)
        assert len(fetched) == len(set(fetched)) > 0
        before = len(fetched)
        assert engine.search(photos / "02.png", 5) == first
        assert len(fetched) == before
    kept = [file for file in (cache.folder() / "features").rglob("*") if file.is_file()]
    for file in sorted(kept, key=lambda one: one.stat().st_mtime)[-1:]:
        file.write_bytes(b"damaged")
    with SearchEngine.open(store) as again:
        assert again.search(photos / "02.png", 5) == first
        assert len(fetched) == before + 1
        assert again.verify() == []
        assert len(fetched) > before
