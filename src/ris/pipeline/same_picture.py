"""What the stage `same_picture` asks: edited pictures of the gallery, and of pictures that are not in it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ris.config import Params
from ris.data.features import read_features
from ris.data.images import read_image
from ris.data.near_duplicates import worker_threads
from ris.encoder.encoder import Embedder, Encoder
from ris.evaluation import outlines, plots
from ris.evaluation.latency import percentiles_ms
from ris.pipeline import layout
from ris.pipeline.inputs import Catalog, Integers, read_index, read_space
from ris.pipeline.layout import Tree
from ris.same_picture import edits
from ris.same_picture.calibration import Answers, Calibration, calibrate, halves, smallest_rate
from ris.same_picture.local_features import LocalFeatures, LocalFeatureStore
from ris.same_picture.search import Query, SamePictureSearch, gallery_index, look
from ris.same_picture.verification import Matrix, Verified, outline, verify
from ris.search.space import Projection, side_by_side
from ris.search.vectors import Rows, Vectors

KS = (1, 30, 100)
"""The k of recall@k."""
BATCH = 32
"""Queries prepared and embedded together."""
TIMED = 100
"""Queries that are timed, one at a time."""
FAILURES = 2
"""Wrong answers shown for each edit, beside a right one."""
FAR = 2.0
"""Distance of a query that has no candidate: as far as two vectors of length 1 can be."""
STRANGERS = 8
"""Pictures outside the gallery shown, those that geometry takes most for one in it."""


@dataclass(frozen=True)
class Questions:
    """The pictures that are asked for after each edit: by edit, then by picture."""

    params: Params
    catalog: Catalog

    @cached_property
    def present(self) -> Integers:
        """(n,) gallery rows, ascending; none has a near-copy."""
        return self._drawn(self.catalog.gallery, self.params.same_picture.queries)

    @cached_property
    def absent(self) -> Integers:
        """(m,) rows outside the gallery, ascending; none has a near-copy."""
        return self._drawn(self.catalog.queries, self.params.same_picture.absent)

    def _drawn(self, rows: Integers, count: int) -> Integers:
        groups = self.catalog.table["group"].to_numpy()
        single = rows[np.bincount(groups)[groups[rows]] == 1]
        rng = np.random.default_rng([self.params.seed, len(rows)])
        return np.sort(rng.choice(single, min(count, len(single)), replace=False))

    @property
    def names(self) -> list[str]:
        """The edits."""
        return list(self.params.same_picture.edits)

    @cached_property
    def asked(self) -> list[tuple[str, int]]:
        """Every edit and row: all of those present, then all of those absent."""
        return [
            (edit, int(row)) for rows in (self.present, self.absent) for edit in self.names for row in rows
        ]

    @property
    def rows(self) -> Integers:
        """(q,) the row of each."""
        return np.array([row for _, row in self.asked], np.int64)

    @property
    def is_present(self) -> npt.NDArray[np.bool_]:
        """(q,) whether its original is in the gallery."""
        return np.arange(len(self.asked)) < len(self.names) * len(self.present)

    def read(self, row: int) -> Image.Image:
        """The picture of a row."""
        return read_image(self.catalog.files(np.array([row]))[0], self.params.clean.max_pixels)

    def edited(self, edit: str, row: int) -> tuple[Image.Image, Matrix]:
        """Edit a picture; a collage is filled up with pictures outside the gallery."""
        seed, others = self.params.seed, []
        if edit == "collage":
            free = self.catalog.queries[self.catalog.queries != row]
            chosen = np.random.default_rng([seed, row]).choice(free, min(3, len(free)), replace=False)
            others = [self.read(int(other)) for other in chosen]
        strength = self.params.same_picture.edits[edit]
        return edits.apply(edit, self.read(row), edits.generator(edit, row, seed), strength, others)


class Spaces:
    """Networks and projections: from pixels to the vectors that are searched."""

    def __init__(self, params: Params, tree: Tree, catalog: Catalog) -> None:
        self.params, self.tree = params, tree
        self.embedders: dict[str, Embedder] = {
            name: Encoder.open(tree.read(layout.encoder(name))).embedder(params.extract.precision)
            for name in ("finetuned", "pretrained")
        }
        settings = params.same_picture
        self.encoder = settings.encoder
        whole = read_space(params, tree, catalog, self.encoder, projected=False)[catalog.gallery]
        kept = min(settings.n_components, *whole.shape)
        self.candidates = Projection.fit(whole, kept, settings.whiten, normalise=True)
        self.gallery = self.candidates.apply(whole)

    def join(self, parts: Mapping[str, Vectors], encoder: str, projected: bool) -> Vectors:
        """Bring the networks' vectors (n, D) of an encoder's parts to the space of its indexes."""
        joined = side_by_side([parts[name] for name in layout.parts(encoder)], self.params.extract.normalise)
        if not projected:
            return joined
        return Projection.load(self.tree.read(layout.projection(encoder))).apply(joined)

    def for_candidates(self, parts: Mapping[str, Vectors]) -> Vectors:
        """Bring the networks' vectors (n, D) to the space in which candidates are searched."""
        return self.candidates.apply(self.join(parts, self.encoder, projected=False))

    def embed(self, pixels: Tensor) -> Vectors:
        """Embed prepared pictures in that space."""
        return self.for_candidates(
            {name: self.embedders[name].embed(pixels) for name in layout.parts(self.encoder)}
        )


