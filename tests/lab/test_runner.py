import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from threadpoolctl import threadpool_info

from ris.artifacts import read_json, write_array, write_json, write_table, writing
from ris.lab import config, layout
from ris.lab.config import Params
from ris.lab.layout import Tree
from ris.lab.runner import compute_on
from ris.lab.stages.clean import clean

Invoke = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]
FullDisk = Callable[[], contextlib.AbstractContextManager[None]]

# Writes out/, and while ./hold exists it stays in the middle of that. Lightning, too, has its own idea of
# what to do when it is interrupted.
STAGE = """
import time
from pathlib import Path
from ris.artifacts import writing
from ris.lab.runner import run

def stage(params, tree):
    with writing(tree.write("out")) as fresh:
        fresh.mkdir()
        (fresh / "part").write_text(str(params.seed))
        print("half", flush=True)
        try:
            while Path("hold").exists():
                time.sleep(0.02)
        except KeyboardInterrupt:
            raise SystemExit(1)

if __name__ == "__main__":
    run(stage)
"""


def note(params: Params, tree: Tree) -> dict[str, Any]:
    """A stage that writes a parameter, beside what it finds."""
    given = tree.read("given.json")
    write_json(tree.write("out/note.json"), {"n": params.pca.n_components, "given": read_json(given)})
    return {"length": 3}


def idle(params: Params, tree: Tree) -> None:
    """A stage that does nothing."""


def files(tree: Path) -> dict[str, str]:
    return {
        path.relative_to(tree).as_posix(): path.read_text()
        for path in tree.rglob("*")
        if path.is_file() and path.parts[-2:] != (".ris", "lock")
    }


def only_run(tree: Path) -> dict[str, Any]:
    (folder,) = (tree / "multirun").iterdir()
    return {path.name: folder / path.name for path in folder.iterdir()}


@pytest.fixture
def given(tree: Path) -> Path:
    (tree / "given.json").write_text('"from the project"')
    return tree


def test_a_run_writes_its_artefacts_and_what_it_took(given: Path, invoke: Invoke) -> None:
    before = files(given)
    ended = invoke(note)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    made = files(given)
    assert set(made) - set(before) == {"out/note.json", "reports/timings/note.json"}
    assert json.loads(made["out/note.json"]) == {"n": 4, "given": "from the project"}
    took = json.loads(made["reports/timings/note.json"])
    (peak,) = (value for key, value in took.items() if key.endswith("_bytes"))
    assert (took["length"], took["seconds"] >= 0, peak > 2**20) == (3, True, True)
    assert {name: made[name] for name in before} == before


def test_overrides_by_hand(given: Path, invoke: Invoke) -> None:
    assert invoke(note, "pca.n_components=0.5", "++seed=3").returncode == 0
    assert read_json(given / "out/note.json")["n"] == 0.5


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("pca.n_component=64", "Unknown key `pca.n_component`; did you mean `pca.n_components`?"),
        ("finetun.epochs=1", "Unknown key `finetun`; did you mean `finetune`?"),
        ("+size=1", "Unknown key `size`; known here: seed, "),
        (
            "pca.n_components.x=1",
            "Unknown key `pca.n_components.x`; `pca.n_components` is a value, set that.",
        ),
        ("pca.n_components=0", "Bad value for `pca.n_components`: "),
        ("pca.n_components=null", "Bad value for `pca.n_components`: "),
        ("extract.precision=fp8", "Bad value for `extract.precision`: "),
        ("seed=true", "Bad value for `seed`: it must not be true or false (got True)."),
        ("seed=???", "seed"),
        ("seed=${nowhere}", "nowhere"),
        ("~seed", "Key `seed` is missing"),
        ("data=folder", "`data` is a section; "),
        ("pca.n_components=[1", "Cannot read the overrides "),
        ("pca.n_components", "pca.n_components"),
        ("pca.n_components=8,16", "--multirun"),
        ("hydra.nothing=1", "hydra.nothing"),
        ("hydra/launcher=nothing", "hydra/launcher"),
    ],
)
def test_bad_overrides_are_told_in_one_sentence(
    override: str, said: str, given: Path, refused: Refused
) -> None:
    before = files(given)
    assert said in refused(note, override)
    assert files(given) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seed: 0", "sead: 0"), "Unknown key `sead`; did you mean `seed`?"),
        (("seed: 0", "seed: 0\nseed: 1"), "duplicate key seed"),
        (("seed: 0", "seed: [0"), "params.yaml is not valid YAML"),
        (("whiten: 0.0", "whiten: 7"), "Bad value for `pca.whiten`"),
    ],
)
def test_a_bad_parameter_file_is_told_in_one_sentence(
    change: tuple[str, str], said: str, given: Path, refused: Refused
) -> None:
    params = given / "params.yaml"
    assert change[0] in params.read_text()
    params.write_text(params.read_text().replace(*change))
    before = files(given)
    assert said in refused(note)
    params.unlink()
    assert refused(note) == "params.yaml is missing; run from the project's root."
    assert files(given) == {"given.json": before["given.json"]}


