from pathlib import Path
from typing import Any

import pytest

from ris.artifacts import write_json
from ris.errors import RisError
from ris.lab.config import load
from ris.lab.figures import (
    PAGES,
    ablations,
    benchmarks,
    blocks,
    classifiers,
    headline,
    in_a_store,
    learnt_from,
    near_duplicates,
    run,
    same_class,
    same_picture,
    store,
    training_sweep,
    tuning,
    unseen_class,
    with_figures,
)

PROJECT = Path(__file__).parents[2]
SCORE: dict[str, Any] = {"micro": 0.5, "macro": 0.25, "macro_ci95": [0.125, 0.375], "n": 7}
CELL = "0.500 / 0.250 (0.125 to 0.375)"
FOUND = {"knn_pca": dict.fromkeys(("precision@1", "precision@10", "mAP@R"), SCORE)}


def test_the_readme_says_what_the_reports_say() -> None:
    pages = [(PROJECT / page).read_text() for page in PAGES]
    figures = blocks(PROJECT / "reports")
    for page in pages:
        assert with_figures(page, figures) == page, "run `python -m ris.lab.figures`"
    assert all(f"<!-- figures: {name} -->" in "".join(pages) for name in figures)


def test_three_figures_a_question() -> None:
    told = {"mean": 0.5, "mean_ci95": [0.25, 0.75]}
    calibrated = {**told, "false_positive_rate": 0.0, "false_positive_rate_ci95": [0.0, 0.125]}
    apart = {**SCORE, "macro_new_to_imagenet": 0.75, "macro_new_to_imagenet_ci95": [0.625, 0.875]}
    unseen = dict.fromkeys(("precision@1", "precision@10", "mAP@R"), apart)
    written = headline(
        {
            "same_class": {"finetuned": FOUND},
            "unseen_class": {"pretrained": {"knn_pca": unseen}},
            "same_picture": {"pretrained": {"verified": {"recall@1": told, "recall_at_fpr01": calibrated}}},
        }
    )
    assert "precision@1 0.250 (0.125 to 0.375)" in written
    assert "classes new to ImageNet | precision@1 0.750 (0.625 to 0.875)" in written
    assert '"here", where it is not 0.000 (0.000 to 0.125)' in written


def test_the_same_kind() -> None:
    latency = {"search": {"knn_pca": {"p50_ms": 0.0625}}, "embed": {"p50_ms": 12.34}}
    pca = load(PROJECT / "params.yaml").pca
    written = same_class({"finetuned": FOUND, "pretrained": FOUND}, latency, pca)
    gallery = "ImageNet, the gallery"
    assert f"| KNN with PCA | fine-tuned | {gallery} | {CELL} | {CELL} | {CELL} | 0.062 ms |" in written
    assert f"| KNN with PCA | pre-trained | {gallery} (projection) | {CELL} | {CELL} | {CELL} |  |" in written
    assert learnt_from("pretrained", "knn", pca) == "ImageNet"
    assert "7 queries" in written
    assert "12.3 ms" in written


def test_classifiers_stand_beside_the_first_hit() -> None:
    assert classifiers({}) == ""
    written = classifiers({"pretrained": {"first_hit": SCORE, "linear_probe": SCORE}})
    assert f"| KNN, first hit | pre-trained | {CELL} |" in written
    assert f"| linear probe | pre-trained | {CELL} |" in written


def test_unseen_classes() -> None:
    assert "Not asked" in unseen_class({})
    of_draws = {"knn_pca": {**FOUND["knn_pca"], "mAP@R": {**SCORE, "macro_by_draw": [0.125, 0.375]}}}
    written = unseen_class({"finetuned": of_draws})
    assert f"| KNN with PCA | fine-tuned | {CELL} | {CELL} | {CELL} | 0.125, 0.375 |" in written
    assert "7 queries of 2 draws" in written
    assert "about these very classes" in written
    apart: dict[str, Any] = {"n_classes": 3}
    for end, value in (("new", 0.25), ("known", 0.75)):
        apart |= {f"macro_{end}_to_imagenet": value, f"macro_{end}_to_imagenet_ci95": [value, 1.0]}
    of_draws["knn_pca"]["mAP@R"] |= apart
    written = unseen_class({"finetuned": of_draws})
    assert "| mAP@R macro, classes new to ImageNet | mAP@R macro, classes known to ImageNet |" in written
    assert "| fine-tuned | 0.250 (0.250 to 1.000) | 0.750 (0.750 to 1.000) |" in written
    assert "about classes like these: a bootstrap over classes" in written


