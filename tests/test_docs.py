"""Every code block in README.md and docs/ runs, but for those that are marked in the source and listed here.

A mark is a comment on the line before the block, which readers do not see: `<!-- not run: the reason -->`.

The blocks of a page run in their order, Python ones in one namespace, in a folder of the page's own. There
lie drawn pictures, `photos`; one of them cropped, `query.jpg`; and `photos.ris`, unless the page makes it.
"""

import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import httpx
import pytest
import uvicorn
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from ris.cli.app import app
from ris.engine import SearchEngine
from ris.lab.data.drawn import draw_files
from ris.serve import Settings, create_app

PROJECT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(str(page.relative_to(PROJECT)) for page in (PROJECT / "docs").rglob("*.md"))]
MAKE_THE_STORE = {"README.md", "docs/index.md", "docs/tutorial.md", "docs/how-to/index.md"}
"""Pages that begin without a store."""
NOT_RUN: dict[str, list[str]] = {
    "README.md": [
        "make demo",
        "python3 -m venv .venv",
        "ris serve photos.ris",
        "dvc repro",
    ],
    "docs/install.md": ["python3 -m venv .venv", "pip install '.[server]'"],
    "docs/how-to/words.md": ["pip install 'ris[torch]'"],
    "docs/how-to/assistant.md": ["pip install 'ris[mcp]'"],
    "docs/how-to/beyond-one-machine.md": [
        "pip install 'ris[remote]'",
        "ris serve s3://bucket/photos.ris --follow",
        """curl -s -X POST -H "Authorization: Bearer $RIS_TOKEN" 'http://127.0.0.1:8000/api/version?number=15'""",
        "pip install 'ris[ray]'",
        "ris duplicates s3://bucket/photos.ris --ray auto",
    ],
    "docs/how-to/calibrate.md": [
        "ris calibrate photos.ris --judged pairs.csv --sheet pairs.html",
        "ris calibrate photos.ris --rate 0.001 --strangers 6000",
    ],
    "docs/how-to/encoder.md": [
        "pip install 'ris[backbones]'",
        "ris build photos photos-dino.ris --encoder dinov2_small",
        "ris build photos photos-mine.ris --encoder models/encoder",
        "ris evaluate photos --encoder efficientnet_lite0",
    ],
    "docs/how-to/export.md": ["pip install tensorboard"],
    "docs/how-to/follow-a-folder.md": ["ris sync photos.ris --watch"],
    "docs/how-to/python.md": ["from multiprocessing import get_context"],
    "docs/how-to/serve.md": [
        "ris serve photos.ris",
        "RIS_TOKEN=choose-a-long-one ris serve photos.ris --host 0.0.0.0 --name pictures.example.org",
    ],
    "docs/how-to/train.md": [
        "make setup",
        "dvc exp run -S data=folder -S data.source=/path/to/pictures",
        "dvc exp run -S 'unseen.draws=[0,1,2]'",
        "dvc exp run -S logger=csv -S finetune.epochs=8",
        "python -m ris.lab.stages.pca pca.n_components=64",
        "python -m ris.lab.tuning",
        "python -m ris.lab.training_sweep",
        "python -m ris.lab.ablation",
    ],
    "docs/http-api.md": ["export RIS_TOKEN=$(openssl rand -hex 32)"],
    "docs/tutorial.md": ["ris serve photos.ris"],
}
"""By page, the first command of each block that is marked as not run."""
SHELL, PYTHON = ("console", "sh", "bash"), ("python",)
LABELS = {"balloon": 3, "cactus": 4, "fish": 4}
ADDRESS = "http://127.0.0.1:8000"
TOKEN = "a token of the tests"


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: str
    line: int
    kind: str
    code: str
    reason: str | None
    """Why it is not run."""


