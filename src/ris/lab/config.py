"""The typed schema of params.yaml: unknown keys and bad values end here, each with one clear sentence."""

import difflib
import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    field_validator,
    model_validator,
)

from ris.config import Backbone, Checksum, Positive, Reranking, Section, Side
from ris.copies.edits import EDITS
from ris.errors import RisError
from ris.indexes.registry import Kind
from ris.lab import layout

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


def _or_told(sentence: str) -> WrapValidator:
    """Tell of one of several types, where a value is of none of them, by one sentence."""

    def checked(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            raise ValueError(sentence) from error

    return WrapValidator(checked)


class Data(Section):
    """Where the pictures come from, and how much of them is accepted."""

    name: str
    attribution: str
    """Authors, place and licence, for the report."""
    source: str = Field(min_length=1)
    """URL, archive file or folder; `drawn:` for the built-in pictures."""
    checksum: Checksum | None = None
    """Of the archive; None only for a folder or the built-in pictures."""
    root: str | None = None
    """The archive's folder that holds one folder a class; None where the classes stand at the top."""
    background: tuple[str, ...] = ()
    """Folders that are no class and are dropped."""
    max_files: Positive
    max_bytes: Positive


class NearDuplicates(Section):
    """How near-duplicates are found: candidates by visual words, proof by geometry."""

    enabled: bool
    side: Side
    """Longer side of the picture that local features are taken from, pixels."""
    features: Positive
    """Local features kept a picture."""
    words: Positive
    """Size of the visual vocabulary."""
    candidates: Positive
    """Pictures compared with each picture."""
    min_inliers: Annotated[int, Field(ge=4)]
    """Matches that must agree on one transformation before a pair's pixels are compared."""
    min_similarity: Share
    """Structural similarity of the overlap, from -1 to 1, from which a pair counts as a near-duplicate."""
    min_evidence: float
    """Evidence, see `ris.copies.agreement`, from which it does so too."""


class Clean(Section):
    """What is dropped, what is grouped, how the rest is split."""

    max_pixels: Positive
    min_class_size: Annotated[int, Field(ge=3)]
    """Classes with fewer different pictures (near-duplicates count once) are dropped, with the reason."""
    near_duplicates: NearDuplicates
    query_share: Share
    validation_share: Share
    """Share of the gallery kept out of training."""
    workers: Positive
    """Threads that read and compare pictures; their number does not change the result."""


class Augment(Section):
    """Random changes of a training picture."""

    min_area: Annotated[float, Field(gt=0.0, le=1.0)]
    """Smallest share of the area that a random crop keeps."""
    flip: Annotated[float, Field(ge=0.0, le=1.0)]
    jitter: Annotated[float, Field(ge=0.0, le=1.0)]
    """Strength of brightness, contrast and saturation changes."""
    grayscale: Annotated[float, Field(ge=0.0, le=1.0)]


class Finetune(Section):
    """The training run."""

    epochs: Annotated[int, Field(ge=0)]
    """0 keeps the pre-trained network as it is."""
    frozen_stages: Annotated[int, Field(ge=0)]
    """Stages from the input on, the stem as the first, that stay as they were pre-trained."""
    batch_size: Annotated[int, Field(ge=2)]
    train_size: Annotated[int, Field(ge=32, le=1024)]
    """Side of a training crop, pixels."""
    learning_rate: Annotated[float, Field(gt=0.0)]
    weight_decay: Annotated[float, Field(ge=0.0)]
    warmup_share: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Share of the steps over which the learning rate rises."""
    temperature: Annotated[float, Field(gt=0.0)]
    """Of the cosine classifier."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]
    distillation: Annotated[float, Field(ge=0.0)]
    """Weight of the term that keeps each picture's vector in the pre-trained one's direction; 0 is none."""
    pretrained_share: Annotated[float, Field(ge=0.0, le=1.0)]
    """Share of the pre-trained weights in the average with the trained ones, which is kept."""
    class_balance: Annotated[float, Field(ge=0.0, le=1.0)]
    """A class is drawn in proportion to its size to the power of 1 minus this: 0 as it is, 1 all alike."""
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Of the moving average of the weights, which is the encoder that is kept; 0 keeps the last weights."""
    patience: Positive
    """Epochs without a better validation mAP@R before training stops."""
    workers: Annotated[int, Field(ge=0)]
    augment: Augment


Batches = Annotated[
    Annotated[int, Field(strict=True, ge=1)] | Annotated[float, Field(strict=True, gt=0.0, le=1.0)],
    _or_told("it must be a whole number of batches from 1, or a share of them up to 1.0"),
]


class Trainer(Section):
    """What the trainings run on, and how much of them; the words are Lightning's."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    devices: Annotated[
        Annotated[int, Field(strict=True, ge=1)] | Literal["auto"],
        _or_told("it must be `auto` or a whole number from 1"),
    ]
    """How many."""
    precision: Literal["auto", "bf16-mixed", "16-mixed", "32-true"]
    """`auto` is bf16-mixed where the processor computes in it."""
    limit_train_batches: Batches
    """A number of batches an epoch, or a share of them; 1.0 is all."""
    limit_val_batches: Batches
    resume: Path | None
    """A checkpoint that the training over all classes goes on from, of whose epochs the best is then kept of
    those that follow. A training that was broken off goes on by itself."""


