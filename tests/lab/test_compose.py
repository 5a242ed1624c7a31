import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ris.errors import RisError
from ris.lab import compose, config
from ris.lab.compose import check_overrides, composed

CONF = Path(__file__).parents[2] / "conf"


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *overrides: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["compose", *overrides])
    compose.main()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conf").symlink_to(CONF)
    return tmp_path


def test_what_is_written_is_what_stages_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, project, "experiment=demo", "pca.n_components=0.9", "finetune.learning_rate=2e-4")
    params = config.load(project / "params.yaml")
    assert (params.data.name, params.pca.n_components, params.finetune.learning_rate) == ("demo", 0.9, 2e-4)
    raw = composed(CONF, ["experiment=demo", "pca.n_components=0.9", "finetune.learning_rate=2e-4"])
    assert params == config.check(OmegaConf.to_container(raw))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("pca.n_component=3", "Unknown key `pca.n_component`; did you mean `pca.n_components`?"),
        ("+pca.size=3", "Unknown key `pca.size`; known here: n_components, whiten, shrinkage, "),
        ("pca.n_components=0", "Bad value for `pca.n_components`: "),
        ("data=flowers", "data/flowers"),
        ("backbone=vgg", "resnet50"),
        ("experiment=lite", "lite0"),
        ("data=folder", "data.source"),
        ("pca={n_components:3}", "`pca` is a section; "),
        ("pca.n_components=[", "Cannot read the overrides"),
        ("pca", "Cannot compose"),
        ("~seed", "Key `seed` is missing"),
    ],
)
def test_bad_overrides_are_told_in_one_sentence_and_change_nothing(
    override: str,
    said: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (project / "params.yaml").write_text("old")
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, project, override)
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert (project / "params.yaml").read_text() == "old"
    assert sorted(path.name for path in project.iterdir()) == ["conf", "params.yaml"]


def test_outside_of_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, tmp_path, "experiment=demo")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: conf/config.yaml is missing; run from the project's root.\n"
    assert list(tmp_path.iterdir()) == []


def test_keys_of_hydra_and_groups_are_let_through() -> None:
    check_overrides(["hydra.sweep.dir=x", "hydra/launcher=basic", "data=folder", "seed"], groups=["data"])
    with pytest.raises(RisError, match="`data` is a section"):
        check_overrides(["data=folder"])
    with pytest.raises(RisError, match=r"did you mean `data\.source`"):
        check_overrides(["data.sorce=x"], groups=["data"])
    with pytest.raises(RisError, match="Unknown key `hydr`"):
        check_overrides(["hydr.sweep.dir=x"])
