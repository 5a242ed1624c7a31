"""A search with words: the classifier's rows, by hand, against the engine and the command."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ris.cli.app import app
from ris.encoders.encoder import Encoder
from ris.encoders.named import BACKBONES, choose
from ris.encoders.weights import fetch_weights
from ris.engine import BadQueryError, Filter, SearchEngine

Draw = Callable[..., Image.Image]
UMBRELLA, LAPTOP = 879, 620


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, texture: Draw) -> Iterator[SearchEngine]:
    folder = tmp_path_factory.mktemp("words")
    for seed in range(12):
        file = folder / f"photos/{'even' if seed % 2 == 0 else 'odd'}/{seed}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        texture(seed).save(file)
    with SearchEngine.build(folder / "photos", folder / "store", same_picture=False, threads=1) as engine:
        yield engine


def expected(engine: SearchEngine, *classes: int) -> list[tuple[str, float]]:
    """All pictures by their distance to the mean of classifier rows, from the published file itself."""
    file = fetch_weights(BACKBONES["efficientnet_lite0"], Path())
    assert file is not None
    *_, weights, _ = torch.load(file, weights_only=True).values()
    assert weights.shape == (1000, 1280)
    chosen = weights[list(classes)].numpy()
    query = (chosen / np.linalg.norm(chosen, axis=1, keepdims=True)).mean(axis=0)
    query /= np.linalg.norm(query)
    rows, vectors = engine.vectors()
    distances = np.linalg.norm(vectors - query, axis=1)
    return [(engine.picture(int(rows[i])).path, float(distances[i])) for i in np.argsort(distances)]


@pytest.mark.parametrize(
    ("text", "classes"), [("a blue umbrella", (UMBRELLA,)), ("umbrella and laptop", (LAPTOP, UMBRELLA))]
)
def test_hits_are_nearest_to_the_classifier_s_rows(
    engine: SearchEngine, text: str, classes: tuple[int, ...]
) -> None:
    answer = engine.search_text(text, 12, index="knn")
    wanted = expected(engine, *classes)
    assert [hit.path for hit in answer.hits] == [path for path, _ in wanted]
    np.testing.assert_allclose([hit.distance for hit in answer.hits], [far for _, far in wanted], atol=1e-5)
    assert all(hit.relation is None for hit in answer.hits)
    assert set(answer.meant) == {{UMBRELLA: "umbrella", LAPTOP: "laptop"}[one] for one in classes}
    assert answer.ignored == (("blue",) if "blue" in text else ())


def test_filters_and_limits_hold(engine: SearchEngine) -> None:
    odd = [path for path, _ in expected(engine, UMBRELLA) if path.startswith("odd/")]
    found = engine.search_text("umbrella", 3, index="knn", where=Filter(labels=("odd",)))
    assert [hit.path for hit in found.hits] == odd[:3]
    assert engine.search_text("umbrella", 3, max_distance=0.01).hits == []


def test_what_cannot_be_searched_with_is_one_sentence(engine: SearchEngine) -> None:
    with pytest.raises(BadQueryError, match="nearest words that it knows are umbrella"):
        engine.search_text("umbrela")
    with pytest.raises(BadQueryError, match="at least one hit"):
        engine.search_text("umbrella", 0)
    with pytest.raises(BadQueryError, match="text"):
        engine.search_text(7)  # type: ignore[arg-type]


def test_an_encoder_without_imagenet_s_classes_is_one_sentence(
    tmp_path: Path, texture: Draw, network: Callable[..., Encoder]
) -> None:
    (tmp_path / "photos").mkdir()
    texture(0).save(tmp_path / "photos/0.png")
    network(tmp_path / "encoder")
    with (
        SearchEngine.build(tmp_path / "photos", tmp_path / "store", encoder=tmp_path / "encoder") as engine,
        pytest.raises(BadQueryError, match=r"Words say nothing to the store's encoder, .*efficientnet_lite0"),
    ):
        engine.search_text("umbrella")


@pytest.fixture(scope="module")
def network() -> Callable[[Path], Encoder]:
    from ris.encoders.backbone import create

    def saved(folder: Path) -> Encoder:
        small = choose(None)[0].network.model_copy(
            update={"name": "small", "model": "test_efficientnet", "dimension": 256, "resize": 64, "crop": 64}
        )
        encoder = Encoder(small, create(small))
        encoder.save(folder)
        return encoder

    return saved


def test_the_command_answers_words(engine: SearchEngine, tmp_path: Path) -> None:
    store, run = str(engine.store), CliRunner().invoke
    sheet = tmp_path / "sheet.html"
    ended = run(app, ["search", store, "--text", "red umbrella", "-k", "2", "--output", str(sheet)])
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines()[0] == (
        "red umbrella, taken for umbrella: 2 pictures; not understood: red"
    )
    assert sheet.read_text().count("<img") == 2
    told = run(app, ["search", store, "--text", "umbrella", "-k", "2", "--json"])
    (entry,) = json.loads(told.stdout)
    answer = engine.search_text("umbrella", 2)
    assert (entry["text"], entry["meant"], entry["ignored"]) == ("umbrella", ["umbrella"], [])
    assert [hit["picture"]["path"] for hit in entry["hits"]] == [hit.path for hit in answer.hits]


@pytest.mark.parametrize(
    "arguments", [[], ["a.jpg", "--text", "cup"], ["--text", "cup", "--box", "0", "0", "1", "1"]]
)
def test_pictures_and_words_are_not_mixed(engine: SearchEngine, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["search", str(engine.store), *arguments]).exit_code == 2
