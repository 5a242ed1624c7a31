"""Settings that the search and the lab share, each checked when it is read."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Positive = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=8, le=2048)]
Triple = tuple[float, float, float]
Spread = Annotated[float, Field(gt=0.0)]
Checksum = Annotated[str, Field(pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{8,64})$")]
"""`md5:` or `sha256:` and hex digits; eight digits of SHA-256 are enough, as in torchvision's file names."""


class Section(BaseModel):
    """A group of settings: every key is known, every value is checked, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, field: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(field.field_name)].annotation is not bool:
            raise ValueError("it must not be true or false")
        return value


class Weights(Section):
    """Where a backbone's pre-trained weights come from."""

    source: str = Field(min_length=1)
    """URL, file, `package:NAME/FILE` inside an installed package, `hub:OWNER/NAME`, or `random:`."""
    checksum: Checksum | None = None

    @model_validator(mode="after")
    def _checksummed(self) -> "Weights":
        if not self.source.startswith(("random:", "hub:")) and self.checksum is None:
            raise ValueError("needs a checksum unless its source is 'random:' or a 'hub:'")
        return self


class Network(Section):
    """A network without its classifier, and how a picture is brought to it."""

    name: str
    library: Literal["torchvision", "timm"]
    model: str
    dimension: Positive
    resize: Side
    """Shorter side after resizing, pixels."""
    crop: Side
    """Side of the central square that the network sees, pixels."""
    interpolation: Literal["bilinear", "bicubic"]
    mean: Triple
    std: tuple[Spread, Spread, Spread]
    pooling: Literal["avg", "token", "map"] | None = None
    """How timm makes one vector of a picture's parts; None for the model's own way."""

    @property
    def described(self) -> str:
        """All of it as JSON; what is as it is by default is left out, so that older notes stay equal."""
        return self.model_dump_json(exclude_defaults=True)

    @model_validator(mode="after")
    def _crop_fits(self) -> "Network":
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}")
        return self


class Backbone(Network):
    """A network and the weights that it starts from."""

    weights: Weights


class Reranking(Section):
    """The search that also uses what the gallery knows of itself, measured beside the indexes."""

    augmented: Positive
    """Neighbours that each gallery vector is averaged with, itself included; 1 leaves it as it is."""
    expanded: Annotated[int, Field(ge=0)]
    """First hits that a query is averaged with to search again (query expansion); 0 for none."""
    alpha: Annotated[float, Field(ge=0.0)]
    """How much more the nearest of them count than the others."""