class Logger(Section):
    """Where the learning curves of a training go while it runs, beside the table that is always written."""

    kind: Literal["none", "csv", "tensorboard", "mlflow", "wandb", "dvclive"]
    folder: str = Field(min_length=1)
    """Below which they are written; nothing reads them."""
    project: str = Field(min_length=1)
    """Name of the project, or of the experiment."""
    uri: str | None
    """Of MLflow's tracking server or store; None for an SQLite file below the folder."""


class Extract(Section):
    """Turning every picture into a vector."""

    batch_size: Positive
    workers: Annotated[int, Field(ge=0)]
    precision: Literal["auto", "bf16", "fp32"]
    """`auto` is bf16 where the processor computes in it."""
    normalise: bool
    """Whether vectors are brought to length 1 before searching or PCA; the distance stays Euclidean."""


class Space(Section):
    """The projection of one encoder's vectors."""

    n_components: Annotated[
        Annotated[int, Field(strict=True, ge=1)] | Share,
        _or_told("it must be a whole number of dimensions from 1, or a share of variance between 0 and 1"),
    ]
    """A number of dimensions, or the share of variance to keep."""
    whiten: Annotated[float, Field(ge=0.0, le=1.0)]
    """Directions are divided by their standard deviation to this power: 0 leaves them, 1 whitens."""
    shrinkage: Annotated[float, Field(ge=1e-6, le=1.0)]
    """How far what is learnt from the classes is shrunk; 1 learns nothing from them. See
    `ris.indexes.projection.within_class_whitening`."""
    sharpness: Annotated[float, Field(ge=0.0)]
    """How decided the pre-trained network's own classifier is, whose answers are put beside the vectors; 0
    leaves it out. See `ris.indexes.projection.with_classes`. Two networks side by side have none."""


class Pca(Space):
    """The projections."""

    normalise: bool
    """Whether projected vectors are brought to length 1."""
    pretrained: Space
    """That of the pre-trained encoder, which serves other classes than those that are learnt from."""

    def of(self, encoder: str) -> Space:
        """Return the settings for an encoder of `ris.lab.layout`."""
        return self.pretrained if encoder.startswith("pretrained") else self


class Unseen(Section):
    """The question of classes that training has not seen."""

    classes: Positive
    """Classes held out of a training."""
    draws: tuple[Annotated[int, Field(ge=0)], ...]
    """Numbers of the draws, each a training of its own without other classes; none leaves it out."""

    @model_validator(mode="after")
    def _each_once(self) -> "Unseen":
        if len(set(self.draws)) < len(self.draws):
            raise ValueError(f"draws {list(self.draws)} name one twice")
        return self


class LocalFeatures(Section):
    """What is stored of a gallery picture, and taken of a query, to prove by geometry that they are one."""

    gallery: Positive
    """Features of a gallery picture."""
    query: Positive
    """Features of a query."""
    side: Side
    """Longer side of the picture that they are taken from, pixels."""


class Edits(Section):
    """The edits after which a picture is asked for, each with its strength; see `ris.copies.edits`."""

    jpeg10: Annotated[float, Field(ge=1, le=95)]
    down64: Annotated[float, Field(ge=8, le=1024)]
    crop50: Annotated[float, Field(ge=0.01, le=1)]
    crop25: Annotated[float, Field(ge=0.01, le=1)]
    crop12: Annotated[float, Field(ge=0.01, le=1)]
    rot15: Annotated[float, Field(ge=0, le=180)]
    rot90: Annotated[float, Field(ge=90, le=270, multiple_of=90)]
    mirror: Annotated[float, Field(ge=1, le=1)]
    grey_dark: Annotated[float, Field(ge=0.05, le=1)]
    blur: Annotated[float, Field(ge=0.1, le=20)]
    noise: Annotated[float, Field(ge=1, le=100)]
    caption: Annotated[float, Field(ge=0.05, le=0.9)]
    frame: Annotated[float, Field(ge=1, le=10)]
    collage: Annotated[float, Field(ge=0.5, le=4)]
    colour: Annotated[float, Field(ge=0, le=1)]


