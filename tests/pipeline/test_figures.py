from pathlib import Path

import pytest

from ris.artifacts import read_json
from ris.errors import RisError
from ris.pipeline.figures import table, with_figures

PROJECT = Path(__file__).parents[2]


def test_the_readme_says_what_the_reports_say() -> None:
    readme = (PROJECT / "README.md").read_text()
    figures = table(read_json(PROJECT / "reports/metrics.json"), read_json(PROJECT / "reports/latency.json"))
    assert with_figures(readme, figures) == readme, "run `python -m ris.pipeline.figures`"


def test_the_table_is_that_of_the_numbers() -> None:
    score = {"micro": 0.5, "macro": 0.25, "macro_ci95": [0.125, 0.375], "n": 7}
    found = {"knn_pca": dict.fromkeys(("precision@1", "precision@10", "mAP@R"), score)}
    latency = {"search": {"knn_pca": {"p50_ms": 0.0625}}, "embed": {"p50_ms": 12.34}}
    same_class = {"finetuned": found, "pretrained": found}
    written = table({"same_class": same_class}, latency)
    cell = "0.500 / 0.250 (0.125 to 0.375)"
    assert f"| KNN with PCA | fine-tuned | {cell} | {cell} | {cell} | 0.062 ms |" in written
    assert "trained on: 7 queries" in written
    assert "never seen were not asked for" in written
    of_draws = {"knn_pca": {**found["knn_pca"], "mAP@R": {**score, "macro_by_draw": [0.125, 0.375]}}}
    written = table({"same_class": same_class, "unseen_class": {"finetuned": of_draws}}, latency)
    assert f"| KNN with PCA | fine-tuned | {cell} | {cell} | {cell} | 0.125, 0.375 |" in written
    assert "never trained on: 7 queries of 2 draws" in written


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(RisError, match="figures"):
        with_figures("# Nothing here\n", "1")
