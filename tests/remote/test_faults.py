"""An object store that fails one request in twenty, is gone for a while, or for good."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from PIL import Image

from remote.conftest import created
from remote.faulty import Faults, proxy
from remote.test_address import features_of, vectors_of
from ris.encoders import cache
from ris.engine import SearchEngine
from ris.errors import RisError
from ris.store import storage
from ris.store.commits import is_store
from ris.store.storage import delete, place_of

T = TypeVar("T")
Draw = Callable[..., Image.Image]

GONE = float(os.environ.get("OBJECT_STORE_GONE_SECONDS", "3"))
"""Seconds for which it is gone."""
TRIES = 20


@pytest.fixture
def faults(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """What goes wrong in a bucket of its own, see `store`."""
    assert bucket
    with proxy(os.environ["AWS_ENDPOINT_URL"]) as (url, faults):
        created(f"{url}/{_bucket(tmp_path)}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setattr(storage, "LEASE", 1.0)
        storage._bucket.cache_clear()
        yield faults
    storage._bucket.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The address of a store that is still to be made."""
    return f"s3://{_bucket(tmp_path)}/photos.ris"


def _bucket(folder: Path) -> str:
    # Lance keeps the connections to a bucket, and would go on without the proxy.
    return folder.name.replace("_", "").lower()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request is tried again for long."""
    monkeypatch.setattr(storage, "RETRIED", 0.3)


def same(found: SearchEngine, expected: SearchEngine) -> None:
    """Check that two stores hold the same and answer the same."""
    assert found.verify() == []
    assert vectors_of(found) == vectors_of(expected)
    assert features_of(found) == features_of(expected)
    assert found.rejected() == expected.rejected()
    query = expected.folder / "02.png"
    assert found.search(query, 5) == expected.search(query, 5)


def test_one_request_in_twenty_fails_and_nothing_is_lost_or_doubled(
    photos: Path, store: str, tmp_path: Path, encoder: Path, faults: Faults, texture: Draw
) -> None:
    errors: list[str] = []

    def ended(work: Callable[[], T], pictures: set[int]) -> T:
        """Do it, again after each error; between, the store has all of one version."""
        for _ in range(TRIES):
            faults.share = 0.05
            try:
                return work()
            except RisError as error:
                errors.append(str(error))
            finally:
                faults.share = 0.0
            if is_store(place_of(store)):
                with SearchEngine.open(store, threads=1) as seen:
                    assert seen.verify() == []
                    assert len(seen) in pictures
        raise AssertionError("it does not end")

    def built() -> SearchEngine:
        try:
            return SearchEngine.build(photos, store, encoder=encoder, threads=1)
        except RisError as error:
            if "is a store already" in str(error):  # of a build before only the last answer was lost
                return SearchEngine.open(store, threads=1)
            raise

    faults.delay = 0.01
    with (
        ended(built, {0, 12}) as remote,
        SearchEngine.build(photos, tmp_path / "photos.ris", encoder=encoder, threads=1) as local,
    ):
        (photos / "00.png").unlink()
        texture(77, 120, 90).save(photos / "new.png")
        local.sync()
        ended(remote.sync, {12})
        assert not any("\n" in one for one in errors)
        assert faults.failed > 0
        same(remote, local)


def test_a_store_that_is_gone_for_a_while_is_waited_for(
    photos: Path, store: str, tmp_path: Path, encoder: Path, faults: Faults
) -> None:
    def away(_: str, done: int, __: int) -> None:
        if done == 6 and not faults.gone_until:
            faults.go(GONE)

    with (
        SearchEngine.build(photos, store, encoder=encoder, threads=1, progress=away) as remote,
        SearchEngine.build(photos, tmp_path / "photos.ris", encoder=encoder, threads=1) as local,
    ):
        assert faults.gone_until
        same(remote, local)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answered", [5, 30])
def test_a_store_that_stays_away_is_one_sentence_and_stays_as_it_was(
    photos: Path, store: str, encoder: Path, faults: Faults, texture: Draw, answered: int
) -> None:
    with SearchEngine.build(photos, store, encoder=encoder, threads=1) as engine:
        texture(77, 120, 90).save(photos / "new.png")
        delete(cache.folder() / "features")
        works: dict[Callable[[], object], int] = {
            engine.sync: answered,
            lambda: engine.search(photos / "02.png"): 0,
        }
        for work, requests in works.items():
            faults.limit = faults.requests + requests
            with pytest.raises(RisError) as told:
                work()
            assert "\n" not in str(told.value)
            assert "try again" in str(told.value) or "does not answer" in str(told.value)
            faults.limit = 10**9
        with SearchEngine.open(store, threads=1) as seen:
            assert len(seen) == 12
            assert seen.verify() == []
        assert engine.sync().added == 1
        assert engine.verify() == []