def test_hydras_own_flags_are_left_to_hydra(given: Path, invoke: Invoke) -> None:
    before = files(given)
    shown = invoke(note, "--cfg", "job", "pca.n_components=7")
    assert (shown.returncode, "n_components: 7" in shown.stdout) == (0, True)
    assert invoke(note, "--help").returncode == 0
    assert files(given) == before


def test_a_sweep_gives_each_job_a_folder_and_reads_the_project(given: Path, invoke: Invoke) -> None:
    before = files(given)
    ended = invoke(note, "--multirun", "pca.n_components=8,16", "index_annoy.n_trees=1,2")
    assert (ended.returncode, ended.stderr) == (0, "")
    jobs = only_run(given)
    assert set(jobs) == {"0", "1", "2", "3", "multirun.yaml"}
    for job, n_components in zip("0123", (8, 8, 16, 16), strict=True):
        assert read_json(jobs[job] / "out/note.json") == {"n": n_components, "given": "from the project"}
        assert set(files(jobs[job])) == {"out/note.json", "params.yaml", "reports/timings/note.json"}
        assert config.load(jobs[job] / "params.yaml").pca.n_components == n_components
    assert {name: text for name, text in files(given).items() if not name.startswith("multirun/")} == before


def test_a_sweep_refuses_a_key_that_its_stage_does_not_read(given: Path, refused: Refused) -> None:
    stages = {"note": {"params": ["seed", "pca"]}, "other": {"params": ["finetune"]}}
    (given / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    for key in ("finetune.learning_rate", "clean.query_share", "extract.precision"):
        told = refused(note, "--multirun", f"{key}=0.1,0.2", "pca.n_components=8")
        assert told == f"`{key}` changes nothing here: note reads seed, pca."
    assert not (given / "multirun").exists()


def test_help_says_what_the_project_and_the_stage_are_and_what_it_takes(given: Path, invoke: Invoke) -> None:
    (given / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"note": {"params": ["seed", "pca"]}}}))
    told = invoke(note, "--help").stdout
    assert told.startswith("Reverse image search")
    assert str(note.__doc__ and sys.modules[note.__module__].__doc__) in told
    assert told.endswith("explained in src/ris/lab/config.py:\n  seed\n  pca\n\n")


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("threads", [1, 2])
def test_sums_are_computed_on_the_threads_that_are_set(invoke: Invoke, threads: int) -> None:
    found = []

    def stage(_params: Params, _tree: Tree) -> None:
        found.extend([torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())])

    before = torch.get_num_threads()
    try:
        assert invoke(stage, f"threads={threads}").returncode == 0
    finally:
        compute_on(before)
    assert set(found) == {threads}


def test_a_job_reads_what_it_made_itself(given: Path, invoke: Invoke) -> None:
    def stage(params: Params, tree: Tree) -> None:
        write_json(tree.write("given.json"), "its own")
        note(params, tree)

    assert invoke(stage, "--multirun", "seed=1,2").returncode == 0
    assert read_json(only_run(given)["1"] / "out/note.json")["given"] == "its own"
    assert read_json(given / "given.json") == "from the project"


def test_a_bad_value_in_a_sweep_ends_it(given: Path, refused: Refused) -> None:
    assert "`pca.n_components`" in refused(note, "--multirun", "pca.n_components=8,0")
    assert not (only_run(given)["0"].parent / "1" / "out").exists()


def test_a_folder_with_the_name_of_a_section_is_no_choice(given: Path, refused: Refused) -> None:
    (given / "data").mkdir()
    (given / "data/folder.yaml").write_text("name: folder")
    assert refused(note, "data=folder").startswith("`data` is a section; ")


