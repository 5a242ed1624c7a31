import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from ris.evaluation import plots

INDEXES = ("knn", "knn_pca", "annoy")


def curves() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "train_loss": [3.0, 2.0, 1.5],
            "validation_mAP@R": [0.6, 0.7, 0.65],
            "learning_rate": [1e-3, 5e-4, 1e-4],
        }
    )


def recall_curve() -> pd.DataFrame:
    rows = [
        (index, trees, search_k, 1 - 1 / search_k**0.3, search_k / 1e4 * trees)
        for index in ("annoy", "annoy_pca")
        for trees in (10, 50)
        for search_k in (100, 1000)
    ]
    return pd.DataFrame(rows, columns=["index", "n_trees", "search_k", "ann_recall@10", "p50_ms"])


def same_class() -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    return {
        encoder: {
            index: {"mAP@R": {"macro": 0.5 + 0.1 * i, "macro_ci95": [0.4, 0.8]}}
            for i, index in enumerate(INDEXES)
        }
        for encoder in ("finetuned", "pretrained")
    }


def points(line: Line2D) -> npt.NDArray[np.float64]:
    return np.asarray(line.get_xydata(), dtype=np.float64)


FIGURES: dict[str, Callable[[], Figure]] = {
    "explained_variance": lambda: plots.explained_variance(np.array([0.5, 0.25, 0.125]), 2),
    "learning_curves": lambda: plots.learning_curves(curves()),
    "recall_latency": lambda: plots.recall_latency(recall_curve(), {"annoy": 1.0, "annoy_pca": 0.1}),
    "metric_overview": lambda: plots.metric_overview(same_class(), ["mAP@R"]),
    "per_class": lambda: plots.per_class(
        pd.DataFrame({"label": ["ant", "bass"], "pretrained": [0.2, 0.9], "finetuned": [0.8, 0.5]}), "mAP@R"
    ),
    "confusions": lambda: plots.confusions(
        pd.DataFrame({"label": ["ant", "bass"], "wrong_label": ["crab", "$x"], "share": [0.2, 0.1]})
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_plot_is_the_same_bytes_each_time_and_carries_no_metadata(name: str, tmp_path: Path) -> None:
    for file in ("a.png", "b.png"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            plots.save(FIGURES[name](), tmp_path / file)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.info.keys() <= {"transparency"}
        assert image.width == round(plots.WIDTH * 220)
        assert len(set(image.convert("L").get_flattened_data())) > 2


def test_the_reader_s_own_matplotlib_settings_change_nothing(tmp_path: Path) -> None:
    plots.save(FIGURES["confusions"](), tmp_path / "plain.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 50}):
        plots.save(FIGURES["confusions"](), tmp_path / "own.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "own.png").read_bytes()


def test_explained_variance_draws_the_running_sum() -> None:
    drawn = points(FIGURES["explained_variance"]().axes[0].lines[0])
    np.testing.assert_allclose(drawn, np.array([[1, 0.5], [2, 0.75], [3, 0.875]]))


def test_learning_curves_mark_the_best_epoch() -> None:
    loss, score, _ = FIGURES["learning_curves"]().axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 3.0], [2, 2.0], [3, 1.5]]  # type: ignore[union-attr]
    assert score.texts[0].get_text() == "0.700"


def test_learning_curves_say_that_there_was_no_training() -> None:
    (axes,) = plots.learning_curves(curves().iloc[:0]).axes
    assert "finetune.epochs" in axes.get_title(loc="left")


def test_recall_latency_has_a_panel_an_index_and_a_line_a_number_of_trees() -> None:
    panels = FIGURES["recall_latency"]().axes
    assert [panel.get_title(loc="left") for panel in panels] == ["ANNOY", "ANNOY with PCA"]
    for panel, exact in zip(panels, (1.0, 0.1), strict=True):
        assert [line.get_label() for line in panel.lines] == ["10 trees", "50 trees", "exact KNN"]
        assert panel.get_xscale() == "log"
        np.testing.assert_allclose(points(panel.lines[2])[:, 0], exact)
        np.testing.assert_allclose(points(panel.lines[1])[:, 0], np.array([0.5, 5.0]))


def test_series_differ_by_marker_and_not_by_colour_alone() -> None:
    assert len({marker for _, marker in plots.SERIES}) == len(plots.SERIES)
    first, second = FIGURES["per_class"]().axes[0].lines
    assert first.get_marker() != second.get_marker()


def test_classes_are_sorted_by_the_last_encoder() -> None:
    labels = [text.get_text() for text in FIGURES["per_class"]().axes[0].get_yticklabels()]
    assert labels == ["ant", "bass"]


def test_names() -> None:
    assert [plots.index_name(index) for index in INDEXES] == ["KNN", "KNN with PCA", "ANNOY"]
    assert plots.encoder_name("finetuned") == "fine-tuned"
    assert plots.encoder_name("both") == "both, side by side"