def test_ablations(tmp_path: Path) -> None:
    file = tmp_path / "ablations.csv"
    assert ablations(file) == "Not measured.\n"
    file.write_text(
        "experiment,question,n,seeds,mAP@R macro,"
        "mAP@R difference,mAP@R low,mAP@R high,mAP@R p,mAP@R by seed,minutes,device\n"
        "recipe,same_class,7,2,0.5,0,0,0,1,+0.0000 +0.0000,3.0,2 cores\n"
        "no_this,same_class,7,2,0.25,-0.25,-0.375,-0.125,0.0625,-0.2000 -0.3000,2.0,2 cores\n"
        "recipe,unseen_class,5,2,0.5,0,0,0,1,+0.0000 +0.0000,3.0,2 cores\n"
        "no_this,unseen_class,5,2,0.625,0.125,0,0.25,0.5,+0.1000 +0.1500,2.0,2 cores\n"
        "recipe,same_class,7,1,0.75,0,0,0,1,+0.0000,0.5,GPU\n"
        "recipe,unseen_class,5,1,0.625,0,0,0,1,+0.0000,0.5,GPU\n"
    )
    written = ablations(file)
    assert "| recipe | 0.500 |  |  |  | 0.500 |  |  |  | 3.0, 2 cores |" in written
    assert "| recipe | 0.750 |  |  |  | 0.625 |  |  |  | 0.5, GPU |" in written
    assert (
        "| no this | 0.250 | -0.250 (-0.375 to -0.125) | 0.062 | -0.2000 -0.3000 "
        "| 0.625 | +0.125 (+0.000 to +0.250) | 0.500 | +0.1000 +0.1500 | 2.0, 2 cores |"
    ) in written
    assert "7 of `same_class`, 5 of `unseen_class` validation pictures; means over seeds" in written
    assert "corrected for the 2 comparisons of the table (Holm)" in written


def test_the_best_of_each_search(tmp_path: Path) -> None:
    assert tuning(tmp_path) == "Not measured.\n"
    heads = "trial,index,pca.n_components,pca.whiten,pca.shrinkage,mAP@R macro,p50_ms\n"
    (tmp_path / "finetuned.csv").write_text(
        heads + "0,knn,,,,0.5,2.0\n1,knn_pca,8,0.5,0.1,0.25,0.5\n2,knn_pca,4,0.0,0.1,0.75,0.25\n"
    )
    (tmp_path / "pretrained_unseen3.csv").write_text(
        heads.replace("mAP", "pca.sharpness,mAP") + "0,knn_pca,8,0.25,1.0,12.0,0.625,0.125\n"
    )
    written = tuning(tmp_path)
    assert "| fine-tuned, 3 trials | all classes | KNN |  |  |  |  | 0.500 | 2.00 ms |" in written
    assert (
        "| fine-tuned, 3 trials | all classes | KNN with PCA | 0.1 | 0 | 4 | 0 | 0.750 | 0.25 ms |" in written
    )
    assert "| classes of draw 3, not learnt from | KNN with PCA | 1 | 12 | 8 | 0.25 | 0.625 |" in written
    assert written.count("KNN with PCA") == 2


def test_the_trials_of_a_training_sweep(tmp_path: Path) -> None:
    file = tmp_path / "training_sweep.csv"
    assert training_sweep(file) == "Not measured.\n"
    file.write_text(
        'trial,state,finetune.ema_decay,epochs,"mAP@R macro, same_class","mAP@R macro, unseen_class"\n'
        "0,complete,0.99,4,0.875,0.5\n1,pruned,0.0,2,,\n"
    )
    written = training_sweep(file)
    assert "| ema decay | epochs | mAP@R macro, `same_class` | mAP@R macro, `unseen_class` |" in written
    assert "| 0.99 | 4 | 0.875 | 0.500 |" in written
    assert "| 0 | 2 |  |  |" in written
    assert "1 of 2 trials were pruned" in written


def test_a_store_that_was_judged(tmp_path: Path) -> None:
    file = tmp_path / "store.json"
    assert store(file) == "Not measured.\n"
    found = {"micro": 0.5, "macro": 0.25, "macro_ci95": [0.125, 0.375], "n": 1200}
    other = {**found, "macro": 0.75}
    judged = {"precision@1": found, "precision@10": other, "mAP@R": found}
    write_json(file, {"queries": 1200, "indexes": {"reranked": judged}})
    written = store(file)
    one, two = "0.500 / 0.250 (0.125 to 0.375)", "0.500 / 0.750 (0.125 to 0.375)"
    assert f"| re-ranked | {one} | {two} | {one} |" in written
    assert "1,200 queries" in written


