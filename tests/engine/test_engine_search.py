"""What `search` and its kin answer, against brute force over the same vectors."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from ris.encoders.transforms import for_embedding
from ris.engine import (
    RERANKED,
    BadQueryError,
    Filter,
    NoSuchPictureError,
    Picture,
    Query,
    SearchEngine,
)
from ris.errors import RisError
from ris.images.decoding import UnreadableImage
from ris.indexes.projection import Projection
from ris.indexes.reranked import Reranked

Draw = Callable[..., Image.Image]
Vectors = npt.NDArray[np.float32]
INDEXES = ("knn", "knn_pca", "annoy", "annoy_pca", RERANKED)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, encoder: Path, texture: Draw) -> SearchEngine:
    """Sixty pictures in three folders, two near-duplicates of one and a file of the same bytes as another."""
    home = tmp_path_factory.mktemp("search")
    for number in range(60):
        folder = home / "photos" / ("red", "blue/sea", "blue/sky")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        texture(number, 100 + 10 * (number % 5), 90).save(folder / f"{number:02d}.png")
    copied = texture(7, 120, 90)
    copied.resize((80, 60)).save(home / "photos" / "red" / "small.png")
    copied.save(home / "photos" / "red" / "jpeg.jpg", quality=60)
    texture(8, 130, 90).save(home / "photos" / "blue" / "same.png")
    return SearchEngine.build(
        home / "photos", home / "store", encoder=encoder, indexes=("annoy", "annoy_pca"), threads=2
    )


def embedded(engine: SearchEngine, image: Image.Image) -> Vectors:
    pixels = for_embedding(image, engine._gallery.network)
    return np.asarray(engine._vectors([pixels])[0], np.float32)


def nearest(
    engine: SearchEngine, query: Vectors, allowed: Callable[[Picture], bool] = lambda _: True
) -> list[tuple[str, float]]:
    """All allowed pictures by distance, then by path."""
    rows, vectors = engine.vectors()
    distances = np.linalg.norm(vectors.astype(np.float64) - query, axis=1)
    pictures = [engine.picture(int(row)) for row in rows]
    found = [
        (picture.path, float(distance))
        for picture, distance in zip(pictures, distances, strict=True)
        if allowed(picture)
    ]
    return sorted(found, key=lambda one: (one[1], one[0]))


def agree(
    engine: SearchEngine, query: Image.Image, k: int, expected: list[tuple[str, float]], **asked: object
) -> None:
    hits = engine.search(query, k, index="knn", verify=False, **asked)  # type: ignore[arg-type]
    assert [hit.path for hit in hits] == [path for path, _ in expected]
    np.testing.assert_allclose(
        [hit.distance for hit in hits], [distance for _, distance in expected], atol=1e-5
    )


@pytest.mark.parametrize("k", [1, 7, 63, 1000])
def test_the_exact_index_finds_what_brute_force_finds(engine: SearchEngine, texture: Draw, k: int) -> None:
    for seed in (3, 100, 101):
        query = texture(seed, 120, 90)
        agree(engine, query, k, nearest(engine, embedded(engine, query))[:k])


@pytest.mark.parametrize("name", [name for name in INDEXES if name != RERANKED])
def test_every_index_finds_the_query_itself(engine: SearchEngine, texture: Draw, name: str) -> None:
    for number in range(9, 60, 5):
        hit = engine.search(texture(number, 100 + 10 * (number % 5), 90), 1, index=name)[0]
        assert Path(hit.path).stem == f"{number:02d}"
        assert hit.distance < 1e-3
        assert hit.same_picture


def test_re_ranking_is_that_of_the_pipeline_in_the_projected_space(
    engine: SearchEngine, texture: Draw
) -> None:
    rows, vectors = engine.vectors()
    settings = engine._gallery.settings
    different = np.unique(vectors, axis=0)  # two files have the same bytes
    projection = Projection.fit(different, 62, settings.pca_whiten, normalise=True)
    reference = Reranked(projection.apply(different), settings.reranking)
    for seed in (3, 100, 101):
        query = texture(seed, 120, 90)
        distances, found = reference.search(projection.apply(embedded(engine, query)[None])[0], 12)
        hits = engine.search(query, 12, index=RERANKED)
        first = [vectors[rows.tolist().index(hit.row)] for hit in hits][:3]
        np.testing.assert_allclose([hit.distance for hit in hits][:9], distances[:9], atol=1e-3)
        np.testing.assert_array_equal(first, different[found[:3]])


def test_a_picture_of_the_store_has_no_part_in_its_own_answer(engine: SearchEngine) -> None:
    rows, vectors = engine.vectors()
    gallery = engine._gallery
    assert gallery.projected is not None
    for position in (1, 7, 40):
        content = gallery.shown[gallery.catalogue.position(int(rows[position]))]
        (query,) = gallery.projected.project(vectors[[position]])
        distances, _ = gallery.reranked.search(query, 9, None, np.array([content]))
        hits = engine.search(int(rows[position]), 9, index=RERANKED, verify=False)
        np.testing.assert_array_equal([hit.distance for hit in hits][:7], distances[:7])
        assert int(rows[position]) not in [hit.row for hit in hits]
        many = engine.search_many([int(rows[position])], 9, index=RERANKED, verify=False)
        assert many == [hits]
        near, found = engine.nearest(vectors[[position]], 9, RERANKED, [rows[[position]]])
        assert found[0].tolist() == [hit.row for hit in hits]
        np.testing.assert_array_equal(near[0], [hit.distance for hit in hits])


def test_vectors_are_asked_without_some_pictures(engine: SearchEngine) -> None:
    rows, vectors = engine.vectors()
    for name in INDEXES:
        for count in (1, 3, len(rows)):
            distances, found = engine.nearest(
                vectors[:2], len(rows), name, [rows[:count], rows[1 : 1 + count]]
            )
            for line, gone in zip(found, (rows[:count], rows[1 : 1 + count]), strict=True):
                left = line[line >= 0]
                assert sorted(left) == sorted(np.setdiff1d(rows, gone))
                assert (line[len(left) :] == -1).all()
            assert np.isinf(distances[found == -1]).all()
    with pytest.raises(NoSuchPictureError):
        engine.nearest(vectors[:1], 3, without=[np.array([10**6])])


def test_projected_distances_are_those_of_a_pca_whitened_in_part(engine: SearchEngine, texture: Draw) -> None:
    rows, vectors = engine.vectors()
    different = np.unique(vectors, axis=0).astype(np.float64)  # two files have the same bytes
    mean = different.mean(axis=0)
    centred = different - mean
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    query = embedded(engine, texture(100, 120, 90))

    def projected(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        inner = (points - mean) @ directions[:61].T / lengths[:61] ** 0.25
        return np.asarray(inner / np.linalg.norm(inner, axis=-1, keepdims=True))

    distances = np.linalg.norm(
        projected(vectors.astype(np.float64)) - projected(query[None].astype(np.float64)), axis=1
    )
    expected = dict(zip(rows.tolist(), distances.tolist(), strict=True))
    hits = engine.search(texture(100, 120, 90), 10, index="knn_pca")
    np.testing.assert_allclose([hit.distance for hit in hits], np.sort(distances)[:10], atol=2e-3)
    for hit in hits:
        assert hit.distance == pytest.approx(expected[hit.row], abs=2e-3)


@pytest.mark.parametrize(
    ("where", "allowed"),
    [
        (Filter(labels=("red",)), lambda one: one.path.startswith("red/")),
        (Filter(labels=("sea", "sky")), lambda one: one.label in ("sea", "sky")),
        (Filter(labels=("nothing",)), lambda _: False),
        (Filter(folders=("blue",)), lambda one: one.path.startswith("blue/")),
        (Filter(folders=("blue/sea/", "red")), lambda one: one.path.startswith(("blue/sea/", "red/"))),
        (Filter(folders=("blu",)), lambda _: False),
        (Filter(folders=(".",)), lambda _: True),
        (Filter(min_side=85), lambda one: min(one.width, one.height) >= 85),
        (Filter(min_bytes=15_000, max_bytes=20_000), lambda one: 15_000 <= one.bytes <= 20_000),
        (Filter(modified_after=4e9), lambda _: False),
        (Filter(modified_after=1.0, modified_before=4e9), lambda _: True),
        (Filter(labels=("red",), max_bytes=16_000), lambda one: one.label == "red" and one.bytes <= 16_000),
    ],
)
def test_a_filter_lets_through_what_it_says(
    engine: SearchEngine, texture: Draw, where: Filter, allowed: Callable[[Picture], bool]
) -> None:
    query = texture(100, 120, 90)
    expected = nearest(engine, embedded(engine, query), allowed)
    agree(engine, query, 12, expected[:12], where=where)
    paths = {path for path, _ in expected}
    assert {picture.path for picture in engine.pictures(where)} == paths
    assert engine.count(where) == len(paths)
    for name in INDEXES:
        hits = engine.search(query, 12, index=name, where=where, verify=False)
        assert len(hits) == min(12, len(paths))
        assert {hit.path for hit in hits} <= paths
    assert {hit.path for hit in engine.find(query, 80, where=where).hits} == paths


def test_own_columns_filter(engine: SearchEngine, tmp_path: Path, texture: Draw) -> None:
    paths = [picture.path for picture in engine.pictures()]
    table = pd.DataFrame(
        {"path": [*paths[:6], "not/yet.png"], "year": [1999, 2000, 2000, 2001, 2001, 2001, 2000]}
    )
    table["mood"] = ["good", None, "good", "bad", "bad", "good", "good"]
    table.to_csv(tmp_path / "table.csv", index=False)
    table.to_parquet(tmp_path / "table.parquet")
    for given in (table, tmp_path / "table.csv", str(tmp_path / "table.parquet")):
        assert engine.set_columns(given) == 6
        assert engine.columns() == {"mood": ["bad", "good"], "year": ["1999", "2000", "2001"]}
        assert [p.path for p in engine.pictures(Filter(columns={"year": "2001", "mood": "bad"}))] == paths[
            3:5
        ]
    hits = engine.search(texture(100), 80, where=Filter(columns={"mood": "good"}))
    assert sorted(hit.path for hit in hits) == [paths[0], paths[2], paths[5]]
    with pytest.raises(BadQueryError, match="has no column size; it has mood, year"):
        engine.search(texture(100), where=Filter(columns={"size": "1"}))
    for wrong, told in (
        (pd.DataFrame({"file": ["a"]}), "has no column `path`"),
        (pd.DataFrame({"path": ["a", "a"]}), "or one twice"),
        (tmp_path / "nothing.csv", "is no readable CSV or Parquet table"),
    ):
        with pytest.raises(RisError, match=told):
            engine.set_columns(wrong)
    assert engine.set_columns(pd.DataFrame({"path": []})) == 0
    assert engine.columns() == {}


@pytest.mark.parametrize("threads", [1, 3])
def test_an_answer_depends_on_the_query_alone(engine: SearchEngine, texture: Draw, threads: int) -> None:
    """To the last bit: not on what is asked with it or beside it, on threads, or on the network's form."""
    queries = [texture(seed, 120, 90) for seed in range(100, 109)]
    similar = [engine.search(query, 20, verify=False) for query in queries]
    found = [engine.find(query, 20) for query in queries]
    with SearchEngine.open(engine.store, threads=threads) as other, ThreadPoolExecutor(5) as clients:
        assert other.search_many(queries, 20, verify=False) == similar
        other.warm_up()
        other.warm_up()
        assert other.search_many(queries, 20, verify=False) == similar
        assert list(clients.map(lambda query: other.search(query, 20, verify=False), queries)) == similar
        assert list(clients.map(lambda query: other.find(query, 20), queries)) == found


