"""What the stage `same_picture` finds, by vectors, by fingerprints and proven, and the search it makes."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from ris.config import Network
from ris.copies.calibration import Answers, Calibration, calibrate, can_calibrate, different, halves
from ris.copies.local_features import LocalFeatures, describe, in_grey
from ris.copies.threshold import Threshold
from ris.copies.transformations import Matrix
from ris.copies.verification import Verified, verify
from ris.copies.views import query_views
from ris.copies.words import InvertedIndex, words_of
from ris.encoders.embedder import Embedder
from ris.encoders.encoder import Encoder
from ris.encoders.transforms import Pixels, for_embedding
from ris.gallery.arrays import ArrayGallery, Parts, catalogue_of
from ris.gallery.search import Prepared, same
from ris.gallery.spaces import Candidates, Space, Whitened, drawn, for_copies, projected_lengths
from ris.images.decoding import read_image
from ris.indexes.exact import ExactIndex
from ris.indexes.projection import Projection, side_by_side
from ris.indexes.vectors import Rows, Vectors
from ris.lab import layout
from ris.lab.config import Params, SamePicture
from ris.lab.data.features import read_features
from ris.lab.gallery import settings_of
from ris.lab.inputs import Catalog, Integers, read_index, read_space
from ris.lab.layout import Tree
from ris.lab.local_features import CatalogFeatures, GalleryFeatures
from ris.lab.questions import Questions
from ris.lab.same_picture_model import identity, open_model
from ris.metrics.intervals import recall_summary
from ris.metrics.latency import WARMUP, percentiles_ms
from ris.threads import worker_threads
from ris.types import Finding

KS = (1, 30, 100)
"""The k of recall@k."""
BATCH = 32
"""Queries prepared and embedded together."""
TIMED = 100
"""Queries that are timed, one at a time."""
FAR = 2.0
"""Distance of a query that has no candidate: as far as two vectors of length 1 can be."""


def read_embedded(params: Params, tree: Tree, catalog: Catalog) -> tuple[Vectors, Vectors | None]:
    """Read the vectors (n, D) of the gallery's pictures, and (5 n, D) of their regions, None where unused."""
    settings = params.same_picture
    whole = read_space(params, tree, catalog, settings.encoder, projected=False)[catalog.gallery]
    if not settings.regions:
        return whole, None
    files = [tree.read(layout.regions(name)) for name in layout.parts(settings.encoder)]
    parts = [read_features(file, catalog.sha256) for file in files]
    return whole, side_by_side(parts, params.extract.normalise)


def read_copies(params: Params, tree: Tree, catalog: Catalog) -> tuple[Vectors, Vectors | None]:
    """Read what candidates are searched among, before it is brought to the space of their own.

    Returns:
        vectors (n, D) of the gallery's pictures, and (5 n, D) of their regions, None where they are not used.
    """
    whole, regions = read_embedded(params, tree, catalog)
    return for_copies(whole, regions, settings_of(params)), regions


def fit_space(settings: SamePicture, whole: Vectors) -> Projection:
    """Fit the space in which candidates are searched to the gallery's vectors (n, D)."""
    kept = min(settings.n_components, *whole.shape)
    return Projection.fit(whole, kept, settings.whiten, normalise=True)


class Spaces:
    """Networks and projections: from pixels to the vectors that are searched."""

    def __init__(self, params: Params, tree: Tree, candidates: Projection, networks: Iterable[str]) -> None:
        """Open networks by name, those that give the candidates among them.

        Args:
            params: of the run.
            tree: of its artefacts.
            candidates: to the space in which candidates are searched.
            networks: which to open.
        """
        self.params, self.tree = params, tree
        self.encoder = params.same_picture.encoder
        self.embedders: dict[str, Embedder] = {
            name: Encoder.open(tree.read(layout.encoder(name))).embedder(params.extract.precision)
            for name in networks
        }
        self.network = self.embedders[layout.parts(self.encoder)[0]].network
        self.candidates = candidates

    def join(self, parts: Mapping[str, Vectors], encoder: str, projected: bool) -> Vectors:
        """Bring the networks' vectors (n, D) of an encoder's parts to the space of its indexes."""
        joined = side_by_side([parts[name] for name in layout.parts(encoder)], self.params.extract.normalise)
        if not projected:
            return joined
        return Projection.load(self.tree.read(layout.projection(encoder))).apply(joined)

    def for_candidates(self, parts: Mapping[str, Vectors]) -> Vectors:
        """Bring the networks' vectors (n, D) to the space in which candidates are searched."""
        return self.candidates.apply(self.join(parts, self.encoder, projected=False))

    def embed(self, pixels: Pixels) -> Vectors:
        """Embed prepared pictures by the networks that give the candidates, side by side: (v, D)."""
        parts = {name: self.embedders[name].embed(pixels) for name in layout.parts(self.encoder)}
        return self.join(parts, self.encoder, projected=False)


