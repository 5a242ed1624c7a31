"""A dozen figures out of two thousand."""

import json
from pathlib import Path
from typing import Any

import yaml

from ris.lab.headline import headline

PROJECT = Path(__file__).parents[2]


def numbers(found: Any) -> list[float]:
    return (
        [found]
        if not isinstance(found, dict)
        else [one for value in found.values() for one in numbers(value)]
    )


def test_a_run_s_figures_stand_where_they_stood() -> None:
    metrics = json.loads((PROJECT / "reports/metrics.json").read_text())
    for encoder in metrics["unseen_class"].values():
        for index in encoder.values():
            index["mAP@R"] |= {"macro_new_to_imagenet": 0.25, "macro_known_to_imagenet": 0.75}
    found = headline(metrics)
    assert len(numbers(found)) == 13
    assert found["same_class"]["finetuned"]["knn_pca"]["mAP@R"] == {
        "macro": metrics["same_class"]["finetuned"]["knn_pca"]["mAP@R"]["macro"]
    }
    assert found["unseen_class"]["pretrained"]["knn"]["mAP@R"] == {"macro_new_to_imagenet": 0.25}
    verified = metrics["same_picture"]["pretrained"]["verified"]["recall@1"]
    assert found["same_picture"]["recall@1"] == {"mean": verified["mean"]}


def test_what_was_not_asked_is_not_there() -> None:
    assert headline({}) == {}
    assert headline({"same_class": {"finetuned": {"knn_pca": {"mAP@R": {"macro": 0.5}}}}}) == {
        "same_class": {"finetuned": {"knn_pca": {"mAP@R": {"macro": 0.5}}}}
    }


def test_it_is_the_only_metric_of_dvc() -> None:
    pipeline = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    metrics = [one for stage in pipeline["stages"].values() for one in stage.get("metrics", ())]
    assert [next(iter(one)) for one in metrics] == ["reports/headline.json"]
    outs = {
        next(iter(out)) if isinstance(out, dict) else out
        for stage in pipeline["stages"].values()
        for out in stage["outs"]
    }
    assert {"reports/metrics.json", "reports/latency.json"} <= outs
    assert {one["path"] for one in pipeline["artifacts"].values()} <= outs
