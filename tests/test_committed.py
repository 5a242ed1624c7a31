"""What params.yaml, dvc.lock and reports/ hold is one run: none of them has moved on without the others."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    locked: dict[str, Any] = yaml.safe_load((PROJECT / "dvc.lock").read_text())["stages"]
    return locked


def value(params: Any, key: str) -> Any:
    for part in key.split("."):
        params = params[part]
    return params


def md5(path: Path) -> str:
    """As DVC has it: of a folder, the MD5 of the list of its files."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = [{"md5": md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def test_every_stage_was_run(stages: dict[str, Any]) -> None:
    assert set(stages) == set(yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"])


def test_the_parameters_are_those_of_the_run(stages: dict[str, Any]) -> None:
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for name, stage in stages.items():
        for key, locked in stage["params"]["params.yaml"].items():
            assert value(params, key) == locked, f"{name}: {key}"


def test_the_reports_are_those_of_the_run(stages: dict[str, Any]) -> None:
    outs = [out for stage in stages.values() for out in stage["outs"]]
    reports = [out for out in outs if out["path"].startswith("reports/")]
    assert len(reports) > 15
    for out in reports:
        assert md5(PROJECT / out["path"]) == out["md5"], out["path"]


def test_every_stage_read_what_the_one_before_it_wrote(stages: dict[str, Any]) -> None:
    written = {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            if dep["path"] in written:
                assert dep["md5"] == written[dep["path"]], f"{name}: {dep['path']}"