def make_gallery(
    params: Params, tree: Tree, catalog: Catalog, space: Projection, threshold: float | None = None
) -> ArrayGallery:
    """Put together the gallery in which copies are looked for.

    Args:
        params: of the run.
        tree: of its artefacts.
        catalog: of the pictures.
        space: in which candidates are searched.
        threshold: evidence above which a picture is here; None where that was not calibrated.
    """
    whole, regions = read_copies(params, tree, catalog)
    features = CatalogFeatures.open(tree.read(layout.LOCAL_FEATURES), catalog.sha256)
    kept = GalleryFeatures(features, catalog.gallery)
    hashes = np.asarray(features.hashes)[catalog.gallery]

    def whitened(vectors: Vectors) -> Whitened:
        return Whitened(vectors, projected_lengths(vectors, space), space)

    settings, files = settings_of(params), catalog.files(catalog.gallery)

    def grey(position: int) -> npt.NDArray[np.uint8]:
        return in_grey(read_image(files[position], settings.max_pixels, 2 * settings.side), settings.side)

    table = catalog.table.iloc[catalog.gallery]
    gallery = ArrayGallery(
        catalogue_of(table["path"].tolist(), table["label"].tolist(), catalog.gallery),
        settings,
        Parts(
            whole=Space(ExactIndex(whole)),
            hashes=hashes,
            candidates=Candidates(
                whitened(whole), None if regions is None else whitened(regions), hashes, _words(kept)
            ),
            features=kept,
            grey=grey,
        ),
    )
    if threshold is not None:
        gallery.threshold = Threshold(threshold, params.same_picture.false_positive_rate)
    return gallery


def _words(kept: GalleryFeatures) -> InvertedIndex:
    spelled = words_of([kept[position].descriptors for position in range(len(kept.rows))])
    return InvertedIndex(np.concatenate(spelled), np.array([len(words) for words in spelled]))


def made_for(params: Params, tree: Tree, catalog: Catalog) -> dict[str, Any]:
    """All that a space and a threshold are made for."""
    names = layout.parts(params.same_picture.encoder)
    return identity(params, catalog.sha256, {name: tree.read(layout.encoder(name)) for name in names})


@dataclass(frozen=True, eq=False)
class Finder:
    """The gallery that the stage made, and what queries are prepared by: from a picture to its answer."""

    gallery: ArrayGallery
    spaces: Spaces
    settings: SamePicture

    @property
    def bytes_per_picture(self) -> float:
        """Bytes of local features that a picture takes."""
        features = self.gallery.features
        assert isinstance(features, GalleryFeatures)
        return features.features.nbytes / max(1, len(features.features))

    @property
    def region_rows(self) -> int:
        """How many regions are searched."""
        candidates = self.gallery.candidates
        return 0 if candidates is None or candidates.regions is None else len(candidates.regions.vectors)

    def find(self, image: Image.Image, k: int = 1) -> Finding:
        """Find where a picture, RGB, is in the gallery."""
        query = prepare(image, self.spaces.network, self.settings)
        views = self.spaces.embed(query.pixels)
        return same(self.gallery, views, Prepared(views[0], query.features), k, None)


def open_finder(params: Params, tree: Tree, catalog: Catalog) -> Finder:
    """Open what the stage made, its threshold with it.

    Raises:
        RisError: it was made for another catalog, encoder or other settings, or a file of it is damaged.
    """
    space, calibration = open_model(tree.read(layout.SAME_PICTURE_MODEL), made_for(params, tree, catalog))
    spaces = Spaces(params, tree, space, layout.parts(params.same_picture.encoder))
    threshold = calibration.threshold if calibration else None
    return Finder(make_gallery(params, tree, catalog, space, threshold), spaces, params.same_picture)


@dataclass(frozen=True, eq=False)
class PreparedPicture:
    """A picture as networks and geometry see it."""

    pixels: Pixels
    """(v, 3, crop, crop) uint8: its views, itself first."""
    features: LocalFeatures


