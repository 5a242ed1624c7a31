"""What changes the store: with the token only, inside the store's folder only."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from ris.engine import BusyError, SearchEngine
from ris.serve import Settings
from ris.store.gallery import StoreGallery
from serve.conftest import TOKEN, Live, encoded, running

BEARER = {"Authorization": f"Bearer {TOKEN}"}
Draw = Callable[..., Image.Image]


def listing(folder: Path) -> dict[str, str]:
    """Every file below a folder and its checksum."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def add(live: Live, picture: bytes, label: str = "", name: str = "x.png") -> httpx.Response:
    return live.client.post(
        "/api/pictures", params={"label": label}, files={"picture": (name, picture)}, headers=BEARER
    )


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer wrong",
        b"Bearer " + TOKEN[:-1].encode(),
        b"Bearer " + TOKEN.encode() + b"x",
        b"Basic " + TOKEN.encode(),
        TOKEN.encode(),
        b"Bearer \xff\xfe",
    ],
)
def test_without_the_token_nothing_is_changed(
    live: Live, stranger: bytes, authorization: bytes | None
) -> None:
    before = len(live.engine), listing(live.engine.folder)
    headers = {} if authorization is None else {b"Authorization": authorization}
    for response in (
        live.client.post("/api/pictures", files={"picture": stranger}, headers=headers),
        live.client.delete("/api/pictures/1", headers=headers),
        live.client.post("/api/sync", headers=headers),
    ):
        refused(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"
    assert (len(live.engine), listing(live.engine.folder)) == before


def test_a_token_is_drawn_anew_and_not_shown_by_settings() -> None:
    one, other = Settings(), Settings()
    assert len(one.token) >= 32
    assert one.token != other.token
    assert one.token not in repr(one)


def test_a_picture_is_added_found_and_removed(own: Live, texture: Draw) -> None:
    picture = encoded(texture(4711), "JPEG")
    before = listing(own.engine.folder)
    response = add(own, picture, "holiday")
    assert response.status_code == 201, response.text
    added = response.json()["picture"]
    assert added["label"] == "holiday"
    assert (own.engine.folder / added["path"]).read_bytes() == picture
    assert listing(own.engine.folder).keys() - before.keys() == {added["path"]}
    hits = own.client.post("/api/search", params={"k": 1}, files={"picture": picture}).json()["hits"]
    assert hits[0]["picture"]["path"] == added["path"]
    assert hits[0]["same_picture"] is True

    again = add(own, picture, "holiday").json()["picture"]
    assert again["row"] == added["row"]

    response = own.client.delete(f"/api/pictures/{added['row']}", headers=BEARER)
    assert response.status_code == 200
    assert response.json()["removed"] == 1
    refused(own.client.get(f"/api/pictures/{added['row']}"), 404)
    refused(own.client.delete(f"/api/pictures/{added['row']}", headers=BEARER), 404)
    assert (own.engine.folder / added["path"]).read_bytes() == picture

    synced = own.client.post("/api/sync", headers=BEARER).json()
    assert (synced["added"], synced["removed"]) == (1, 0)


def test_most_pictures_are_only_taken_out_where_that_is_allowed(own: Live) -> None:
    pictures = own.client.get("/api/about").json()["pictures"]
    for file in own.engine.folder.rglob("*.*"):
        file.unlink()
    detail = refused(own.client.post("/api/sync", headers=BEARER), 409)
    assert "allow_removals=true" in detail
    assert "ris sync --allow-removals" in detail
    allowed = own.client.post("/api/sync?allow_removals=true", headers=BEARER)
    assert allowed.json()["removed"] == pictures


def test_a_folder_is_one_plain_name(own: Live, stranger: bytes) -> None:
    before = listing(own.engine.folder.parent)
    for label in ("..", ".", ".hidden", "a/b", "../other", "/etc", "a\\b", " ", "a\0b", "a\nb", "x" * 101):
        refused(add(own, stranger, label), 422)
    assert listing(own.engine.folder.parent).keys() == before.keys()


def test_a_folder_that_is_a_link_is_not_written_through(own: Live, stranger: bytes, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (own.engine.folder / "link").symlink_to(outside)
    refused(add(own, stranger, "link"), 403)
    assert list(outside.iterdir()) == []


def test_the_uploads_own_name_is_not_used(own: Live, stranger: bytes) -> None:
    for name in ("../../evil.png", "/etc/evil.png", "..", "<b>.png", "a\\..\\b.png", "x" * 300):
        path = add(own, stranger, name=name).json()["picture"]["path"]
        assert path == f"upload-{hashlib.sha256(stranger).hexdigest()[:16]}.png"


def test_what_is_no_picture_is_not_added(own: Live, stranger: bytes) -> None:
    before = listing(own.engine.folder)
    for content in (b"", b"no picture", b"<?php ?>", stranger[:-2000]):
        refused(add(own, content), 422)
    assert listing(own.engine.folder) == before


def test_a_file_that_could_not_be_taken_in_is_taken_away_again(
    own: Live, stranger: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise BusyError("Another process is writing to the store; wait for it.")

    before = listing(own.engine.folder)
    monkeypatch.setattr(own.engine, "add", busy)
    assert "Another process" in refused(add(own, stranger), 409)
    assert listing(own.engine.folder) == before


def test_what_others_commit_is_taken_up(own: Live, texture: Draw) -> None:
    texture(815).save(own.engine.folder / "new.png")
    with SearchEngine.open(own.engine.store) as other:
        other.sync()
        expected = len(other)
    while own.client.get("/api/about").json()["pictures"] != expected:
        time.sleep(0.05)
    assert own.client.get("/api/pictures?folder=&limit=500").status_code == 422
    paths = [one["path"] for one in own.client.get("/api/pictures?limit=500").json()["pictures"]]
    assert "new.png" in paths


def sync(store: Path) -> None:
    """Bring a store to what its folder holds, as another process."""
    subprocess.run([sys.executable, "-m", "ris.cli", "sync", store], check=True, capture_output=True)


def wait_for(live: Live, pictures: int) -> None:
    """Wait until a server has so many pictures."""
    while live.client.get("/api/about").json()["pictures"] != pictures:
        time.sleep(0.05)


def test_a_new_version_is_taken_up_without_reading_again_what_there_is(
    own: Live, texture: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = encoded(texture(815))
    asked = {
        index: own.client.post("/api/search", params={"index": index}, files={"picture": picture}).json()
        for index in ("knn", "knn_pca")
    }
    count = len(own.engine)
    read: list[list[int] | None] = []
    read_vectors = StoreGallery._read_vectors

    def noted(gallery: StoreGallery, contents: Any) -> Any:
        read.append(None if contents is None else contents.tolist())
        return read_vectors(gallery, contents)

    monkeypatch.setattr(StoreGallery, "_read_vectors", noted)
    for number in range(2):
        texture(815 + number).save(own.engine.folder / f"new {number}.png")
        sync(own.engine.store)
        wait_for(own, count + 1 + number)
    for index, before in asked.items():
        after = own.client.post("/api/search", params={"index": index}, files={"picture": picture}).json()
        paths = [hit["picture"]["path"] for hit in after["hits"]]
        assert paths[0] == "new 0.png"
        known = [path for path in paths if not path.startswith("new ")]
        assert known == [hit["picture"]["path"] for hit in before["hits"]][: len(known)]
    assert read == [[count, count + 1]], "only what is new is read, though nobody searched in between"


def test_a_search_in_flight_keeps_its_version(
    own: Live, texture: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    texture(815).save(own.engine.folder / "new.png")
    picture, count = (own.engine.folder / "new.png").read_bytes(), len(own.engine)
    begun, go_on, embed = threading.Event(), threading.Event(), own.engine._vectors

    def held(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return embed(*arguments)

    def ask() -> list[str]:
        found = own.client.post("/api/search", params={"k": 50}, files={"picture": picture}).json()
        return [hit["picture"]["path"] for hit in found["hits"]]

    monkeypatch.setattr(own.engine, "_vectors", held)
    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(ask)
        assert begun.wait(60)
        sync(own.engine.store)
        wait_for(own, count + 1)
        go_on.set()
        found = in_flight.result()
    assert len(found) == count
    assert "new.png" not in found
    assert ask()[0] == "new.png"


def test_an_empty_store_is_served(tmp_path: Path, stranger: bytes) -> None:
    (tmp_path / "pictures").mkdir()
    with (
        SearchEngine.build(tmp_path / "pictures", tmp_path / "store", threads=1) as engine,
        running(engine, Settings(port=0, token=TOKEN)) as live,
    ):
        assert live.client.get("/api/about").json()["pictures"] == 0
        found = live.client.post("/api/search", files={"picture": stranger})
        assert (found.status_code, found.json()["hits"]) == (200, [])
        assert live.client.post("/api/find", files={"picture": stranger}).status_code == 200
        assert live.client.get("/api/map").status_code in (200, 202)
        assert add(live, stranger, "first").status_code == 201
        found = live.client.post("/api/search", files={"picture": stranger})
        assert found.json()["hits"][0]["picture"]["label"] == "first"
