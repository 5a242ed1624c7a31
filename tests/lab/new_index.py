"""What must hold where docs/new-index.md was followed; run by test_new_index.py in a copy of the project.

Everything is asked by names that the registry gives, but for `hnsw`, which is the new one.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fastapi.testclient import TestClient
from omegaconf import OmegaConf
from PIL import Image
from typer.testing import CliRunner

from ris.artifacts import read_json, write_table
from ris.cli.app import app
from ris.engine import SearchEngine
from ris.indexes.exact import ExactIndex
from ris.indexes.registry import REGISTRY
from ris.lab import layout
from ris.lab.compose import composed
from ris.lab.config import Params, load
from ris.lab.data.features import write_features
from ris.lab.inputs import Catalog, read_index, read_space
from ris.lab.judging import ask, summaries
from ris.lab.layout import Tree
from ris.lab.report import plots
from ris.lab.runner import run, timed
from ris.lab.stages.index import index
from ris.lab.stages.pca import pca
from ris.lab.sweep import sweep
from ris.lab.timing import measure_curve, measure_searches
from ris.lab.tuning import Tuning, tune
from ris.serve import Settings, create_app

NEW = ("hnsw", "hnsw_pca")
CLASSES, PICTURES = 6, 40
SMALL = (
    "experiment=resnet50",
    "pca.n_components=6",
    "pca.pretrained.n_components=6",
    "index_annoy.n_trees=3",
    "evaluate.k=[1,5]",
    "evaluate.latency_k=5",
    "evaluate.neighbours=5",
    "evaluate.bootstrap=20",
    "evaluate.latency_queries=10",
    "evaluate.curve_trees=[2]",
    "evaluate.curve_search_k=[10]",
)


def drawn(tree: Tree) -> None:
    """Write a catalog and vectors of every encoder."""
    labels = np.repeat(np.arange(CLASSES), PICTURES)
    split = ["query", "train", "train", "train", "validation"] * (len(labels) // 5)
    names = [f"class_{label}" for label in labels]
    table = pd.DataFrame({"path": names, "label": names, "group": np.arange(len(labels)), "split": split})
    write_table(tree.write(layout.CATALOG), table)
    rng, sha256 = np.random.default_rng(0), Catalog.read(tree).sha256
    centres = rng.standard_normal((CLASSES, 24))
    for encoder in layout.embedding_encoders(()):
        vectors = centres[labels] + rng.standard_normal((len(labels), 24))
        write_features(tree.write(layout.features(encoder)), vectors.astype(np.float32), sha256)


def check_stages(params: Params, tree: Tree) -> None:
    """It is built by its stage, judged, timed, and drawn."""
    for stage in (pca, *map(index, layout.INDEX_STAGES)):
        timed(stage, stage.__name__, params, tree)
    catalog = Catalog.read(tree)
    for name in NEW:
        kind = REGISTRY[name]
        vectors = read_space(params, tree, catalog, "finetuned", kind.projected)
        opened = read_index(params, tree, catalog, kind, "finetuned", vectors.shape[1])
        assert opened.kind == "hnsw"
        kept = {name: value for name, value in opened.parameters.items() if name != "ef"}
        assert kept == {"n_links": 16, "seed": params.index_seed}
        assert 1 <= opened.parameters["ef"] <= 50  # the least that finds `index_recall`
        found = opened.search(vectors[catalog.queries], 5)[1]
        exact = ExactIndex(vectors[catalog.gallery]).search(vectors[catalog.queries], 5)[1]
        assert (
            np.mean([len(set(one) & set(other)) / 5 for one, other in zip(found, exact, strict=True)]) > 0.8
        )
    judged = summaries(ask(params, tree, catalog)[1])
    for encoder in layout.ENCODERS:
        for name in NEW:
            assert judged[encoder][name]["ann_recall@5"]["micro"] > 0.8
            same = judged[encoder][REGISTRY[name].approximates or ""]["mAP@R"]["macro"]
            assert abs(judged[encoder][name]["mAP@R"]["macro"] - same) < 0.05
    costs = measure_searches(params, tree, catalog)
    assert all(costs[name][key] > 0 for name in NEW for key in ("p50_ms", "build_s", "size_bytes"))
    curve = measure_curve(params, tree, catalog)
    own = curve[curve["index"] == "hnsw_pca"]
    assert own["ef"].tolist() == [10, 20, 50, 100]
    assert own["n_links"].tolist() == [16] * 4
    assert own["n_trees"].isna().all()
    figure = plots.recall_latency(curve, dict.fromkeys(layout.INDEXES, 1.0))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["ANNOY", "ANNOY with PCA", "HNSW", "HNSW with PCA"]
    assert figure.axes[3].lines[0].get_label() == "16 links"
    assert "hnsw" in layout.SHOWN_INDEXES


def check_sweep(root: Path) -> None:
    """`sweep` builds it anew, with the parameters that are swept and in the space that is swept."""
    sys.argv = ["sweep.py", "--multirun", "index_hnsw.ef=20,30", "pca.n_components=4"]
    run(sweep)
    (folder,) = (root / "multirun").iterdir()
    for number, ef in enumerate((20, 30)):
        job = folder / str(number)
        manifest = read_json(job / layout.index("hnsw_pca", "finetuned") / "index.json")
        assert (manifest["parameters"]["ef"] <= ef, manifest["dimension"]) == (True, 4)
        assert "ann_recall@5" in read_json(job / layout.METRICS)["same_class"]["finetuned"]["hnsw_pca"]
        assert read_json(job / layout.LATENCY)["search"]["hnsw_pca"]["p50_ms"] > 0


def check_tuning(params: Params, tree: Tree) -> None:
    """`tuning` tries its parameters, and it alone is built with them."""
    space: dict[str, list[Any]] = {
        "index": ["hnsw_pca", "annoy_pca"],
        "index_hnsw.n_links": [2, 16],
        "index_annoy.n_trees": [3],
        "pca.n_components": [6],
    }
    built = []
    build = REGISTRY["hnsw"].index.build

    def noted(vectors: Any, parameters: Any, seed: int) -> Any:
        built.append(parameters["n_links"])
        return build(vectors, parameters, seed)

    REGISTRY["hnsw"].index.build = noted  # type: ignore[method-assign]
    settings = Tuning(trials=8, encoder="finetuned", tolerance=0.01, space=space)
    table, _ = tune(params, settings, tree, tree.root / "trials")
    own = table["index"] == "hnsw_pca"
    assert table["index_hnsw.n_links"].notna().equals(own)
    assert table["index_annoy.n_trees"].notna().equals(~own)
    assert built == table["index_hnsw.n_links"][own].tolist()
    assert built[0] == 16
    REGISTRY["hnsw"].index.build = build  # type: ignore[method-assign]


def check_doors(folder: Path) -> None:
    """A store is built with it and searched by it: by the command, the API and what the page reads."""
    rng = np.random.default_rng(0)
    for number in range(24):
        file = folder / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(file)
    photos, store = str(folder / "photos"), str(folder / "photos.ris")

    def paths(hits: list[Any]) -> list[str]:
        return [hit["picture"]["path"] for hit in hits]

    def ris(*arguments: str) -> Any:
        ended = CliRunner().invoke(app, [*arguments, "--json"], prog_name="ris")
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout)

    assert "hnsw_pca" in CliRunner().invoke(app, ["search", "--help"], prog_name="ris").output
    ris("build", photos, store, "--no-same-picture", "--index", "hnsw")
    query = str(folder / "photos/a/4.png")
    found, exact = (
        paths(ris("search", store, query, "--index", name, "-k", "5")[0]["hits"]) for name in ("hnsw", "knn")
    )
    assert found == exact
    assert exact[0] == "a/4.png"
    with SearchEngine.open(folder / "photos.ris") as engine:
        client = TestClient(create_app(engine, Settings()), base_url="http://127.0.0.1:8000")
        about = client.get("/api/about").json()
        assert {"name": "hnsw", "label": "HNSW", "note": "approximate, by a graph"} in about["indexes"]
        row = engine.pictures()[3].row
        answers = [
            client.get("/api/search", params={"row": row, "k": 5, "index": name}) for name in ("hnsw", "knn")
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        first, second = (paths(answer.json()["hits"]) for answer in answers)
        assert first == second
        schema = client.get("/openapi.json").json()["paths"]["/api/search"]["get"]["parameters"]
        (asked,) = (one["schema"] for one in schema if one["name"] == "index")
        assert {"hnsw", "hnsw_pca"} <= set(asked["enum"])


def main() -> None:
    """Check all of it, in the root of the copy."""
    root = Path.cwd()
    assert Path(layout.__file__).is_relative_to(root), "another code is imported"
    (root / "params.yaml").write_text(OmegaConf.to_yaml(composed(root / "conf", list(SMALL))))
    params, tree = load(root / "params.yaml"), Tree(root, root)
    drawn(tree)
    check_stages(params, tree)
    check_sweep(root)
    check_tuning(params, tree)
    check_doors(root / "store")


if __name__ == "__main__":
    main()
