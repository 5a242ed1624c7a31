"""Where every artefact lives: one name a thing, the same in code, dvc.yaml and the README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ris.indexes import registry
from ris.indexes.registry import KINDS, Kind, exact_of

INDEX_STAGES = tuple(dict.fromkeys(kind.stage for kind in KINDS if kind.stage))
"""Stages that build indexes, as the registry of their kinds has them."""
STAGES = (
    "fetch",
    "clean",
    "finetune",
    "extract",
    "pca",
    *INDEX_STAGES,
    "same_picture",
    "tsne",
    "evaluate",
)
ENCODERS = ("finetuned", "pretrained", "both")
"""What is judged; each also without the classes of a draw, see `unseen`.

`both` has the vectors of the two others side by side.
"""
INDEXES: Mapping[str, Kind] = {
    kind.name: kind for kind in sorted(KINDS, key=lambda kind: not kind.exact) if kind.stage
}
"""Every index that is built and judged, by its name; exact ones come first."""
SHOWN_INDEX = exact_of(projected=True)
"""The index that the report's first sentence is about."""
SHOWN_INDEXES = tuple(
    kind.name
    for kind in INDEXES.values()
    if kind.exact or kind == next(one for one in INDEXES.values() if one.stage == kind.stage)
)
"""Those that short tables show: the exact ones, and of the others the first of each stage."""
RERANKED = registry.RERANKED.name
"""Judged and timed beside the indexes."""

IMAGES = "data/raw/images"
SOURCE = "data/raw/source.json"
CATALOG = "data/catalog.parquet"
REJECTED = "data/rejected.parquet"
PRETRAINED = "models/pretrained"
CLASSIFIER = "models/classifier.npy"
FINETUNED = "models/encoder"
UNSEEN = "models/unseen"
LOCAL_FEATURES = "data/local_features"
REGIONS = "data/regions"
STORE = "models/store.ris"
"""The gallery that was judged, as a store like any other."""
SAME_PICTURE_MODEL = "models/same_picture"
SAME_PICTURE = "reports/same_picture.json"
SAME_PICTURE_STORE = "reports/same_picture_store.json"
SAME_PICTURE_QUERIES = "reports/same_picture.csv"
SAME_PICTURE_PICTURES = "reports/same_picture"
SAME_PICTURE_RECALL = f"{SAME_PICTURE_PICTURES}/recall.png"
SAME_PICTURE_SCORES = f"{SAME_PICTURE_PICTURES}/scores.png"
LEARNING_CURVES = "reports/learning_curves.csv"
LEARNING_CURVES_PICTURE = "reports/learning_curves.png"
EXPLAINED_VARIANCE = "reports/explained_variance.png"
METRICS_PICTURE = "reports/metrics.png"
RECALL_LATENCY_PICTURE = "reports/recall_latency.png"
PER_CLASS_PICTURE = "reports/per_class.png"
CONFUSIONS_PICTURE = "reports/confusions.png"
TSNE = "reports/tsne.csv"
TSNE_SUMMARY = "reports/tsne.json"
TSNE_MAP = "reports/tsne.png"
TSNE_THUMBNAILS = "reports/tsne_thumbnails.jpg"
RECALL_LATENCY = "reports/recall_latency.csv"
PER_CLASS = "reports/per_class.csv"
WORST_QUERIES = "reports/worst_queries.csv"
CONFUSIONS = "reports/confusions.csv"
NEIGHBOURS = "reports/neighbours"
METRICS = "reports/metrics.json"
HEADLINE = "reports/headline.json"
"""The few of them by which runs are compared."""
LATENCY = "reports/latency.json"
REPORT = "reports/index.html"


def unseen(encoder: str, draw: int) -> str:
    """Name of an encoder that knows nothing of the classes that a draw holds out.

    The pre-trained network is the same one then; only its PCA is fitted without them.
    """
    return f"{encoder}_unseen{draw}"


def draw_unknown_to(encoder: str) -> int | None:
    """The draw whose classes an encoder knows nothing of, by its name; None where it may know all."""
    _, _, draw = encoder.partition("_unseen")
    return int(draw) if draw else None


def embedding_encoders(draws: Sequence[int]) -> list[str]:
    """Every encoder that has a network of its own."""
    return ["finetuned", "pretrained", *(unseen("finetuned", draw) for draw in draws)]


def parts(encoder: str) -> list[str]:
    """The encoders whose vectors one is made of: itself, or two side by side."""
    base, mark, draw = encoder.partition("_unseen")
    return [f"finetuned{mark}{draw}", "pretrained"] if base == "both" else [encoder]


def searched_encoders(draws: Sequence[int]) -> dict[str, int | None]:
    """Every encoder that is searched by, and the draw whose classes it must not know."""
    searched: dict[str, int | None] = dict.fromkeys(ENCODERS)
    return searched | {unseen(name, draw): draw for draw in draws for name in ENCODERS}


def encoder(name: str) -> str:
    """Folder of an encoder's network."""
    base, _, draw = name.partition("_unseen")
    if base == "pretrained":
        return PRETRAINED
    return f"{UNSEEN}/{draw}" if draw else FINETUNED


def features(encoder: str, projected: bool = False) -> str:
    """Array of an encoder's vectors: (N, D) as the network gives them, or (N, d) after PCA."""
    if projected:
        return f"data/features_pca/{encoder}.npy"
    return f"data/features/{'pretrained' if encoder.startswith('pretrained') else encoder}.npy"


def regions(encoder: str) -> str:
    """Array of the vectors of the gallery's regions, (5 n, D): those of a picture one after the other."""
    return f"{REGIONS}/{encoder}.npy"


def proof(name: str) -> str:
    """Picture of what was found after one edit, or of `absent` pictures."""
    return f"{SAME_PICTURE_PICTURES}/proof_{name}.jpg"


def projection(encoder: str) -> str:
    """The PCA fitted on an encoder's gallery vectors."""
    return f"models/pca/{encoder}.npz"


def rows_trained_on(encoder: str) -> str:
    """Which pictures training saw, for an encoder that must not know some."""
    return f"{UNSEEN}/{encoder.partition('_unseen')[2]}.json"


def rows_fitted_to(encoder: str) -> str:
    """Which pictures the PCA saw, for an encoder that must not know some."""
    return f"models/pca/{encoder}.json"


def index(name: str, encoder: str) -> str:
    """Folder of one index over one encoder's vectors."""
    return f"indexes/{name}/{encoder}"


def timings(stage: str) -> str:
    """What a stage took: the only kind of artefact that may differ between two equal runs."""
    return f"reports/timings/{stage}.json"


@dataclass(frozen=True)
class Tree:
    """A working tree of artefacts, with another one behind it that is only read.

    A stage run by hand or by DVC has one tree, the project's. A job of a sweep writes to a tree of its own
    and takes from the project's what it did not make itself.
    """

    root: Path
    behind: Path

    def read(self, name: str) -> Path:
        """Path of an artefact to read."""
        own = self.root / name
        return own if own.exists() else self.behind / name

    def write(self, name: str) -> Path:
        """Path of an artefact to write."""
        return self.root / name