def test_no_hit_is_farther_than_was_allowed(engine: SearchEngine, texture: Draw) -> None:
    query = texture(100, 120, 90)
    expected = nearest(engine, embedded(engine, query))
    limit = (expected[4][1] + expected[5][1]) / 2
    agree(engine, query, 12, expected[:5], max_distance=limit)
    assert engine.search(query, max_distance=0.0) == []


def test_a_row_finds_others_as_its_file_does(engine: SearchEngine) -> None:
    for row in (picture.row for picture in engine.pictures()[::13]):
        own = engine.picture(row).path
        hits = engine.search(row, 8, index="knn")
        expected = [hit for hit in engine.search(engine.file(row), 9, index="knn") if hit.path != own]
        assert [hit.path for hit in hits] == [hit.path for hit in expected][:8]
        np.testing.assert_allclose([h.distance for h in hits], [h.distance for h in expected][:8], atol=1e-5)
        assert own not in {hit.path for hit in engine.find(row, 80).hits}
        assert own not in {hit.path for hit in engine.search(row, 80, box=(0, 0, 0.5, 1))}


def test_a_query_may_come_in_every_form(engine: SearchEngine, tmp_path: Path, texture: Draw) -> None:
    picture = texture(5, 100, 90)
    picture.save(tmp_path / "query.png", compress_level=1)  # not the bytes of one of the store
    data = (tmp_path / "query.png").read_bytes()
    transparent = picture.convert("RGBA")
    queries: list[Query] = [
        tmp_path / "query.png",
        str(tmp_path / "query.png"),
        data,
        picture,
        np.asarray(picture),
        transparent,
    ]
    answers = [engine.search(query, 5) for query in queries]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0].path == "blue/sky/05.png"
    assert engine.search_many(queries, 5) == answers