@dataclass(frozen=True, eq=False)
class Looked:
    """What was seen of every query."""

    vectors: dict[str, Vectors]
    """(q, v, D) by network: v is 1 where its views are not asked with."""
    features: list[LocalFeatures]


def look_at_all(questions: Questions, spaces: Spaces) -> Looked:
    """Edit, embed and describe every query."""
    params, settings = questions.params, questions.params.same_picture
    network = params.backbone
    viewed = layout.parts(settings.encoder)
    vectors: dict[str, list[Vectors]] = {name: [] for name in spaces.embedders}
    features: list[LocalFeatures] = []

    def prepared(asked: tuple[str, int]) -> Query:
        return look(questions.edited(*asked)[0], network, settings)

    with (
        worker_threads(settings.workers) as pool,
        tqdm(total=len(questions.asked), desc="queries", disable=None) as progress,
    ):
        for start in range(0, len(questions.asked), BATCH):
            batch = questions.asked[start : start + BATCH]
            queries = list(pool.map(prepared, batch))
            pixels = torch.stack([query.pixels for query in queries])
            for name, embedder in spaces.embedders.items():
                seen = pixels if name in viewed else pixels[:, :1]
                found = [embedder.embed(part) for part in seen.flatten(end_dim=1).split(BATCH)]  # type: ignore[no-untyped-call]
                vectors[name].append(np.concatenate(found).reshape(*seen.shape[:2], -1))
            features += [query.features for query in queries]
            progress.update(len(queries))
    return Looked({name: np.concatenate(parts) for name, parts in vectors.items()}, features)


def make_search(questions: Questions, tree: Tree, spaces: Spaces, regions: bool) -> SamePictureSearch:
    """The search of the parameters, with or without regions."""
    catalog, settings = questions.catalog, questions.params.same_picture
    of_regions = None
    if regions:
        parts = {
            name: read_features(tree.read(layout.regions(name)), catalog.sha256)
            for name in layout.parts(settings.encoder)
        }
        of_regions = spaces.for_candidates(parts)
    return SamePictureSearch(
        gallery_index(spaces.gallery, of_regions, catalog.gallery),
        LocalFeatureStore.open(tree.read(layout.LOCAL_FEATURES), catalog.sha256),
        questions.params.backbone,
        settings.model_copy(update={"regions": regions}),
        spaces.embed,
    )


@dataclass(frozen=True, eq=False)
class Found:
    """What a search brought back for every query."""

    candidates: list[Rows]
    """(j,) catalog rows, the nearest first."""
    distances: list[float]
    """Of the nearest; `FAR` without any."""

    @classmethod
    def of(cls, answers: Sequence[tuple[Vectors, Rows]]) -> "Found":
        """Gather distances (j,) and rows (j,)."""
        nearest = [float(distances[0]) if len(distances) else FAR for distances, _ in answers]
        return cls([rows for _, rows in answers], nearest)

    def places(self, rows: Integers) -> Integers:
        """Place of a row among each query's candidates, from 1; 0 where it is not among them."""
        return np.array(
            [
                int(np.flatnonzero(found == row)[0]) + 1 if row in found else 0
                for found, row in zip(self.candidates, rows, strict=True)
            ],
            np.int64,
        )