@contextlib.contextmanager
def holding(tree: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing out/."""
    (tree / "hold").touch()
    (tree / "stage.py").write_text(STAGE)
    command = [sys.executable, "stage.py"]
    with subprocess.Popen(
        command,
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "half\n"
            yield process
        finally:
            process.kill()


def rerun(tree: Path) -> None:
    (tree / "hold").unlink()
    done = subprocess.run([sys.executable, "stage.py"], cwd=tree, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    left = {name for name in files(tree) if not name.startswith(".ris/")}
    assert left == {"params.yaml", "stage.py", "out/part", "reports/timings/stage.json"}
    assert (tree / "out/part").read_text() == "0"


@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [
        (signal.SIGINT, 130, "Stage stage was interrupted"),
        (signal.SIGTERM, 143, "Stage stage was terminated"),
    ],
)
def test_an_interrupted_stage_leaves_what_was_there(
    sent: signal.Signals, code: int, said: str, tree: Path
) -> None:
    (tree / "out").mkdir()
    (tree / "out/part").write_text("old")
    with holding(tree) as process:
        before = files(tree)
        assert any(".out.partial" in name for name in before)
        process.send_signal(sent)
        _, error = process.communicate(timeout=60)
        assert process.returncode == code
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert files(tree) == {name: text for name, text in before.items() if ".out.partial" not in name}
    assert not (tree / ".out.partial").exists()
    rerun(tree)


def test_a_killed_stage_is_run_again(tree: Path) -> None:
    with holding(tree) as process:
        process.kill()
        process.wait(timeout=60)
    assert (tree / ".out.partial").exists()
    rerun(tree)
    assert not (tree / ".out.partial").exists()


def test_two_runs_at_once_in_a_tree(tree: Path, invoke: Invoke, refused: Refused) -> None:
    with holding(tree) as process:
        before = files(tree)
        assert refused(idle) == f"Another run works in {tree}; wait for it, or use another clone."
        assert files(tree) == before
        (tree / "hold").unlink()
        _, error = process.communicate(timeout=60)
        assert (process.returncode, error) == (0, "")
    assert invoke(idle).returncode == 0
    assert invoke(idle).returncode == 0


@pytest.mark.usefixtures("tree")
def test_a_run_that_fails_gives_its_tree_free(invoke: Invoke, refused: Refused) -> None:
    def failing(_params: Params, _tree: Tree) -> None:
        raise OSError(errno.EIO, "Input/output error", "disk")

    assert refused(failing) == "[Errno 5] Input/output error: 'disk'"
    assert invoke(idle).returncode == 0


def write_text(path: Path, text: str) -> None:
    with writing(path) as fresh:
        fresh.mkdir()
        (fresh / "part").write_text(text)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_array(path, np.ones((100, 100))),
        lambda path: write_table(path, pd.DataFrame({"a": np.random.default_rng(0).random(9999)})),
        lambda path: write_json(path, list(range(9999))),
        lambda path: write_text(path, "x" * 9999),
    ],
    ids=["array", "table", "json", "folder"],
)
def test_a_full_disk_is_told_in_one_sentence(
    write: Callable[[Path], None], tree: Path, refused: Refused, full_disk: FullDisk
) -> None:
    (tree / "out.parquet").write_text("old")
    before = files(tree)

    def stage(_params: Params, tree: Tree) -> None:
        with full_disk():
            write(tree.write("out.parquet"))

    sentence = refused(stage)
    assert sentence == "No space left to write the artefacts; free some and run again."
    assert files(tree) == before


@pytest.fixture
def public_tree(small_params: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tree that everybody reaches, used by somebody who is not root."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        (tree / "params.yaml").write_text(small_params)
        (tree / ".ris").mkdir()
        (tree / "reports").mkdir()
        Path(folder).chmod(0o755)
        for path in (tree, tree / ".ris", tree / "reports"):
            path.chmod(0o777)
        monkeypatch.chdir(tree)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        yield tree
        os.seteuid(user)
        for path in tree.rglob("*"):
            path.chmod(0o755)


@contextlib.contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    """Change the mode of what may be another's."""
    user = os.geteuid()
    before = path.stat().st_mode
    os.seteuid(os.getuid())
    path.chmod(bits)
    os.seteuid(user)
    yield
    os.seteuid(os.getuid())
    path.chmod(before)
    os.seteuid(user)


def test_a_folder_that_cannot_be_written(public_tree: Path, refused: Refused) -> None:
    def stage(_params: Params, tree: Tree) -> None:
        write_json(tree.write("out/note.json"), 1)

    with mode(public_tree, 0o555):
        sentence = refused(stage)
    assert (
        sentence == f"{public_tree / 'out'} may not be read or written; change its permissions and run again."
    )
    (public_tree / "out").mkdir()
    (public_tree / "out/note.json").write_text("old")
    with mode(public_tree / "out", 0o555):
        assert f"{public_tree / 'out'}/" in refused(stage)
        assert files(public_tree / "out") == {"note.json": "old"}


def test_pictures_that_cannot_be_read(public_tree: Path, refused: Refused) -> None:
    images = public_tree / layout.IMAGES
    (images / "ant").mkdir(parents=True)
    for folder in (images / "ant", images):
        with mode(folder, 0o000):
            assert str(folder) in refused(clean)
    assert sorted(path.name for path in (public_tree / "data").iterdir()) == ["raw"]


def test_a_tree_that_cannot_be_locked_or_read(public_tree: Path, refused: Refused) -> None:
    with mode(public_tree / ".ris", 0o555):
        assert ".ris/lock may not be read or written" in refused(idle)
    with mode(public_tree / "params.yaml", 0o000):
        assert refused(idle).startswith("params.yaml may not be read or written; change its permissions")