def test_an_upright_picture_is_what_exif_says(engine: SearchEngine, texture: Draw) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    turned = io.BytesIO()
    texture(5, 100, 90).transpose(Image.Transpose.ROTATE_180).save(turned, "PNG", exif=exif)
    assert engine.search(turned.getvalue(), 1)[0].distance < 1e-3
    assert engine.search(Image.open(turned), 1)[0].distance < 1e-3


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (b"", "the file is empty"),
        (b"no picture", "no picture in a known format"),
        (Path("/nothing/here.png"), "the file cannot be read"),
        ("nul\0byte.png", "is no name of a file|cannot be read"),
        ("https://example.org/a.png", "addresses are switched off"),
        (True, "not bool"),
        (3.5, "not float"),
        (None, "not NoneType"),
        (np.zeros((4, 4), np.uint8), "give uint8 pixels"),
        (np.zeros((4, 4, 3), np.float32), "give uint8 pixels"),
        (np.zeros((0, 4, 3), np.uint8), "give uint8 pixels"),
        (Image.new("F", (4, 4)), "no defined white"),
        (-1, "has no picture in row -1"),
        (10**9, "has no picture in row 1000000000"),
    ],
)
def test_a_query_that_is_no_picture_is_told(engine: SearchEngine, query: object, told: str) -> None:
    for ask in (engine.search, engine.find, engine.place, engine.compare):
        with pytest.raises(RisError, match=told) as caught:
            ask(query)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_a_query_of_too_many_pixels_is_refused(engine: SearchEngine) -> None:
    engine.max_pixels, before = 5000, engine.max_pixels
    try:
        for query in (Image.new("RGB", (100, 51)), np.zeros((51, 100, 3), np.uint8)):
            with pytest.raises(UnreadableImage, match="5000"):
                engine.search(query)
        assert engine.search(Image.new("RGB", (100, 50)))
    finally:
        engine.max_pixels = before