def one_vector(
    questions: Questions, tree: Tree, spaces: Spaces, looked: Looked
) -> dict[str, dict[str, Found]]:
    """Ask each index of each encoder with one vector a query: encoder -> index -> what came back."""
    catalog = questions.catalog
    whole = {name: np.ascontiguousarray(vectors[:, 0]) for name, vectors in looked.vectors.items()}
    found: dict[str, dict[str, Found]] = {}
    for encoder in layout.ENCODERS:
        found[encoder] = {}
        for name in layout.INDEXES:
            asked = spaces.join(whole, encoder, layout.projected(name))
            index = read_index(tree, catalog, name, encoder, asked.shape[1])
            distances, rows = index.search(asked, max(KS))
            found[encoder][name] = Found.of(list(zip(distances, rows, strict=True)))
    return found


def several_vectors(
    questions: Questions, spaces: Spaces, looked: Looked, searches: Mapping[str, SamePictureSearch]
) -> dict[str, Found]:
    """Ask in the space of the candidates with one vector, with regions, with views, and with both."""
    settings = questions.params.same_picture
    parts = {name: looked.vectors[name] for name in layout.parts(settings.encoder)}
    count, views, _ = next(iter(parts.values())).shape
    flat = {name: vectors.reshape(count * views, -1) for name, vectors in parts.items()}
    vectors = spaces.for_candidates(flat).reshape(count, views, -1)
    one = vectors[:, :1]
    asked = {"whitened": one, "regions": one, "views": vectors, "regions_views": vectors}
    with worker_threads(settings.workers) as pool:
        return {
            name: Found.of(
                list(tqdm(pool.map(search.candidates, asked[name]), name, total=count, disable=None))
            )
            for name, search in searches.items()
        }


def verify_all(
    questions: Questions, looked: Looked, found: Found, store: LocalFeatureStore
) -> list[list[Verified]]:
    """Have geometry look at every query's candidates."""
    settings = questions.params.same_picture

    def proven(features: LocalFeatures, rows: Rows) -> list[Verified]:
        return verify(features, rows[: settings.candidates].tolist(), store)

    with worker_threads(settings.workers) as pool:
        jobs = pool.map(proven, looked.features, found.candidates)
        return list(tqdm(jobs, "verification", total=len(looked.features), disable=None))


def first_answers(found: Found, verified: Sequence[Sequence[Verified]]) -> Integers:
    """(q,) the picture answered with: the best verified one, else the nearest candidate, -1 without any."""
    return np.array(
        [
            proofs[0].row if proofs else (int(rows[0]) if len(rows) else -1)
            for rows, proofs in zip(found.candidates, verified, strict=True)
        ],
        np.int64,
    )


def recall_summary(
    hits: npt.NDArray[np.bool_], names: Sequence[str], n_resamples: int, seed: int
) -> dict[str, Any]:
    """Average hits (edits, n) over edits and pictures.

    The interval is a 95 % percentile interval of a bootstrap over pictures, each with all of its edits
    (Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13).
    """
    by_picture = hits.mean(axis=0)
    draws = np.random.default_rng(seed).integers(len(by_picture), size=(n_resamples, len(by_picture)))
    low, high = np.quantile(by_picture[draws].mean(axis=1), [0.025, 0.975])
    return {
        "mean": round(float(hits.mean()), 6),
        "mean_ci95": [round(float(low), 6), round(float(high), 6)],
        "per_edit": {
            name: round(float(of_edit.mean()), 6) for name, of_edit in zip(names, hits, strict=True)
        },
        "n": int(hits.size),
    }


def recalls(questions: Questions, found: Found) -> dict[str, Any]:
    """recall@k of what a search brought back."""
    params, present = questions.params, questions.is_present
    places = found.places(questions.rows)[present].reshape(len(questions.names), -1)
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


def answers_by_inliers(questions: Questions, verified: Sequence[Sequence[Verified]]) -> Answers:
    """The best verified picture as the answer, the surer the more inliers."""
    scores = np.array([proofs[0].inliers if proofs else 0 for proofs in verified], np.float64)
    first = np.array([proofs[0].row if proofs else -1 for proofs in verified])
    return _answers(questions, scores, first)


