"""Weights from the Hub, of a local server: resumed, noted at first use, checked ever after, had offline."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub.constants
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save

from ris.encoders import hub
from ris.encoders.registry import named
from ris.errors import RisError

REPOSITORY = "timm/test_vit.r160_in1k"
SOURCE = f"hub:{REPOSITORY}"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Served:
    """What the server has, and what it was asked for."""

    content: bytes
    commit: str = COMMIT
    cut: int | None = None
    """Bytes after which an answer breaks off, once."""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and range."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    torch.manual_seed(0)
    what = Served(save(timm.create_model("test_vit").state_dict()))

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            wanted = self.headers.get("Range")
            what.asked.append((self.command, self.path, wanted))
            revision = self.path.removeprefix(f"/{REPOSITORY}/resolve/").partition("/")[0]
            if revision not in ("main", what.commit) or not self.path.endswith(hub.FILE):
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and body else 0
            length = len(what.content)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", f"{length - start}")
            self.send_header("X-Repo-Commit", what.commit)
            self.send_header("ETag", f'"{hashlib.sha256(what.content).hexdigest()}"')
            if start:
                self.send_header("Content-Range", f"bytes {start}-{length - 1}/{length}")
            self.end_headers()
            if body:
                end, what.cut = what.cut, None
                self.wfile.write(what.content[start:end])

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("RIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", address)
    for name in ("HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub/hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    yield what
    server.shutdown()
    server.server_close()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_what_is_taken_first_is_noted_and_taken_ever_after(served: Served) -> None:
    file = hub.fetch(SOURCE, None)
    assert file.read_bytes() == served.content
    noted = json.loads(hub.notes().read_text())
    assert noted == {SOURCE: {"revision": COMMIT, "sha256": sha256(served.content)}}
    assert hub.fetch(SOURCE, None) == file
    assert json.loads(hub.notes().read_text()) == noted
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in served.asked[2:])


def test_other_bytes_than_those_noted_are_refused(served: Served) -> None:
    """Whatever changed them: here the file of the cache, as a mirror would."""
    file = hub.fetch(SOURCE, None)
    file.resolve().write_bytes(served.content[:-1] + b"\0")
    with pytest.raises(RisError, match=f"{sha256(served.content)} is expected"):
        hub.fetch(SOURCE, None)


def test_a_checksum_that_is_known_is_checked_at_first_use(served: Served) -> None:
    with pytest.raises(RisError, match="sha256:0000 is expected"):
        hub.fetch(SOURCE, "sha256:0000")
    assert not hub.notes().exists()
    hub.fetch(SOURCE, sha256(served.content))


def test_a_revision_is_pinned(served: Served) -> None:
    hub.fetch(f"{SOURCE}@{COMMIT}", None)
    assert {path for _, path, _ in served.asked} == {f"/{REPOSITORY}/resolve/{COMMIT}/{hub.FILE}"}
    with pytest.raises(RisError, match="cannot be had"):
        hub.fetch(f"{SOURCE}@{'f' * 40}", None)


def test_a_transfer_that_breaks_off_is_resumed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the last whole piece on, of which the library writes ten megabytes at once."""
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    served.cut = 210_000
    assert hub.fetch(SOURCE, None).read_bytes() == served.content
    assert [wanted for method, _, wanted in served.asked if method == "GET"] == [None, "bytes=200000-"]


def test_offline_what_is_there_is_used_and_the_rest_is_a_sentence(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RisError, match=r"cannot be had: .*; get model\.safetensors of .* with --weights\.$"):
        hub.fetch(SOURCE, None)
    assert served.asked == []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    file = hub.fetch(SOURCE, None)
    del served.asked[:]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert hub.fetch(SOURCE, None) == file
    assert served.asked == []


def test_notes_that_are_damaged_are_a_sentence(served: Served) -> None:
    hub.notes().parent.mkdir(parents=True)
    hub.notes().write_text("[]")
    with pytest.raises(RisError, match="is damaged; delete it"):
        hub.fetch(SOURCE, None)
    assert served.asked == []


def test_a_store_is_built_with_what_is_loaded_and_then_needs_no_server(
    served: Served, tmp_path: Path
) -> None:
    """From the command line, by `timm:` and the name; the store keeps the weights."""
    (tmp_path / "photos").mkdir()
    for grey in (10, 100, 200):
        Image.new("RGB", (200, 180), (grey, 0, 90)).save(tmp_path / f"photos/{grey}.png")

    def ris(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ris.cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    name = f"timm:{REPOSITORY.removeprefix('timm/')}"
    assert named(name).weights.source == SOURCE
    built = ris("build", "photos", "photos.ris", "--encoder", name, "--no-same-picture")
    assert built.returncode == 0, built.stderr
    asked = len(served.asked)
    (tmp_path / "hub").rename(tmp_path / "elsewhere")
    found = ris("search", "photos.ris", "photos/100.png", "--json", "-k", "1")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)[0]["hits"][0]["picture"]["path"] == "100.png"
    assert len(served.asked) == asked
    told = ris("info", "photos.ris", "--json")
    assert json.loads(told.stdout)["encoder"] == name