def test_what_benchmarks_measured(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.json"
    assert benchmarks(file) == "Not measured.\n"
    write_json(file, [{"command": "this.py DATA", "asked": "how fast", "measured": "twice as fast"}])
    assert "| `this.py DATA`: how fast | twice as fast |" in benchmarks(file)


def recall(mean: float) -> dict[str, Any]:
    return {"mean": mean, "mean_ci95": [0.1, 0.9], "per_edit": {"crop25": mean, "mirror": 1.0}, "n": 30}


def test_the_same_picture() -> None:
    assert "Not asked" in same_picture({}, {})
    calibrated = {
        **recall(0.95),
        "precision": 0.99,
        "precision_ci95": [0.98, 1.0],
        "false_positive_rate": 0.008,
        "false_positive_rate_ci95": [0.002, 0.015],
        "stated_false_positive_rate": 0.01,
        "threshold": 12.0,
        "n_absent": 75,
    }
    own = {
        "knn": {"recall@1": recall(0.7), "recall@30": recall(0.8), "recall@100": recall(0.85)},
        "whitened": {"recall@1": recall(0.75)},
        "candidates": {"recall@1": recall(0.85), "recall@100": recall(0.99)},
        "verified": {"recall@1": recall(0.97), "recall_at_fpr01": calibrated},
    }
    cost = {
        "p50_ms": 201.6,
        "p95_ms": 400.2,
        "present_p50_ms": 150.0,
        "queries": 100,
        "threads": 2,
        "local_features_bytes_per_picture": 27_200,
        "region_rows": 34_705,
    }
    written = same_picture({"finetuned": {"knn": own["knn"]}, "pretrained": own}, cost)
    assert "| cropped to 25% | 0.750 | 0.990 | 0.970 |" in written
    assert "all candidates, recall@100" in written
    assert "**0.970** (0.100 to 0.900)" in written
    assert "| KNN, fine-tuned | 0.700 (0.100 to 0.900) |" in written
    assert "false-positive rate of 1.0%: recall 0.950 (0.100 to 0.900), n = 30" in written
    assert "precision in this mix 0.990 (0.980 to 1.000)" in written
    own["verified"]["recall_at_fpr01"] = {**calibrated, "precision": None, "precision_ci95": None}
    assert "precision in this mix -." in same_picture({"pretrained": own}, cost)
    assert "202 ms at the median, 400 ms" in written
    assert "27.2 kB a picture; the regions add 34,705 vectors" in written


def test_a_store_was_asked() -> None:
    assert "Not asked" in in_a_store({})
    written = in_a_store(
        {
            "mean": 0.625,
            "mean_ci95": [0.5, 0.75],
            "per_edit": {"jpeg10": 1.0, "crop25": 0.5, "strip12": 0.25},
            "per_edit_n": dict.fromkeys(("jpeg10", "crop25", "strip12"), 8),
            "strangers": {"invoices": 0.0, "line_charts": 0.125, "icons": 0.25},
            "strangers_n": dict.fromkeys(("invoices", "line_charts", "icons"), 8),
            "strangers_mean": 0.125,
            "pictures": 1234,
        }
    )
    assert "| cut | 0.375 | cropped to 25% 0.50, a strip of 12% 0.25 |" in written
    assert "| the fifteen above | 0.750 |" in written
    assert "| **all** | **0.625** (0.500 to 0.750) |" in written
    assert "8 pictures an edit, of 1,234 in the store" in written
    assert "0.125 on average over 3 families of 8 each" in written
    assert "where there were any: icons 0.25, line charts 0.12." in written


def test_the_run_and_its_near_duplicates() -> None:
    timings: dict[str, Any] = {
        "clean": {"seconds": 60, "peak_memory_bytes": 1e9},
        "finetune": {"seconds": 1800, "peak_memory_bytes": 2.94e9, "epochs_unseen": [9, 9]},
    }
    assert "took 31 minutes, 30 of them for 3 trainings, and its largest process 2.9 GB" in run(timings)
    counts = {"groups": 640, "grouped": 1380, "groups_across_classes": 453, "largest_group": 8}
    assert "640 groups of 1,380 pictures, 453 of them across classes, the largest of 8" in near_duplicates(
        counts
    )


def test_blocks_are_replaced_each_by_its_own() -> None:
    readme = "a\n<!-- figures: one -->\nold\n<!-- /figures -->\nb\n<!-- figures: two -->\n<!-- /figures -->\n"
    written = with_figures(readme, {"one": "1\n", "two": "2\n"})
    assert written.split() == readme.replace("old", "1").replace("two -->\n", "two -->\n2\n").split()
    assert with_figures(written, {"one": "1\n", "two": "2\n"}) == written


def test_a_readme_without_markers_or_with_unknown_ones_is_refused() -> None:
    for readme in ("# Nothing here\n", "<!-- figures: odd -->\n<!-- /figures -->\n"):
        with pytest.raises(RisError, match="blocks of figures"):
            with_figures(readme, {"one": "1"})
