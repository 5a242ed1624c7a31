"""`make demo`: the whole pipeline on the built-in pictures, in a tree of its own beside the project's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from omegaconf import OmegaConf

from ris.artifacts import read_json
from ris.indexes.registry import REGISTRY
from ris.lab import layout
from ris.lab.compose import composed

DEMO = Path(".demo")


def grow(tree: Path, project: Path, overrides: list[str]) -> None:
    """Make `tree` a place where `dvc repro` runs this project's stages with other parameters.

    Args:
        tree: a folder, made where it is missing; artefacts of an earlier run in it stay.
        project: the project's root.
        overrides: of conf/, such as `experiment=demo`.

    Raises:
        RisError: the overrides do not compose.
    """
    params = composed(project / "conf", overrides)
    tree.mkdir(exist_ok=True)
    shutil.copytree(
        project / "src", tree / "src", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy2(project / name, tree)
    (tree / "params.yaml").write_text(OmegaConf.to_yaml(params))
    if not (tree / ".dvc").is_dir():
        _dvc(tree, "init", "--no-scm", "--quiet")


def repro(tree: Path) -> None:
    """Run what is out of date in a tree, and exit as DVC does where that fails."""
    _dvc(tree, "repro")


def _dvc(tree: Path, *arguments: str) -> None:
    python = Path(sys.executable)
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run([python, "-m", "dvc", *arguments], cwd=tree, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def main() -> None:
    """Run the demo and say in one line what was measured and where the report is."""
    grow(DEMO, Path.cwd(), ["experiment=demo"])
    repro(DEMO)
    metrics = read_json(DEMO / layout.METRICS)["same_class"]
    index = layout.SHOWN_INDEX
    tuned, plain = (metrics[name][index]["precision@10"] for name in ("finetuned", "pretrained"))
    latency = read_json(DEMO / layout.LATENCY)["search"][index]["p50_ms"]
    low, high = tuned["macro_ci95"]
    print(
        f"Measured on {tuned['n']} queries: precision@10 {tuned['macro']:.3f} (95 % interval {low:.3f} to "
        f"{high:.3f}; macro, {REGISTRY[index].label}; {plain['macro']:.3f} before fine-tuning), "
        f"{latency:.3f} ms a search. "
        f"Report: {(DEMO / layout.REPORT).resolve()}"
    )


if __name__ == "__main__":
    main()