@pytest.mark.parametrize("k", [0, -3, 1.5, True, "3"])
def test_k_is_a_whole_number_from_one(engine: SearchEngine, texture: Draw, k: object) -> None:
    for ask in (engine.search, engine.find, engine.compare):
        with pytest.raises(BadQueryError, match="at least one hit"):
            ask(texture(0), k)  # type: ignore[arg-type]


@pytest.mark.parametrize(("dimensions", "index"), [(61, "knn_pca"), (62, "knn")])
def test_without_a_word_projected_vectors_are_searched_where_pictures_are_more_than_dimensions(
    engine: SearchEngine, texture: Draw, monkeypatch: pytest.MonkeyPatch, dimensions: int, index: str
) -> None:
    gallery = engine._gallery
    settings = gallery.settings.model_copy(update={"n_components": dimensions})
    monkeypatch.setattr(gallery, "settings", settings)
    query = texture(100, 120, 90)
    assert engine.search(query, 9) == engine.search(query, 9, index=index)
    assert engine.search(query, 9, index="knn") != engine.search(query, 9, index="knn_pca")


def test_more_pictures_than_can_all_be_compared_are_not_re_ranked(
    engine: SearchEngine, texture: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ris.gallery.gallery.MOST_RERANKED", len(engine) - 2)
    assert engine.indexes == tuple(name for name in INDEXES if name != RERANKED)
    with pytest.raises(BadQueryError, match="no index reranked"):
        engine.search(texture(3), index=RERANKED)


def test_an_index_that_there_is_not_is_told(engine: SearchEngine, texture: Draw) -> None:
    with pytest.raises(BadQueryError, match=r"no index hnsw; it has knn, .*, reranked, auto"):
        engine.search(texture(0), index="hnsw")


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 1), (0.5, 0, 0.4, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.01), (0, 0, 1), (0, 0, 1, np.nan)]
)
def test_a_box_that_is_none_is_told(
    engine: SearchEngine, texture: Draw, box: tuple[float, float, float, float]
) -> None:
    with pytest.raises(BadQueryError, match="box"):
        engine.search(texture(0), box=box)