def prepare(image: Image.Image, network: Network, settings: SamePicture) -> PreparedPicture:
    """Prepare a picture, RGB: its views, or itself where `settings.views` is off, and local features."""
    views = query_views(image) if settings.views else [image]
    pixels = np.stack([for_embedding(view, network) for view in views])
    local = settings.local_features
    return PreparedPicture(pixels, describe(image, local.query, local.side))


@dataclass(frozen=True, eq=False)
class Looked:
    """What was seen of every query."""

    vectors: dict[str, Vectors]
    """(q, v, D) by network; of one that gives no candidates (n_present, 1, D)."""
    features: list[LocalFeatures]
    matrices: list[Matrix]
    """From the original's pixels to the query's."""


def look_at_all(questions: Questions, spaces: Spaces) -> Looked:
    """Edit, embed and describe every query."""
    settings = questions.params.same_picture
    viewed = layout.parts(settings.encoder)
    vectors: dict[str, list[Vectors]] = {name: [] for name in spaces.embedders}
    features: list[LocalFeatures] = []
    matrices: list[Matrix] = []

    def prepared(asked: tuple[str, int]) -> tuple[PreparedPicture, Matrix]:
        edited, matrix = questions.edited(*asked)
        return prepare(edited, spaces.network, settings), matrix

    ends = sorted({*range(0, len(questions.asked), BATCH), questions.n_present, len(questions.asked)})
    with (
        worker_threads(settings.workers) as pool,
        tqdm(total=len(questions.asked), desc="queries", disable=None) as progress,
    ):
        for start, end in pairwise(ends):
            queries = list(pool.map(prepared, questions.asked[start:end]))
            pixels = np.stack([query.pixels for query, _ in queries])
            for name, embedder in spaces.embedders.items():
                if name in viewed or start < questions.n_present:
                    seen = pixels if name in viewed else pixels[:, :1]
                    flat = seen.reshape(-1, *seen.shape[2:])
                    parts = [flat[place : place + BATCH] for place in range(0, len(flat), BATCH)]
                    found = np.concatenate([embedder.embed(part) for part in parts])
                    vectors[name].append(found.reshape(*seen.shape[:2], -1))
            features += [query.features for query, _ in queries]
            matrices += [matrix for _, matrix in queries]
            progress.update(len(queries))
    return Looked({name: np.concatenate(parts) for name, parts in vectors.items()}, features, matrices)


@dataclass(frozen=True, eq=False)
class Found:
    """What a search brought back for every query."""

    candidates: list[Rows]
    """(j,) catalog rows, the nearest first."""
    distances: list[float]
    """Of the nearest; `FAR` without any, or where it was not found by a vector."""

    @classmethod
    def of(cls, answers: Sequence[tuple[Vectors | None, Rows]]) -> "Found":
        """Gather distances (j,), None where there are none, and rows (j,)."""
        nearest = [
            float(distances[0]) if distances is not None and len(distances) else FAR
            for distances, _ in answers
        ]
        return cls([rows for _, rows in answers], nearest)

    def places(self, rows: Integers) -> Integers:
        """(r,) place of a row (r,) among each of the first r queries' candidates, from 1; 0 if not there."""
        return np.array(
            [
                int(np.flatnonzero(found == row)[0]) + 1 if row in found else 0
                for found, row in zip(self.candidates, rows, strict=False)
            ],
            np.int64,
        )


def one_vector(
    questions: Questions, tree: Tree, spaces: Spaces, looked: Looked
) -> dict[str, dict[str, Found]]:
    """Ask each index of each encoder for those present, one vector a query: encoder -> index -> answers."""
    catalog, n_present = questions.catalog, questions.n_present
    whole = {name: np.ascontiguousarray(vectors[:n_present, 0]) for name, vectors in looked.vectors.items()}
    found: dict[str, dict[str, Found]] = {}
    for encoder in layout.ENCODERS:
        found[encoder] = {}
        for name, kind in layout.INDEXES.items():
            asked = spaces.join(whole, encoder, kind.projected)
            index = read_index(questions.params, tree, catalog, kind, encoder, asked.shape[1])
            distances, positions = index.search(asked, max(KS))
            found[encoder][name] = Found.of(list(zip(distances, catalog.gallery[positions], strict=True)))
    return found


