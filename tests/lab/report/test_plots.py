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
from matplotlib.text import Annotation
from PIL import Image

from ris.copies.edits import EDITS
from ris.lab.report import plots

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


def recalls() -> dict[str, dict[str, float | None]]:
    return {
        "one vector": {"jpeg10": 1.0, "crop12": 0.25, "frame": 0.2},
        "regions and views": {"jpeg10": 1.0, "crop12": 0.5, "frame": 0.7},
        "verified": {"jpeg10": 1.0, "crop12": None, "frame": 0.8},
    }


EVIDENCE = np.array([0, 12, 40, 300]), np.array([0, 0, 0, 0, 6, 6, 9, 15]), 9.0
DISTANCES = np.array([-0.1, -0.5, -0.2, -0.4]), np.array([-0.9, -0.45]), -0.45


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
    "recall_per_edit": lambda: plots.recall_per_edit(recalls()),
    "score_distributions": lambda: plots.score_distributions(
        {"evidence": EVIDENCE, "minus the distance": DISTANCES}
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


def test_a_label_that_would_lie_on_another_is_left_out() -> None:
    curve = recall_curve()
    near = curve.assign(p50_ms=curve["p50_ms"].rank() / 1000 + 1, **{"ann_recall@10": 1.0})
    for table, labelled in ((curve, 2), (near, 1)):
        (axes, _) = plots.recall_latency(table, {"annoy": 1.0, "annoy_pca": 0.1}).axes
        assert len(axes.texts) == labelled


def test_points_of_the_front_are_numbered_and_those_side_by_side_share_a_label() -> None:
    trials = pd.DataFrame({"quality": [0.8, 0.9, 0.901, 0.5], "ms": [1.0, 10.0, 10.1, 5.0]})
    front = [{"quality": one.quality, "ms": one.ms} for one in trials.iloc[:3].itertuples()]
    figure = plots.pareto_front(trials, front, front[2], "quality", "ms", lambda one: f"{one['ms']} ms")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2-3"]
    told = figure.get_supxlabel().splitlines()
    assert told == [
        "1  1.0 ms",
        "2  10.0 ms",
        "3  10.1 ms",
        "circled: chosen",
        "not shown: 1 trials below 0.69",
    ]


def test_series_differ_by_marker_and_not_by_colour_alone() -> None:
    assert len({marker for _, marker in plots.SERIES}) == len(plots.SERIES)
    first, second = FIGURES["per_class"]().axes[0].lines
    assert first.get_marker() != second.get_marker()


def test_classes_are_sorted_by_the_last_encoder() -> None:
    labels = [text.get_text() for text in FIGURES["per_class"]().axes[0].get_yticklabels()]
    assert labels == ["ant", "bass"]


def test_each_edit_has_its_recall_in_each_way_of_searching() -> None:
    figure = FIGURES["recall_per_edit"]()
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "JPEG at quality 10",
        "cropped to 12%",
        "in a screenshot",
    ]
    for line, found in zip(axes.lines, recalls().values(), strict=True):
        expected = [[np.nan if recall is None else recall, row] for row, recall in enumerate(found.values())]
        np.testing.assert_array_equal(points(line), np.array(expected))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(recalls())
    assert len({line.get_marker() for line in axes.lines}) == 3
    sizes = [line.get_markersize() for line in axes.lines]
    assert sizes == sorted(sizes, reverse=True)


def test_curves_of_scores_say_what_share_of_queries_is_above() -> None:
    for axes, (present, absent, threshold) in zip(
        FIGURES["score_distributions"]().axes, (EVIDENCE, DISTANCES), strict=True
    ):
        curves = {line.get_label(): line for line in axes.lines}
        for kind, scores in (("original in the gallery", present), ("original not in the gallery", absent)):
            assert curves[kind].get_drawstyle() == "steps-post"
            values, shares = points(curves[kind]).T
            np.testing.assert_allclose(
                shares[1:], [(scores > value).mean() for value in values[1:]], atol=1e-12
            )
            assert set(values[1:]) == set(scores.tolist())
            assert shares[0] == 1
        np.testing.assert_array_equal(points(curves["threshold"])[:, 0], threshold)


def test_shares_at_the_threshold_are_recall_and_false_positive_rate() -> None:
    texts = [[text.get_text() for text in axes.texts] for axes in FIGURES["score_distributions"]().axes]
    assert texts == [["75.0%", "12.5%"], ["75.0%", "0.0%"]]
    none = FIGURES["score_distributions"]().axes[1].texts[1]
    assert isinstance(none, Annotation)
    assert none.xy == (-0.45, 0.125)


def test_every_score_has_a_panel_of_its_own() -> None:
    titles = [axes.get_title(loc="left") for axes in FIGURES["score_distributions"]().axes]
    assert titles == ["evidence", "minus the distance"]


def test_scores_without_a_threshold_have_no_line_for_it() -> None:
    (axes,) = plots.score_distributions({"evidence": (*EVIDENCE[:2], None)}).axes
    assert len(axes.lines) == 2
    assert not axes.texts


def test_names() -> None:
    assert [plots.index_name(index) for index in INDEXES] == ["KNN", "KNN with PCA", "ANNOY"]
    assert plots.encoder_name("finetuned") == "fine-tuned"
    assert plots.encoder_name("both") == "both, side by side"
    ways = [plots.index_name(way) for way in ("regions", "views", "fingerprint", "verified")]
    assert ways == ["gallery regions", "query views", "fingerprint", "verified"]


def test_every_edit_has_a_name_of_its_own() -> None:
    names = {plots.edit_name(edit) for edit in EDITS}
    assert len(names) == len(EDITS)
    assert not names & set(EDITS)
    assert plots.edit_name("sharpened") == "sharpened"