class StoreQuestions(Section):
    """What is asked of a store that `ris build` makes of gallery pictures and of members of families."""

    photographs: Positive
    """Gallery pictures in the store, at most."""
    instances: Positive
    """Pictures asked for after each edit, and strangers of each family."""
    edits: tuple[str, ...]
    """At their reported strengths, see `ris.copies.edits`."""
    families: tuple[str, ...]
    """See `ris.lab.families`."""

    @field_validator("edits")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in EDITS]
        if unknown:
            raise ValueError(f"there is no edit {unknown[0]}; there are {', '.join(EDITS)}")
        return names


class SamePicture(Section):
    """The question where a very picture is, after an edit, or that it is not here."""

    enabled: bool
    encoder: Literal["finetuned", "pretrained", "both"]
    """Whose vectors give the candidates."""
    n_components: Annotated[int, Field(strict=True, ge=1)]
    """Directions of the space in which candidates are searched, a PCA of its own; no more than there are."""
    whiten: Annotated[float, Field(ge=0.0, le=1.0)]
    """See `pca.whiten`."""
    regions: bool
    """Index five regions of each gallery picture beside it."""
    region_weight: Annotated[float, Field(ge=0.0)]
    """Weight that the mean of its regions' vectors has in a gallery picture's own, where they are indexed."""
    views: bool
    """Ask with nine views of a query instead of one."""
    candidates: Positive
    """Gallery pictures that geometry looks at for a query, at most."""
    enough_evidence: Annotated[float, Field(gt=0.0)]
    """So much for one of them, and geometry looks no further; see `ris.copies.verification`."""
    local_features: LocalFeatures
    queries: Positive
    """Gallery pictures that are asked for after each edit."""
    absent: Positive
    """Pictures outside the gallery asked for after each edit, others after each while they last."""
    false_positive_rate: Share
    """Share of pictures that are not here, of which it may be answered that they are."""
    edits: Edits
    store: StoreQuestions
    workers: Positive
    """Threads that edit, describe and verify; their number does not change the result."""


class Evaluate(Section):
    """What is measured and shown.

    Beside these keys, for each parameter of an approximate index the values of its curve, see `curve_key`.
    """

    k: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """The k of precision@k and recall@k."""
    bootstrap: Positive
    """Resamples behind each interval."""
    latency_queries: Positive
    """Queries that are timed, one at a time."""
    latency_k: Positive
    """Neighbours asked for where time is measured, and compared in the curve of recall against latency."""
    sample_queries: Positive
    neighbours: Positive
    """Neighbours shown for each sample query; at most the largest k."""

    @model_validator(mode="after")
    def _ks_agree(self) -> "Evaluate":
        if self.latency_k not in self.k:
            raise ValueError(f"latency_k {self.latency_k} is not among k {list(self.k)}")
        if self.neighbours > max(self.k):
            raise ValueError(f"neighbours {self.neighbours} is more than the largest k, {max(self.k)}")
        return self

    def grid(self, parameters: Sequence[str]) -> list[dict[str, int]]:
        """Return every combination of the values that parameters of an index have in its curve."""
        values = [getattr(self, curve_key(name)) for name in parameters]
        return [dict(zip(parameters, some, strict=True)) for some in product(*values)]


def curve_key(parameter: str) -> str:
    """Key of `evaluate` for the values of an index's parameter in the curve of recall against latency."""
    return f"curve_{parameter.removeprefix('n_')}"


class Tsne(Section):
    """The map."""

    n_components: Annotated[int, Field(ge=2)]
    """PCA dimensions that t-SNE starts from."""
    perplexity: Annotated[float, Field(gt=1.0)]
    max_iter: Annotated[int, Field(ge=250)]
    thumbnails: Positive
    """Pictures drawn on the second map."""


class Params(Section):
    """All of params.yaml; beside these sections, one for each stage of `layout.INDEX_STAGES` that has any."""

    seed: Seed
    """Of the split, of the classes held out, and of what is drawn to judge by."""
    training_seed: Seed
    """Of the trainings: on one split, their noise can be told from the split's."""
    index_seed: Seed
    """Of the indexes that are built at random."""
    threads: Positive
    """Threads that sums are computed on; on another number they are rounded otherwise, and a training differs
    from its first epoch on."""
    data: Data
    backbone: Backbone
    clean: Clean
    finetune: Finetune
    trainer: Trainer
    logger: Logger
    extract: Extract
    pca: Pca
    index_recall: Share
    """Of the exact nearest of a validation picture, the share that an approximate index must find: what it
    searches with is the least that does, and at most what its own section says."""
    reranking: Reranking
    unseen: Unseen
    same_picture: SamePicture
    evaluate: Evaluate
    tsne: Tsne

    def index_parameters(self, kind: Kind) -> dict[str, int]:
        """Return those of an index: the section of its stage."""
        return getattr(self, str(kind.stage)).model_dump() if kind.index.section.model_fields else {}