def all_ways(questions: Questions, spaces: Spaces, looked: Looked, gallery: ArrayGallery) -> dict[str, Found]:
    """Ask by each way of looking for a query, and for the candidates that are drawn from all of them."""
    parts = {name: looked.vectors[name] for name in layout.parts(questions.params.same_picture.encoder)}
    count, views, _ = next(iter(parts.values())).shape
    flat = {name: vectors.reshape(count * views, -1) for name, vectors in parts.items()}
    vectors = spaces.join(flat, spaces.encoder, projected=False).reshape(count, views, -1)
    candidates, wanted = gallery.candidates, gallery.settings.candidates
    assert candidates is not None
    rows = questions.catalog.gallery

    def ranked(of_query: Vectors, features: LocalFeatures) -> dict[str, tuple[Vectors | None, Rows]]:
        return candidates.rankings(of_query, features, wanted)

    with worker_threads(questions.params.same_picture.workers) as pool:
        jobs = pool.map(ranked, vectors, looked.features)
        rankings = list(tqdm(jobs, "candidates", total=count, disable=None))
    ways = {
        way: Found.of([(of_query[way][0], rows[of_query[way][1]]) for of_query in rankings])
        for way in rankings[0]
    }
    chosen: list[tuple[Vectors | None, Rows]] = [(None, rows[drawn(one, wanted)]) for one in rankings]
    return ways | {"candidates": Found.of(chosen)}


def verify_all(
    questions: Questions, looked: Looked, found: Found, gallery: ArrayGallery
) -> list[list[Verified]]:
    """Have geometry look at every query's candidates; what it found is named by catalog rows."""
    features, enough = gallery.features, gallery.settings.enough_evidence
    assert features is not None
    described, rows = features, questions.catalog.gallery

    def verified(query: LocalFeatures, candidates: Rows) -> list[Verified]:
        positions = np.searchsorted(rows, candidates).tolist()
        proofs = verify(query, positions, described, enough)
        return [replace(proof, row=int(rows[proof.row])) for proof in proofs]

    with worker_threads(questions.params.same_picture.workers) as pool:
        jobs = pool.map(verified, looked.features, found.candidates)
        return list(tqdm(jobs, "verification", total=len(looked.features), disable=None))


def recalls(questions: Questions, found: Found) -> dict[str, Any]:
    """recall@k of what a search brought back."""
    params = questions.params
    places = found.places(questions.rows[: questions.n_present]).reshape(len(questions.names), -1)
    return {
        f"recall@{k}": recall_summary(
            (places > 0) & (places <= k), questions.names, params.evaluate.bootstrap, params.seed
        )
        for k in KS
        if k <= max(len(rows) for rows in found.candidates) or k == 1
    }


def answers_by_distance(questions: Questions, found: Found) -> Answers:
    """The nearest candidate as the answer, the surer the nearer."""
    first = np.array([int(rows[0]) if len(rows) else -1 for rows in found.candidates])
    return _answers(questions, -np.array(found.distances), first)


def answers_by_evidence(questions: Questions, verified: Sequence[Sequence[Verified]]) -> Answers:
    """The best verified picture as the answer, the surer the more evidence."""
    scores = np.array([proofs[0].evidence if proofs else 0 for proofs in verified], np.float64)
    first = np.array([proofs[0].row if proofs else -1 for proofs in verified])
    return _answers(questions, scores, first)


def _answers(questions: Questions, scores: npt.NDArray[np.float64], first: Integers) -> Answers:
    rows, present = questions.rows, questions.is_present
    groups = questions.catalog.table["group"].to_numpy().astype(np.int64)[rows]
    return Answers(scores, present, (first == rows) & present, groups)


def calibrated(
    questions: Questions, answers: Answers, score: str
) -> tuple[Calibration, dict[str, Any]] | None:
    """Choose a threshold on one half and report on the other; None where there are too few for it."""
    params = questions.params
    rate = params.same_picture.false_positive_rate
    if not can_calibrate(answers, rate, params.seed):
        return None
    calibration = calibrate(
        answers,
        score,
        questions.catalog.sha256,
        false_positive_rate=rate,
        n_resamples=params.evaluate.bootstrap,
        seed=params.seed,
    )
    told = calibration.reported
    reported = ~halves(answers, params.seed) & answers.present
    right = answers.correct & (answers.scores > calibration.threshold)
    names = np.array([name for name, _ in questions.asked])
    of_edit = {name: right[reported & (names == name)] for name in questions.names}
    return calibration, {
        "mean": told.recall.value,
        "mean_ci95": told.recall.ci95,
        "per_edit": {name: round(float(some.mean()), 6) for name, some in of_edit.items()},
        "n": told.recall.n,
        "precision": told.precision.value,
        "precision_ci95": told.precision.ci95,
        "false_positive_rate": told.false_positive_rate.value,
        "false_positive_rate_ci95": told.false_positive_rate.ci95,
        "threshold": calibration.threshold,
        "stated_false_positive_rate": rate,
        "n_absent": told.false_positive_rate.n,
        "n_strangers": different(answers.groups[~halves(answers, params.seed) & ~answers.present]),
    }