def test_a_box_is_the_part_that_it_names(engine: SearchEngine, texture: Draw) -> None:
    picture = texture(100, 200, 100)
    assert engine.read(picture, (0.25, 0.5, 0.75, 1)).tobytes() == picture.crop((50, 50, 150, 100)).tobytes()
    assert engine.read(picture, (0, 0, 1, 1)).tobytes() == picture.tobytes()
    assert engine.read(picture, (0.999, 0.999, 1, 1)).size == (1, 1)
    part = engine.search(picture.crop((50, 50, 150, 100)), 5)
    assert engine.search(picture, 5, box=(0.25, 0.5, 0.75, 1)) == part
    assert engine.search_many([picture.crop((50, 50, 150, 100))], 5)[0] == part


def test_many_are_answered_as_one_by_one(engine: SearchEngine, texture: Draw) -> None:
    queries = [texture(seed, 120, 90) for seed in range(100, 119)] + [engine.pictures()[4].row]
    told: list[tuple[str, int, int]] = []
    answers = engine.search_many(queries, 4, progress=lambda *one: told.append(one))
    assert answers == [engine.search(query, 4) for query in queries]
    assert told == [
        ("answering queries", 8, 20),
        ("answering queries", 16, 20),
        ("answering queries", 20, 20),
    ]
    assert engine.search_many([]) == []
    with pytest.raises(UnreadableImage):
        engine.search_many([*queries, b"no picture"])


def test_compare_asks_every_index(engine: SearchEngine, texture: Draw) -> None:
    query = texture(100, 120, 90)
    answers = engine.compare(query, 5)
    assert tuple(answers) == INDEXES
    for name, (hits, milliseconds) in answers.items():
        assert hits == engine.search(query, 5, index=name, verify=False)
        assert 0 < milliseconds < 10_000
        assert {hit.same_picture for hit in hits} == {None}


def test_near_duplicates_are_folded_into_the_nearest(engine: SearchEngine, texture: Draw) -> None:
    query = texture(7, 120, 90)
    plain = engine.search(query, 63)
    folded = engine.search(query, 63, collapse=True)
    groups = {hit.path: {copy.path for copy in hit.copies} for hit in folded}
    assert groups["blue/sea/07.png"] == {"red/small.png", "red/jpeg.jpg"}
    (of_eight,) = [{path, *copies} for path, copies in groups.items() if "blue/same.png" in {path, *copies}]
    assert of_eight == {"blue/same.png", "blue/sky/08.png"}
    assert len(folded) == 60
    everything = [path for hit in folded for path in (hit.path, *(copy.path for copy in hit.copies))]
    assert sorted(everything) == sorted(hit.path for hit in plain)
    (only,) = engine.search(query, 1, collapse=True)
    assert len(only.copies) == 2
    first = engine.search(query, 5, collapse=True)
    assert [hit.path for hit in first] == [hit.path for hit in folded[:5]]


