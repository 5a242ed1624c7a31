"""What the server promises of the store behind it: pictures as they are, no paths, and to follow it."""

import errno
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ris.engine import SearchEngine
from ris.errors import RisError
from ris.serve import service as services
from ris.serve import writing
from ris.serve.settings import Settings
from ris.types import DamagedError
from serve.conftest import TOKEN, Live, encoded, running
from serve.test_limits import refused

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_cannot_follow_says_so_and_goes_on_trying(
    own: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(services, "REFRESH_SECONDS", 0.05)
    refresh = own.engine.refresh

    def fails() -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", "/secret")

    def following() -> bool:
        return bool(own.client.get("/health").json()["following"])

    def failures() -> float:
        (line,) = (
            line
            for line in own.client.get("/metrics").text.splitlines()
            if line.startswith("ris_follow_failures_total ")
        )
        return float(line.split()[1])

    assert following()
    monkeypatch.setattr(own.engine, "refresh", fails)
    until(lambda: not following())
    assert own.client.get("/ready").json() == {
        "status": "ok",
        "following": False,
        "version": own.engine.version,
    }
    assert "ris_following 0.0" in own.client.get("/metrics").text
    until(lambda: failures() >= 3)
    assert [one.getMessage() for one in caplog.records if "followed" in one.getMessage()] == [
        "The store cannot be followed now, and is tried again."
    ]
    monkeypatch.setattr(own.engine, "refresh", refresh)
    until(following)
    assert "ris_following 1.0" in own.client.get("/metrics").text


def test_pixels_of_another_file_are_kept_by_nobody(own: Live) -> None:
    picture = own.engine.pictures()[0]
    file, version = own.engine.file(picture.row), picture.sha256[:16]
    before = file.read_bytes()
    links = [f"/api/pictures/{picture.row}/{kind}?v={version}" for kind in ("thumbnail", "view")]
    links.append(f"/api/sheet?rows={picture.row}&side=32&v=1")
    file.write_bytes(encoded(Image.new("RGB", (90, 90), (255, 0, 0))))
    for link in links:
        response = own.client.get(link)
        assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
        assert "etag" not in response.headers
    file.write_bytes(before)
    for link in links:
        response = own.client.get(link)
        assert "immutable" in response.headers["cache-control"]
        shown = np.asarray(Image.open(BytesIO(response.content)), np.float64)[:16, :16]
        assert np.abs(shown - (255, 0, 0)).mean() > 30


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda one: one.write_bytes(b"<html>")], ids=["gone", "html"]
)
def test_no_answer_tells_a_path_of_this_machine(own: Live, damage: Callable[[Path], Any]) -> None:
    row = own.engine.pictures()[0].row
    damage(own.engine.file(row))
    for link in (
        f"/api/pictures/{row}/view",
        f"/api/pictures/{row}/thumbnail",
        f"/api/search?row={row}&box=0,0,0.5,0.5",
    ):
        response = own.client.get(link)
        assert response.status_code in (404, 422)
        assert str(own.engine.folder) not in response.text
        assert "/" not in response.json()["detail"].replace(own.engine.pictures()[0].path, "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DamagedError("/secret/store is damaged"), 500),
        (RisError("/secret cannot be read"), 500),
        (OSError(errno.EIO, "Input/output error", "/secret"), 500),
        (OSError(errno.ENOSPC, "No space left on device", "/secret"), 507),
    ],
)
def test_a_fault_of_the_server_is_told_as_one(
    live: Live, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(live.engine, "search", fails)
    response = live.client.get("/api/search?row=0")
    refused(response, status)
    assert "secret" not in response.text


def test_uploads_that_cannot_be_written_leave_nothing(
    own: Live, stranger: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(label: str) -> Any:
        return own.client.post(
            "/api/pictures", params={"label": label}, files={"picture": stranger}, headers=BEARER
        )

    def tree() -> list[Path]:
        return sorted(own.engine.folder.rglob("*"))

    before = tree()
    refused(add("\U0001f600" * 100), 422)

    def full(self: Path, *_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        refused(add("new"), 507)
    with monkeypatch.context() as patch:
        patch.setattr(own.engine, "_store", own.engine.folder / "in.ris")
        refused(add("in.ris"), 403)
    assert tree() == before
    response = add("\U0001f600" * 60)
    assert response.status_code == 201
    name = f"upload-{hashlib.sha256(stranger).hexdigest()[:16]}.png"
    assert response.json()["picture"]["path"].endswith(f"/{name}")
    assert writing.MAX_NAME == 255


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", ""])
def test_an_empty_token_admits_nobody(engine: SearchEngine, header: str) -> None:
    with running(engine, replace(Settings(port=0), token="")) as live:
        refused(live.client.post("/api/sync", headers={"Authorization": header}), 401)