AnySection = TypeVar("AnySection", bound=Section)


def _with(section: type[AnySection], keys: Mapping[str, Any]) -> type[AnySection]:
    """Return a section that has more keys, each of a type, that must be given."""
    fields: dict[str, Any] = {name: (kind, ...) for name, kind in keys.items()}
    return create_model(section.__name__, __base__=section, **fields)


_SECTIONS = {
    str(kind.stage): kind.index.section for kind in layout.INDEXES.values() if kind.index.section.model_fields
}
_CURVES = {
    curve_key(name): Annotated[tuple[Positive, ...], Field(min_length=1)]
    for kind in layout.INDEXES.values()
    if kind.index.tunable
    for name in kind.index.section.model_fields
}
_WHOLE = _with(Params, {**_SECTIONS, "evaluate": _with(Evaluate, _CURVES)})


def check(raw: Any) -> Params:
    """Check a whole configuration.

    Raises:
        RisError: with one sentence that names the first wrong key and, for a typo, the nearest right one.
    """
    if not isinstance(raw, dict):
        raise RisError("params.yaml must hold sections such as `data` and `pca`; compose it anew from conf/.")
    try:
        return _WHOLE.model_validate(raw)
    except ValidationError as error:
        raise RisError(_sentence(error)) from error


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml, as the stages do.

    Raises:
        RisError: the file is missing, not YAML, or has an unknown key or a bad value.
    """
    try:
        return check(yaml.safe_load(path.read_bytes()))
    except FileNotFoundError as error:
        raise RisError(f"{path} is missing; run from the project's root.") from error
    except RecursionError as error:
        raise RisError(f"{path} is nested too deeply; compose it anew from conf/.") from error
    except yaml.YAMLError as error:
        raise RisError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error


def localised(params: Params) -> Params:
    """Return the parameters with this machine's own sources in place of the committed addresses.

    `RIS_DATA_SOURCE`, `RIS_DATA_CHECKSUM`, `RIS_WEIGHTS_SOURCE` and `RIS_WEIGHTS_CHECKSUM` say where this
    machine finds what is otherwise downloaded; a folder, a package or drawn pictures stay what they are.
    They enter neither params.yaml nor dvc.lock.
    """
    raw, given = params.model_dump(), []
    for name, section in (("DATA", raw["data"]), ("WEIGHTS", raw["backbone"]["weights"])):
        if section["source"].startswith(("http://", "https://")):
            for key in ("source", "checksum"):
                variable = f"RIS_{name}_{key.upper()}"
                if os.environ.get(variable):
                    section[key] = os.environ[variable]
                    given.append(variable)
    try:
        return check(raw)
    except RisError as error:
        raise RisError(f"Not usable, with {' and '.join(given)} from the environment: {error}") from error


def check_key(key: str) -> None:
    """Check that a dotted key is one of params.yaml that holds a value.

    Raises:
        RisError: the key is unknown, told with the nearest right one, or a section.
    """
    *parents, last = key.split(".")
    for depth, part in enumerate([*parents, last]):
        if part not in _keys(parents[:depth]):
            raise RisError(_unknown(parents[:depth], part))
    if inside := _keys([*parents, last]):
        raise RisError(
            f"`{key}` is a section; set the keys in it ({', '.join(inside)}), or choose it in conf/."
        )


def _sentence(error: ValidationError) -> str:
    errors = error.errors()
    # A misspelt key is also a missing one, and the misspelling is what helps.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    *parents, last = map(str, first["loc"])
    key = ".".join([*parents, last])
    if first["type"] == "extra_forbidden":
        return _unknown(parents, last)
    if first["type"] == "missing":
        return f"Key `{key}` is missing; compose params.yaml anew from conf/, or add it."
    if first["type"] == "model_type":
        return f"Bad value for `{key}`: it must be a section of keys (got {first['input']!r:.120})."
    message = first["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}".replace("tuple", "list")
    got = "" if isinstance(first["input"], dict) else f" (got {first['input']!r:.120})"
    return f"Bad value for `{key}`: {message}{got}."


def _unknown(parents: list[str], last: str) -> str:
    known = _keys(parents)
    if not known:
        return f"Unknown key `{'.'.join([*parents, last])}`; `{'.'.join(parents)}` is a value, set that."
    near = difflib.get_close_matches(last, known, n=1)
    hint = f"did you mean `{'.'.join([*parents, near[0]])}`?" if near else f"known here: {', '.join(known)}."
    return f"Unknown key `{'.'.join([*parents, last])}`; {hint}"


def _keys(parents: list[str]) -> list[str]:
    section: Any = _WHOLE
    for parent in parents:
        section = section.model_fields[parent].annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return []
    return list(section.model_fields)