def test_hits_say_whether_they_are_the_same_picture(engine: SearchEngine, texture: Draw) -> None:
    query = texture(7, 120, 90).crop((10, 10, 100, 80))
    hits = {hit.path: hit for hit in engine.search(query, 63)}
    same = {path for path, hit in hits.items() if hit.same_picture}
    assert same == {"blue/sea/07.png", "red/small.png", "red/jpeg.jpg"}
    outline = np.array(hits["blue/sea/07.png"].outline)
    np.testing.assert_allclose(outline, [(10, 10), (99, 10), (99, 79), (10, 79)], atol=1)
    np.testing.assert_allclose(np.array(hits["red/small.png"].outline), (outline + 0.5) / 1.5 - 0.5, atol=1)
    assert all(hit.inliers > 5 and not hit.mirrored for path, hit in hits.items() if path in same)
    assert all(hit.outline is None for path, hit in hits.items() if path not in same)
    mirrored = engine.search(query.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 63)
    assert {hit.path for hit in mirrored if hit.mirrored and hit.same_picture} == same
    assert {hit.same_picture for hit in engine.search(query, 63, verify=False)} == {None}


@pytest.mark.parametrize("turned", [None, *Image.Transpose])
def test_find_proves_an_edited_picture_first(
    engine: SearchEngine, texture: Draw, turned: Image.Transpose | None
) -> None:
    query = texture(20, 100, 90).crop((5, 5, 85, 80))
    finding = engine.find(query.transpose(turned) if turned is not None else query)
    assert finding.here is True
    assert finding.false_positive_rate == 0.01
    assert finding.hits[0].path == "blue/sky/20.png"
    assert [hit.same_picture for hit in finding.hits][:2] == [True, False]
    corners = np.array(finding.hits[0].outline)
    np.testing.assert_allclose(corners.min(axis=0), [5, 5], atol=1.5)
    np.testing.assert_allclose(corners.max(axis=0), [84, 79], atol=1.5)


def test_a_stranger_is_not_found(engine: SearchEngine, texture: Draw) -> None:
    for query in (texture(100, 120, 90), Image.new("RGB", (50, 50), "red"), Image.new("RGB", (1, 1))):
        finding = engine.find(query, 3)
        assert finding.here is False
        assert len(finding.hits) == 3
        assert {hit.same_picture for hit in finding.hits} == {False}


def test_duplicates_are_the_groups_that_were_made(engine: SearchEngine) -> None:
    groups = engine.duplicates()
    assert [{picture.path for picture in group.pictures} for group in groups] == [
        {"blue/sea/07.png", "red/small.png", "red/jpeg.jpg"},
        {"blue/same.png", "blue/sky/08.png"},
    ]
    assert groups[0].keep.path != "red/small.png"


def test_the_map_has_a_place_for_each_and_the_query_is_near_its_nearest(
    engine: SearchEngine, texture: Draw
) -> None:
    rows, places = engine.map()
    assert rows.tolist() == [picture.row for picture in engine.pictures()]
    assert places.shape == (63, 2)
    assert np.isfinite(places).all()
    assert np.ptp(places, axis=0).min() > 0
    with SearchEngine.open(engine.store) as other:
        assert np.array_equal(other.map()[1], places)
    own = places[[picture.path for picture in engine.pictures()].index("blue/sea/31.png")]
    np.testing.assert_allclose(engine.place(texture(31, 110, 90)), own, atol=1e-4)