def _answers(questions: Questions, scores: npt.NDArray[np.float64], first: Integers) -> Answers:
    rows, present = questions.rows, questions.is_present
    groups = questions.catalog.table["group"].to_numpy().astype(np.int64)[rows]
    return Answers(scores, present, (first == rows) & present, groups)


def calibrated(
    questions: Questions, answers: Answers, score: str
) -> tuple[Calibration, dict[str, Any]] | None:
    """Choose a threshold on one half and report on the other; None where the absent are too few for it."""
    params = questions.params
    rate = params.same_picture.false_positive_rate
    if smallest_rate(answers, params.seed) > rate:
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
    reported = ~halves(answers.groups, params.seed) & answers.present
    right = answers.correct & (answers.scores > calibration.threshold)
    names = np.array([edit for edit, _ in questions.asked])
    per_edit = {name: round(float(right[reported & (names == name)].mean()), 6) for name in questions.names}
    return calibration, {
        "mean": told.recall.value,
        "mean_ci95": told.recall.ci95,
        "per_edit": per_edit,
        "n": told.recall.n,
        "precision": told.precision.value,
        "precision_ci95": told.precision.ci95,
        "false_positive_rate": told.false_positive_rate.value,
        "false_positive_rate_ci95": told.false_positive_rate.ci95,
        "threshold": calibration.threshold,
        "stated_false_positive_rate": rate,
        "n_absent": told.false_positive_rate.n,
    }


def corner_errors(questions: Questions, verified: Sequence[Sequence[Verified]]) -> npt.NDArray[np.float64]:
    """(q,) how far the worst corner of a right proof is off, in pixels of the original; else NaN."""
    errors = np.full(len(verified), np.nan)
    for place, ((edit, row), proofs) in enumerate(zip(questions.asked, verified, strict=True)):
        if proofs and proofs[0].row == row:
            edited, matrix = questions.edited(edit, row)
            truth = outline(np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2], edited.size)
            errors[place] = np.linalg.norm(proofs[0].outline - truth, axis=1).max()
    return errors


def as_table(
    questions: Questions, found: Found, verified: Sequence[Sequence[Verified]], threshold: float | None
) -> pd.DataFrame:
    """One line a query: what was asked, what was found, how sure."""
    paths, rows = questions.catalog.table["path"].to_numpy(), questions.rows
    inliers = np.array([proofs[0].inliers if proofs else 0 for proofs in verified])
    return pd.DataFrame(
        {
            "edit": [edit for edit, _ in questions.asked],
            "path": paths[rows],
            "present": questions.is_present,
            "place": found.places(rows),
            "distance": np.round(found.distances, 5),
            "found": [str(paths[proofs[0].row]) if proofs else "" for proofs in verified],
            "inliers": inliers,
            "mirrored": [bool(proofs) and proofs[0].mirrored for proofs in verified],
            "corner_error": corner_errors(questions, verified).round(2),
            "here": inliers > (np.inf if threshold is None else threshold),
        }
    )


def measure(questions: Questions, search: SamePictureSearch) -> dict[str, Any]:
    """Time queries of all edits, one at a time, from the decoded picture to the verified answer."""
    places = np.linspace(0, len(questions.asked) - 1, min(TIMED, len(questions.asked))).astype(int)
    images = [questions.edited(*questions.asked[place])[0] for place in places]
    search.search(images[0])
    durations = []
    for image in images:
        start = time.perf_counter_ns()
        search.search(image)
        durations.append(time.perf_counter_ns() - start)
    size = sum(array.nbytes for array in (search.store.points, search.store.descriptors))
    return {
        **percentiles_ms(durations),
        "queries": len(images),
        "threads": torch.get_num_threads(),
        "local_features_bytes_per_picture": round(size / len(search.store)),
        "region_rows": search.index.count - len(questions.catalog.gallery),
    }


@dataclass(frozen=True, eq=False)
class Result:
    """All that the stage writes."""

    summary: dict[str, Any]
    """Encoder -> index, `whitened`, `regions`, `views`, `regions_views`, `verified` -> metric."""
    table: pd.DataFrame
    calibrations: dict[str, Calibration]
    """By score: `inliers` and `distance`."""
    before_and_after: dict[str, dict[str, float]]
    """Recall@1 per edit of one vector, of all candidates' vectors, and verified."""
    scores: dict[str, tuple[Any, Any, float | None]]
    """Of those present, of those absent, and the threshold, by score."""
    verified: list[list[Verified]]
    space: list[Projection]
    """The one in which candidates are searched; none where nothing was asked."""
    costs: dict[str, Any]