@dataclass(frozen=True, eq=False)
class Result:
    """All that came of asking."""

    summary: dict[str, Any]
    """Encoder -> index, a way of `Candidates.rankings`, `candidates`, `verified` -> metric."""
    looked: Looked
    found: Found
    """The candidates that geometry looked at."""
    by_vector: Found
    """By the query's vector alone, in the space of the candidates."""
    verified: list[list[Verified]]
    space: Projection
    """In which candidates are searched."""
    calibrations: dict[str, Calibration]
    """By score: `evidence` and `distance`."""
    before_and_after: dict[str, dict[str, float]]
    """Recall@1 by edit, of one vector, of the candidates, and verified."""
    scores: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float | None]]
    """Of those present, of those absent, and the threshold, by what to call a score."""

    @property
    def threshold(self) -> float | None:
        """Evidence above which a picture is here; None where that was not calibrated."""
        return self.calibrations["evidence"].threshold if "evidence" in self.calibrations else None


def ask(questions: Questions, tree: Tree) -> Result:
    """Ask everything."""
    params, catalog = questions.params, questions.catalog
    settings = params.same_picture
    space = fit_space(settings, read_copies(params, tree, catalog)[0])
    spaces = Spaces(params, tree, space, layout.parts("both"))
    looked = look_at_all(questions, spaces)
    alone = one_vector(questions, tree, spaces, looked)
    gallery = make_gallery(params, tree, catalog, space)
    ways = all_ways(questions, spaces, looked, gallery)
    found, by_vector = ways["candidates"], ways["whitened"]
    verified = verify_all(questions, looked, found, gallery)

    summary = {
        encoder: {index: recalls(questions, one) for index, one in of_encoder.items()}
        for encoder, of_encoder in alone.items()
    }
    own = summary[settings.encoder]
    own |= {index: recalls(questions, one) for index, one in ways.items()}
    by_evidence = answers_by_evidence(questions, verified)
    hits = by_evidence.correct[: questions.n_present].reshape(len(questions.names), -1)
    recalled = recall_summary(hits, questions.names, params.evaluate.bootstrap, params.seed)
    own["verified"] = {"recall@1": recalled}
    calibrations, scores = {}, {}
    for score, label, answers, index in (
        ("evidence", "evidence", by_evidence, "verified"),
        ("distance", "minus the distance", answers_by_distance(questions, by_vector), "whitened"),
    ):
        done, present = calibrated(questions, answers, score), answers.present
        scores[label] = (answers.scores[present], answers.scores[~present], done and done[0].threshold)
        if done:
            calibrations[score], told = done
            rate = f"{100 * settings.false_positive_rate:g}".zfill(2)
            own[index][f"recall_at_fpr{rate}"] = told
    shown = {"one vector": own["whitened"], "candidates": own["candidates"], "verified": own["verified"]}
    before_and_after = {label: one["recall@1"]["per_edit"] for label, one in shown.items()}
    return Result(summary, looked, found, by_vector, verified, space, calibrations, before_and_after, scores)


def measure(questions: Questions, tree: Tree) -> dict[str, Any]:
    """Time queries of all edits, one at a time, from the decoded picture to the verified answer."""
    finder = open_finder(questions.params, tree, questions.catalog)
    places = np.linspace(0, len(questions.asked) - 1, min(TIMED, len(questions.asked))).astype(int)
    images = [questions.edited(*questions.asked[place])[0] for place in places]
    for image in images[:WARMUP]:
        finder.find(image)
    durations = []
    for image in images:
        start = time.perf_counter_ns()
        finder.find(image)
        durations.append(time.perf_counter_ns() - start)
    here = np.count_nonzero(places < questions.n_present)
    return {
        **percentiles_ms(durations),
        "present_p50_ms": percentiles_ms(durations[:here])["p50_ms"],
        "queries": len(images),
        "threads": os.cpu_count(),
        "local_features_bytes_per_picture": round(finder.bytes_per_picture),
        "region_rows": finder.region_rows,
    }