def test_pictures_are_paged_by_path(engine: SearchEngine) -> None:
    paths = [picture.path for picture in engine.pictures()]
    assert paths == sorted(paths)
    assert [picture.path for picture in engine.pictures(offset=10, limit=5)] == paths[10:15]
    assert engine.pictures(offset=100) == []
    assert (
        engine.pictures(Filter(labels=("red",)), 1, 2)
        == [p for p in engine.pictures() if p.label == "red"][1:3]
    )


def test_a_row_that_there_is_not_is_told(engine: SearchEngine) -> None:
    for ask in (engine.picture, engine.file, engine.image, engine.read):
        with pytest.raises(NoSuchPictureError, match="no picture in row 999"):
            ask(999)


def test_images_are_read_whole_or_small(engine: SearchEngine, texture: Draw) -> None:
    row = next(picture.row for picture in engine.pictures() if picture.path == "red/09.png")
    assert engine.image(row).tobytes() == texture(9, 140, 90).tobytes()
    assert engine.image(row, 70).size == (70, 45)
    assert engine.image(row, 500).size == (140, 90)


def test_a_file_that_became_a_link_out_of_the_folder_is_not_read(
    photos: Path, tmp_path: Path, encoder: Path
) -> None:
    (tmp_path / "secret.png").write_bytes((photos / "00.png").read_bytes())
    with SearchEngine.build(photos, tmp_path / "store", encoder=encoder) as engine:
        first = engine.pictures()[0]
        (photos / first.path).unlink()
        for link in (tmp_path / "secret.png", tmp_path / "nothing.png"):
            (photos / first.path).symlink_to(link)
            for ask in (engine.file, engine.image, engine.read, engine.find):
                with pytest.raises(NoSuchPictureError, match=r"00\.png is not in .* any more"):
                    ask(first.row)
            (photos / first.path).unlink()


def test_annoy_finds_no_less_after_changes(
    tmp_path: Path, encoder: Path, noise: Callable[[int, int, int], Image.Image]
) -> None:
    """Before and after a fifth of the pictures was replaced, against the exact index."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(400):
        noise(40, 30, number).save(photos / f"{number:03d}.png")
    engine = SearchEngine.build(
        photos, tmp_path / "store", encoder=encoder, same_picture=False, indexes=("annoy", "annoy_pca")
    )
    few = {"n_trees": 3, "search_k": 30}  # as few as miss some

    def recall(name: str, exact: str) -> float:
        vectors = engine.vectors()[1][::4]
        engine._gallery.approximate(name).parameters = few  # type: ignore[union-attr]
        found, right = (engine.nearest(vectors, 10, index)[1] for index in (name, exact))
        return float(
            np.mean([len(set(one) & set(other)) / 10 for one, other in zip(found, right, strict=True)])
        )

    before = {name: recall(name, exact) for name, exact in (("annoy", "knn"), ("annoy_pca", "knn_pca"))}
    assert all(share < 1 for share in before.values())
    version = engine.info().space_version
    for number in range(39):
        (photos / f"{number:03d}.png").unlink()
        noise(40, 30, 1000 + number).save(photos / f"new{number}.png")
    engine.sync()
    assert engine.info().space_version == version
    after = {name: recall(name, exact) for name, exact in (("annoy", "knn"), ("annoy_pca", "knn_pca"))}
    assert after["annoy"] >= before["annoy"] - 0.02
    assert after["annoy_pca"] >= before["annoy_pca"] - 0.02
    engine.refit()
    assert engine.info().space_version == (version or 0) + 1
    assert engine.verify() == []


def test_info_tells_of_the_store(engine: SearchEngine) -> None:
    info = engine.info()
    assert (info.pictures, info.rejected, info.labels, info.encoder, info.dimension) == (
        63,
        0,
        4,
        "test_resnet",
        96,
    )
    assert info.indexes == engine.indexes == INDEXES
    assert (info.local_features, info.regions, info.format) == (True, False, 3)
    assert (info.threshold, info.false_positive_rate) == (5.0, 0.01)
    assert info.bytes == sum(file.stat().st_size for file in engine.store.rglob("*") if file.is_file())
    assert (info.store, info.folder) == (str(engine.store), str(engine.folder))
    assert info.generation == engine.generation