def ask(questions: Questions, tree: Tree) -> Result:
    """Ask everything; nothing where the question is switched off or every picture has a near-copy."""
    params, catalog = questions.params, questions.catalog
    settings = params.same_picture
    if not settings.enabled or not len(questions.present):
        return Result({}, pd.DataFrame(), {}, {}, {}, [], [], {})
    spaces = Spaces(params, tree, catalog)
    looked = look_at_all(questions, spaces)
    alone = one_vector(questions, tree, spaces, looked)
    searches = {"whitened": make_search(questions, tree, spaces, regions=False)}
    if settings.views:
        searches["views"] = searches["whitened"]
    if settings.regions:
        searches["regions"] = make_search(questions, tree, spaces, regions=True)
    if settings.views and settings.regions:
        searches["regions_views"] = searches["regions"]
    several = several_vectors(questions, spaces, looked, searches)
    name, search = list(searches.items())[-1]
    found = several[name]
    verified = verify_all(questions, looked, found, search.store)

    summary = {
        encoder: {index: recalls(questions, one) for index, one in of_encoder.items()}
        for encoder, of_encoder in alone.items()
    }
    own = summary[settings.encoder]
    own |= {index: recalls(questions, one) for index, one in several.items()}
    hits = (first_answers(found, verified) == questions.rows)[questions.is_present]
    by_edit = hits.reshape(len(questions.names), -1)
    own["verified"] = {
        "recall@1": recall_summary(by_edit, questions.names, params.evaluate.bootstrap, params.seed)
    }
    calibrations, scores = {}, {}
    for score, answers, index in (
        ("inliers", answers_by_inliers(questions, verified), "verified"),
        ("distance", answers_by_distance(questions, found), name),
    ):
        done = calibrated(questions, answers, score)
        present = answers.present
        scores[score] = (answers.scores[present], answers.scores[~present], done and done[0].threshold)
        if done:
            calibrations[score], told = done
            own[index][f"recall_at_fpr{round(100 * settings.false_positive_rate):02d}"] = told
    shown = {"one vector": own["whitened"], "candidates": own[name], "verified": own["verified"]}
    threshold = calibrations["inliers"].threshold if "inliers" in calibrations else None
    return Result(
        summary,
        as_table(questions, found, verified, threshold),
        calibrations,
        {label: one["recall@1"]["per_edit"] for label, one in shown.items()},
        scores,
        verified,
        [spaces.candidates],
        measure(questions, search),
    )


def draw_proofs(questions: Questions, result: Result, folder: Path) -> None:
    """Draw for each edit a right answer and wrong ones, and the strangers that look most like the gallery."""
    table = result.table
    right = (table["found"] == table["path"]).to_numpy()
    present, edit_of = table["present"].to_numpy(), table["edit"].to_numpy()
    order = np.random.default_rng(questions.params.seed).permutation(len(table))
    shown = {}
    for edit in questions.names:
        asked = order[present[order] & (edit_of[order] == edit)]
        shown[edit] = [*asked[right[asked]][:1], *asked[~right[asked]][:FAILURES]]
    strangers = np.argsort(np.where(present, 0, -table["inliers"]), kind="stable")
    shown["absent"] = strangers[~present[strangers]][:STRANGERS].tolist()
    for name, places in shown.items():
        if places:
            answered = [_answered(questions, result.verified[place], place) for place in places]
            plots.save(outlines.draw(answered), folder / Path(layout.proof(name)).name)


def _answered(questions: Questions, verified: Sequence[Verified], place: int) -> outlines.Answered:
    edit, row = questions.asked[place]
    proof = verified[0] if verified else None
    return outlines.Answered(
        edit=edit,
        query=questions.edited(edit, row)[0],
        original=questions.read(row) if questions.is_present[place] else None,
        found=questions.read(proof.row) if proof else None,
        found_name=str(questions.catalog.table["path"].iloc[proof.row]) if proof else "",
        outline=proof.outline if proof else None,
        inliers=proof.inliers if proof else 0,
        right=proof.row == row if proof else not questions.is_present[place],
    )
