"""A server that only reads: it stays on a version until it is told another, or follows."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ris.engine import SearchEngine
from ris.serve import service as services
from ris.serve.settings import Settings
from serve.conftest import TOKEN, running
from serve.test_limits import refused
from serve.test_promises import until

BEARER = {"Authorization": f"Bearer {TOKEN}"}
Row = Callable[[str], int]


@pytest.fixture
def writer(made: Path, tmp_path: Path) -> Any:
    shutil.copytree(made, tmp_path / "own")
    with SearchEngine.open(tmp_path / "own/store", threads=2) as engine:
        yield engine


def test_it_stays_on_its_version_until_it_is_told_another(
    writer: SearchEngine, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "REFRESH_SECONDS", 0.05)
    first, gone = writer.version, row("beach/0.png")
    settings = Settings(port=0, token=TOKEN, read_only=True, version=first)
    with (
        SearchEngine.open(writer.store, version=first, threads=2) as engine,
        running(engine, settings) as live,
    ):
        writer.remove(["beach/0.png"])
        kept = live.client.get(f"/api/pictures/{gone}")
        assert (kept.status_code, kept.headers["ris-version"]) == (200, str(first))
        assert live.client.get("/health").json() == {"status": "ok", "following": True, "version": first}
        assert live.client.get("/api/about").json()["version"] == first
        for write in (
            live.client.post("/api/sync", headers=BEARER),
            live.client.delete(f"/api/pictures/{gone}", headers=BEARER),
        ):
            refused(write, 403)
            assert "only reads" in write.json()["detail"]
        refused(live.client.post("/api/version"), 401)
        refused(live.client.post("/api/version?number=999", headers=BEARER), 404)
        assert live.client.get("/health").json()["version"] == first
        told = live.client.post("/api/version", headers=BEARER).json()
        assert told["version"] == writer.version > first
        assert live.client.get(f"/api/pictures/{gone}").status_code == 404
        assert f"ris_store_version {float(writer.version)}" in live.client.get("/metrics").text
        assert live.client.post(f"/api/version?number={first}", headers=BEARER).json()["version"] == first
        assert live.client.get(f"/api/pictures/{gone}").status_code == 200
        monkeypatch.setattr("ris.store.commits.KEPT", 1)
        writer.refit()
        until(lambda: not live.client.get("/health").json()["following"])
        assert live.client.get(f"/api/search?row={gone}").status_code == 200


def test_it_follows_without_writing(writer: SearchEngine, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "REFRESH_SECONDS", 0.05)
    gone = row("beach/0.png")
    settings = Settings(port=0, token=TOKEN, read_only=True)
    with (
        SearchEngine.open(writer.store, read_only=True, threads=2) as engine,
        running(engine, settings) as live,
    ):
        refused(live.client.post("/api/sync", headers=BEARER), 403)
        refused(live.client.post("/api/version", headers=BEARER), 409)
        writer.remove(["beach/0.png"])
        until(lambda: live.client.get("/health").json()["version"] == writer.version)
        assert live.client.get(f"/api/pictures/{gone}").status_code == 404
