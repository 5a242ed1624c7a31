"""docs/new-index.md, followed to the letter in a copy of the project, with a further kind that is a real one.

What the page says is put where it says, and nothing else is changed. Files touched: four.

1. src/ris/indexes/hnsw.py, the class
2. src/ris/indexes/registry.py, its two entries
3. conf/config.yaml, its parameters and the values of its curve
4. dvc.yaml, its stage, and what that makes among the dependencies of those who ask every index
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
TOUCHED = {"src/ris/indexes/hnsw.py", "src/ris/indexes/registry.py", "conf/config.yaml", "dvc.yaml"}


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def insert(file: Path, text: str, before: str) -> None:
    """Put text before every place that holds other text."""
    old = file.read_text()
    assert before in old
    file.write_text(old.replace(before, text + before))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with a new kind of index in it."""
    copy = tmp_path_factory.mktemp("project") / "copy"
    for folder in ("src", "conf"):
        shutil.copytree(PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(PROJECT / "dvc.yaml", copy)
    before = contents(copy)

    page = (PROJECT / "docs/new-index.md").read_text()
    code, _, entries, section, curves, stage, made = re.findall(
        r"```(?:python|text)\n(.*?)```", page, re.DOTALL
    )
    (copy / "src/ris/indexes/hnsw.py").write_text(code)
    insert(copy / "src/ris/indexes/registry.py", entries, before=")\nREGISTRY")
    config = copy / "conf/config.yaml"
    config.write_text(f"{config.read_text()}\n{section}")
    insert(config, curves, before="  sample_queries:")
    insert(copy / "dvc.yaml", f"{stage}\n", before="  same_picture:\n    cmd:")
    insert(copy / "dvc.yaml", made, before="      - models/encoder\n      - models/pca\n")

    after = contents(copy)
    assert {name for name in after if before.get(name) != after[name]} == TOUCHED
    assert len(TOUCHED) <= 4
    return copy


def python(copy: Path, *arguments: str | Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(copy / "src")}
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_it_is_built_judged_timed_swept_tuned_and_offered(copy: Path) -> None:
    python(copy, PROJECT / "tests/lab/new_index.py")


def test_it_does_what_every_index_must(copy: Path) -> None:
    """The tests of all kinds take it in where they list the classes."""
    tests = copy / "tests"
    shutil.copytree(PROJECT / "tests/indexes", tests)
    insert(
        tests / "test_registry.py",
        "from ris.indexes.hnsw import HnswIndex\n",
        before="from ris.indexes.index import Index, tuned",
    )
    insert(tests / "test_registry.py", ", HnswIndex", before=")\nINDEXES = ")
    insert(tests / "test_registry.py", '    "hnsw": {"n_links": 8, "ef": 1},\n', before="}\nTHOROUGH")
    insert(tests / "test_registry.py", '    "hnsw": {"ef": 1000},\n', before='}\n"""Values of')
    python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests / "test_registry.py")


def test_the_stages_of_the_copy_are_those_of_its_registry(copy: Path) -> None:
    stages = yaml.safe_load((copy / "dvc.yaml").read_text())["stages"]
    made = ["indexes/hnsw", "indexes/hnsw_pca", "reports/timings/index_hnsw.json"]
    assert stages["index_hnsw"]["outs"][:2] == made[:2]
    for name in ("same_picture", "evaluate"):
        assert set(made) <= set(stages[name]["deps"])
    code = (
        "import yaml; from ris.lab import layout; "
        "assert list(layout.STAGES) == list(yaml.safe_load(open('dvc.yaml'))['stages'])"
    )
    python(copy, "-c", code)
