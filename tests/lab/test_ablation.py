"""The table of ablations against a hand-computed case, and the experiments that it is made of."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from omegaconf import OmegaConf

from ris.artifacts import read_json, write_json, write_table
from ris.encoders.encoder import Encoder
from ris.errors import RisError
from ris.indexes.projection import Projection
from ris.lab import ablation, config, layout, training
from ris.lab.ablation import RECIPE, compared, drawn
from ris.lab.compose import composed
from ris.lab.inputs import Catalog
from ris.lab.layout import Tree
from ris.lab.training import Labelled
from ris.lab.unseen import held_out

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "conf"
NAMES = sorted(path.stem for path in (CONF / "experiment/ablation").glob("*.yaml"))


def flat(name: str) -> dict[str, Any]:
    raw: Any = OmegaConf.to_container(composed(CONF, [f"experiment={name}"]), resolve=True)
    pending, found = [("", raw)], {}
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending += [(f"{path}.{key}", inner) for key, inner in value.items()]
        else:
            found[path] = value
    return found


def differing(name: str, other: str) -> set[str]:
    values, others = flat(name), flat(other)
    return {key for key in values if values[key] != others[key]}


def test_the_budget_is_the_only_change_of_the_committed_experiment() -> None:
    budget = {".finetune.epochs", ".finetune.train_size", ".unseen.draws"}
    assert differing("lite0", "budget/lite0") == budget
    assert not set(flat("lite0")[".unseen.draws"]) & set(flat("budget/lite0")[".unseen.draws"])


def test_what_was_taken_over_is_all_that_the_recipe_lacks() -> None:
    committed = flat("budget/lite0")
    taken_over = {
        "more_frozen": ".finetune.frozen_stages",
        "no_label_smoothing": ".finetune.label_smoothing",
        "learnt": ".pca.shrinkage",
    }
    for name, key in taken_over.items():
        assert flat(f"ablation/{name}")[key] == committed[key]
    changed = differing("budget/lite0", f"ablation/{RECIPE}")
    assert {key for key in changed if not key.startswith(".pca.pretrained.")} == {
        *taken_over.values(),
        ".pca.whiten",
    }


SEVERAL = {
    "no_colour_change": (RECIPE, {".finetune.augment.jitter", ".finetune.augment.grayscale"}),
    "mostly_pretrained_wide": ("untrained_wide_learnt", {".finetune.epochs", ".finetune.pretrained_share"}),
    "untrained_wider_learnt": ("untrained_wide_learnt", {".pca.n_components", ".pca.whiten"}),
    "with_classifier": ("untrained_wide_learnt", {".pca.sharpness"}),
    "with_classifier_whiter": ("with_classifier", {".pca.whiten"}),
}
"""What takes more than one key to change one thing: in which experiment, and the keys."""


@pytest.mark.parametrize("name", [name for name in NAMES if name != RECIPE])
def test_an_experiment_changes_one_thing(name: str) -> None:
    base = name.rpartition("_")[0] if name.startswith("untrained_") else RECIPE
    base, keys = SEVERAL.get(name, (base, None))
    changed = differing(f"ablation/{base}", f"ablation/{name}")
    assert changed == keys if keys else len(changed) == 1
    assert all(key.startswith((".finetune.", ".pca.")) for key in changed)


class Network:
    """Gives each picture the vector that was drawn for it."""

    def __init__(self, vectors: npt.NDArray[np.float32]) -> None:
        self.vectors = vectors
        self.network = SimpleNamespace(dimension=vectors.shape[1])

    def embedder(self, _: str) -> "Network":
        return self

    def embed_files(self, files: list[Path], *_: int) -> npt.NDArray[np.float32]:
        return self.vectors[[int(file.stem) for file in files]]


def test_classes_held_out_are_asked_and_nothing_learns_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = config.load(PROJECT / "params.yaml").model_dump()
    raw["unseen"] |= {"classes": 2, "draws": [1]}
    raw["pca"] |= {"n_components": 6}
    params, tree = config.check(raw), Tree(tmp_path, tmp_path)
    labels = np.repeat(np.arange(8), 15)
    split = ["query", "train", "train", "train", "validation"] * 24
    files = [f"{row}.png" for row in range(len(labels))]
    table = pd.DataFrame({"path": files, "label": [f"class_{label}" for label in labels], "split": split})
    write_table(tree.write(layout.CATALOG), table.assign(group=np.arange(len(labels))))
    catalog = Catalog.read(tree)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((8, 12))[labels] + 0.3 * rng.standard_normal((len(labels), 12))
    network = Network(vectors.astype(np.float32))
    trained: list[Labelled] = []
    fitted_to = []

    def finetuned(_: Any, *labelled: Any) -> SimpleNamespace:
        trained.extend(labelled[:2])
        return SimpleNamespace(encoder=network)

    fit = Projection.fit

    def fitted(vectors: Any, *arguments: Any) -> Projection:
        fitted_to.append(vectors)
        return fit(vectors, *arguments)

    monkeypatch.setattr(Encoder, "open", lambda _: None)
    monkeypatch.setattr(training, "finetune", finetuned)
    monkeypatch.setattr(Projection, "fit", fitted)
    found = ablation.measured(params, tree, catalog, 0, tmp_path)

    held = np.flatnonzero(np.isin(table["label"], held_out(params, catalog, 1).classes))
    train, validation = catalog.rows("train"), catalog.rows("validation")
    for labelled, rows in zip(trained, (train, validation), strict=True):
        known = np.setdiff1d(rows, held)
        assert [int(file.stem) for file in labelled.files] == known.tolist()
        assert len(np.unique(labelled.labels)) == 6
    lengths = np.linalg.norm(network.vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(
        fitted_to[0], (network.vectors / lengths)[np.setdiff1d(train, held)], atol=1e-6
    )
    assert found["same_class"]["rows"] == np.setdiff1d(validation, held).tolist()
    assert found["unseen_class"]["rows"] == np.intersect1d(validation, held).tolist()
    assert np.mean(found["unseen_class"]["mAP@R"]) > 0.5  # By chance it is some 1 / 8.


def test_what_does_not_decide_a_result_makes_no_other_one() -> None:
    raw, catalog = config.load(PROJECT / "params.yaml").model_dump(), SimpleNamespace(sha256="0")

    def identity(section: str, **values: Any) -> str:
        changed = config.check(raw | {section: raw[section] | values})
        return ablation.identity(changed, catalog, 0)  # type: ignore[arg-type]

    as_it_is = identity("pca")
    pretrained = raw["pca"]["pretrained"] | {"whiten": 0.9}
    assert identity("pca", pretrained=pretrained) == identity("finetune", workers=7) == as_it_is
    changes = [
        identity("pca", shrinkage=0.9),
        identity("extract", normalise=False),
        identity("unseen", draws=[4]),
        ablation.identity(config.check(raw | {"threads": 7}), catalog, 0),  # type: ignore[arg-type]
    ]
    assert len({as_it_is, *changes}) == 5


def result(
    results: Path, name: str, seed: int, values: list[float], minutes: float, device: str = "2 cores"
) -> None:
    asked = {"rows": [0, 1, 2], "labels": [0, 0, 1], "precision@10": values, "mAP@R": values}
    ran = {"minutes": minutes, "device": device}
    folder = results / device.replace(" ", "_")
    folder.mkdir(exist_ok=True)
    write_json(folder / f"{name}_{seed}.json", {**ran, "same_class": asked, "unseen_class": asked})


def test_the_difference_is_that_of_the_same_queries_over_all_seeds(tmp_path: Path) -> None:
    result(tmp_path, "recipe", 0, [0.2, 0.4, 0.8], 10)
    result(tmp_path, "recipe", 1, [0.4, 0.4, 0.6], 12)
    result(tmp_path, "no_this", 0, [0.2, 0.2, 0.4], 4)
    result(tmp_path, "no_this", 1, [0.2, 0.2, 0.2], 6)
    table = compared(tmp_path)
    assert table["experiment"].tolist() == ["recipe", "no_this"] * 2
    assert table["question"].tolist() == ["same_class"] * 2 + ["unseen_class"] * 2
    recipe, other = (line for _, line in table.iloc[:2].iterrows())
    # Means over seeds: 0.3, 0.4 | 0.7 and 0.2, 0.2 | 0.3; a class counts once.
    assert recipe["mAP@R macro"] == pytest.approx((0.35 + 0.7) / 2)
    assert other["mAP@R macro"] == pytest.approx((0.2 + 0.3) / 2)
    assert other["mAP@R difference"] == pytest.approx(-0.275)
    # Of the first class one resamples -0.1 and -0.2; the second class has one picture.
    assert other["mAP@R low"] == pytest.approx((-0.2 - 0.4) / 2)
    assert other["mAP@R high"] == pytest.approx((-0.1 - 0.4) / 2)
    assert other["mAP@R by seed"] == "-0.2500 -0.3000"
    assert (recipe["mAP@R difference"], recipe["mAP@R low"], recipe["mAP@R high"]) == (0, 0, 0)
    assert (other["minutes"], other["n"], other["seeds"]) == (5, 3, 2)
    assert np.isfinite(table.select_dtypes("number").to_numpy()).all()


def test_an_experiment_of_one_seed_is_compared_under_that_seed(tmp_path: Path) -> None:
    result(tmp_path, "recipe", 0, [0.2, 0.4, 0.8], 10)
    result(tmp_path, "recipe", 1, [0.4, 0.4, 0.6], 12)
    result(tmp_path, "no_this", 1, [0.5, 0.5, 0.6], 4)
    other = compared(tmp_path).iloc[1]
    assert (other["experiment"], other["seeds"]) == ("no_this", 1)
    assert other["mAP@R difference"] == pytest.approx(0.05)


def test_each_device_has_a_recipe_of_its_own(tmp_path: Path) -> None:
    result(tmp_path, "recipe", 0, [0.2, 0.2, 0.2], 10)
    result(tmp_path, "no_this", 0, [0.3, 0.3, 0.3], 10)
    result(tmp_path, "recipe", 0, [0.4, 0.4, 0.4], 1, "GPU")
    result(tmp_path, "a", 0, [0.3, 0.3, 0.3], 1, "GPU")
    table = compared(tmp_path)[:4]
    assert table["experiment"].tolist() == ["recipe", "no_this", "recipe", "a"]
    assert table["device"].tolist() == ["2 cores"] * 2 + ["GPU"] * 2
    assert table["mAP@R difference"].tolist() == pytest.approx([0, 0.1, 0, -0.1])
    result(tmp_path, "a", 0, [0.3, 0.3, 0.3], 1, "TPU")
    with pytest.raises(RisError, match="TPU has no results of the recipe"):
        compared(tmp_path)


def test_the_picture_has_a_line_an_experiment_in_each_panel(tmp_path: Path) -> None:
    for name, values in {"recipe": [0.2, 0.4, 0.8], "no_this": [0.2, 0.2, 0.4], "a": [0.4] * 3}.items():
        result(tmp_path, name, 0, values, 10)
    axes = drawn(compared(tmp_path)).axes
    titles = [one.get_title(loc="left") for one in axes]
    assert titles == ["Classes trained on", "Classes never seen"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "no this"]
    for one in axes:
        _, points = one.lines
        # Class by class: 0.4 and 0.4 against 0.3 and 0.8; 0.2 and 0.4 against these.
        assert np.asarray(points.get_xdata()).tolist() == pytest.approx([-0.15, -0.25])


def test_what_was_asked_of_other_pictures_or_under_another_seed_is_not_compared(tmp_path: Path) -> None:
    result(tmp_path, "recipe", 0, [0.2, 0.4, 0.8], 10)
    result(tmp_path, "no_this", 1, [0.2, 0.2, 0.4], 4)
    with pytest.raises(RisError, match="results of no_this and of the recipe that are not of the same seed"):
        compared(tmp_path)
    result(tmp_path, "recipe", 1, [0.2, 0.4, 0.8], 10)
    path = tmp_path / "2_cores/no_this_1.json"
    other = read_json(path)
    other["unseen_class"]["rows"] = [0, 1, 3]
    write_json(path, other)
    with pytest.raises(RisError, match="not of the same seed and pictures"):
        compared(tmp_path)


def test_without_the_recipe_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    result(tmp_path, "no_this", 0, [0.2, 0.2, 0.4], 4)
    with pytest.raises(RisError, match="no results of the recipe"):
        compared(tmp_path)