def blocks(page: str) -> list[Block]:
    """Read the code blocks of a page, in their order."""
    found: list[Block] = []
    lines = (PROJECT / page).read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        if start is None and line.lstrip().startswith("```"):
            start = number
        elif start is not None and line.strip() == "```":
            mark = re.fullmatch(r"\s*<!-- not run: (.+) -->", lines[start - 1])
            code = "\n".join(lines[start + 1 : number])
            kind = lines[start].strip().removeprefix("```").strip()
            found.append(Block(page, start + 2, kind, code, mark[1] if mark else None))
            start = None
    assert start is None, f"{page} has a block without an end"
    return found


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the examples begin with."""
    folder = tmp_path_factory.mktemp("example")
    kept = dict.fromkeys(LABELS, 0)
    for path, content in islice(draw_files(1), 140):
        label = path.split("/")[0]
        if kept.get(label, 99) < LABELS.get(label, 0):
            kept[label] += 1
            file = folder / "photos" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    assert kept == LABELS
    picture = Image.open(folder / "photos/cactus/image_0001.jpg").convert("RGB")
    width, height = picture.size
    stream = BytesIO()
    picture.crop((width // 12, height // 12, width * 11 // 12, height * 11 // 12)).save(
        stream, "JPEG", quality=85
    )
    (folder / "query.jpg").write_bytes(stream.getvalue())
    SearchEngine.build(folder / "photos", folder / "photos.ris").close()
    return folder


def working(page: str, example: Path, tmp_path: Path) -> Path:
    """Return the folder in which a page's blocks run, as it is before the first of them."""
    folder = tmp_path / "working"
    if not folder.exists():
        shutil.copytree(example, folder)
        if page in MAKE_THE_STORE:
            shutil.rmtree(folder / "photos.ris")
    return folder


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serve a store, and yield where."""
    with SearchEngine.open(store) as engine, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(create_app(engine, Settings(token=TOKEN)), log_level="error", ws="none")
        )
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            while httpx.get(f"{address}/ready").status_code != 200:
                time.sleep(0.1)
            yield address
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_says_why_and_is_listed(page: str) -> None:
    marked = [block for block in blocks(page) if block.reason]
    assert [re.split(r" +#", block.code.splitlines()[0])[0] for block in marked] == NOT_RUN.get(page, [])
    for block in blocks(page):
        assert block.kind in (*SHELL, *PYTHON, "text", "yaml", ""), (
            f"{page}:{block.line}: what is {block.kind}?"
        )
    text = (PROJECT / page).read_text(encoding="utf-8")
    assert text.count("<!-- not run: ") == len(marked), "a mark stands before no block"


def test_what_is_listed_is_there() -> None:
    assert set(NOT_RUN) | MAKE_THE_STORE <= set(PAGES)


@pytest.mark.parametrize("page", [page for page in PAGES if any(not block.reason for block in blocks(page))])
def test_blocks_run(page: str, example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks(page):
        if block.reason or block.kind not in (*SHELL, *PYTHON):
            continue
        folder = working(page, example, tmp_path)
        monkeypatch.chdir(folder)
        if block.kind in PYTHON:
            # So that a traceback names the page and its line.
            code = compile("\n" * (block.line - 1) + block.code, str(PROJECT / page), "exec")
            exec(code, names)
        elif ADDRESS in block.code:
            with served(folder / "photos.ris") as address:
                run_shell(block, folder, address)
        else:
            run_shell(block, folder)


def run_shell(block: Block, folder: Path, address: str = ADDRESS) -> None:
    """Run a shell block line by line, each of which must end with 0."""
    for number, line in commands(block):
        ended = run_line(line.replace(ADDRESS, address), folder)
        assert ended.returncode == 0, f"{block.page}:{number}: {line}\n{ended.stdout}{ended.stderr}"
        assert "Traceback" not in ended.stderr
        problem = re.search(r'"status":[45]\d\d', ended.stdout)
        assert not problem, f"{block.page}:{number}: {line}\n{ended.stdout}"


def commands(block: Block) -> Iterator[tuple[int, str]]:
    """Yield the commands of a shell block and their lines."""
    pending = ""
    for number, line in enumerate(block.code.splitlines(), block.line):
        pending += line.removeprefix("$ ")
        if pending.endswith("\\"):
            pending = pending[:-1]
            continue
        if pending.strip() and not pending.lstrip().startswith("#"):
            yield number, pending
        pending = ""


def run_line(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell; `ris` alone without the imports of a new process."""
    alone = re.fullmatch(r"ris ([^|&;<>$*`#]*)(?:> (\S+) *)?(#.*)?", line)
    if alone:
        result = CliRunner().invoke(app, shlex.split(alone[1]), prog_name="ris")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        if alone[2]:
            (folder / alone[2]).write_text(result.stdout)
        return subprocess.CompletedProcess(line, result.exit_code, result.stdout, result.stderr)
    tools = folder.parent / "bin"
    if not tools.exists():
        tools.mkdir()
        (tools / "ris").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ris.cli "$@"\n')
        (tools / "ris").chmod(stat.S_IRWXU)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "RIS_TOKEN": TOKEN}
    script = ["bash", "-euo", "pipefail", "-c", line]
    return subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_command_is_described_in_full() -> None:
    page = (PROJECT / "docs/command.md").read_text(encoding="utf-8")
    options = {
        name: {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        for name, command in get_command(app).commands.items()  # type: ignore[attr-defined]
        if not command.hidden
    }
    everywhere = {"--json", "--help"}
    for name, has in options.items():
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, name
        told = set(re.findall(r"`(?:-\w`, `)?(--[a-z]+(?:-[a-z]+)*)", section[1]))
        as_search = options["search"] if "as `search`" in section[1] else set()
        assert has - everywhere - as_search <= told, name
        assert told <= has | {"--no-same-picture", "--where"}, name
    assert options["find"] - everywhere <= options["search"]


def test_the_http_api_is_described_in_full(example: Path) -> None:
    with SearchEngine.open(example / "photos.ris") as engine:
        schema = create_app(engine, Settings(token=TOKEN)).openapi()
    page = (PROJECT / "docs/http-api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \|", page, re.MULTILINE)
    described = set(re.findall(r"`(?:[A-Z]+ )?(/[^`?]+)", " ".join(rows)))
    shortened = {"/view": "/api/pictures/{row}/view"}
    assert {shortened.get(path, path) for path in described} == set(schema["paths"])


def test_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=PROJECT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = re.findall(
            r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?:)?//', page.read_text()
        )
        assert not loaded, f"{page.name} needs the network"
