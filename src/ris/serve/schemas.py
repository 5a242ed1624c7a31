"""Requests and responses of the HTTP API, as JSON."""

from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ris.engine import (
    Box,
    Change,
    ChangedPair,
    Difference,
    DuplicateGroup,
    Filter,
    Finding,
    Hit,
    Info,
    Picture,
    Rejected,
    Relation,
)
from ris.indexes.registry import NOTES, SEARCHABLE, IndexName
from ris.types import Corners

MAX_K = 500
"""Hits of one answer, those passed over by `offset` included."""
MAX_ROW = 2**53 - 1
"""The largest whole number that JavaScript holds."""

Row = Annotated[int, Field(ge=0, le=MAX_ROW, description="Number of a picture in the store.")]
Name = Annotated[str, Field(min_length=1, max_length=500)]

_SHARE = r"(0(\.\d{1,20})?|1(\.0{1,20})?)"
_BOX = rf"^{_SHARE}(,{_SHARE}){{3}}$"


def _values(answer: Picture | Hit | Info | Change | Rejected | Difference) -> dict[str, Any]:
    return {field.name: getattr(answer, field.name) for field in fields(answer)}


def _is_box(text: str) -> str:
    left, top, right, bottom = (float(share) for share in text.split(","))
    if left >= right or top >= bottom:
        raise ValueError("left must be less than right, and top less than bottom")
    return text


class Part(BaseModel):
    """Which part of the query is meant."""

    model_config = ConfigDict(extra="forbid")

    box: Annotated[str, AfterValidator(_is_box)] | None = Field(
        None,
        pattern=_BOX,
        description="Use this part of the query: left,top,right,bottom as shares of its width and height.",
        examples=["0.25,0.25,0.75,0.75"],
    )

    def part(self) -> Box | None:
        """Return the box as numbers."""
        if self.box is None:
            return None
        left, top, right, bottom = (float(share) for share in self.box.split(","))
        return left, top, right, bottom


class Where(BaseModel):
    """Which pictures count."""

    model_config = ConfigDict(extra="forbid")

    label: list[Name] = Field([], max_length=50, description="Only pictures with one of these labels.")
    folder: list[Name] = Field([], max_length=50, description="Only pictures in one of these folders.")

    def where(self) -> Filter | None:
        """Return the filter, None where everything counts."""
        return (
            Filter(labels=tuple(self.label), folders=tuple(self.folder))
            if self.label or self.folder
            else None
        )


class Page(Where):
    """A part of the list of pictures."""

    offset: int = Field(0, ge=0, le=MAX_ROW, description="Pass over so many.")
    limit: int = Field(60, ge=1, le=MAX_K)
    mixed: bool = Field(
        False, description="In an order that mixes the folders, always the same, instead of by path."
    )


class FindOptions(Where, Part):
    """How to look for a very picture, and how to compare indexes."""

    k: int = Field(10, ge=1, le=100, description="Hits wanted.")


class Marks(BaseModel):
    """Pictures of the store that were marked right or wrong; they are not among the hits."""

    model_config = ConfigDict(extra="forbid")

    like: list[Row] = Field([], max_length=50, description="Pictures that are right: search nearer to them.")
    unlike: list[Row] = Field(
        [], max_length=50, description="Pictures that are wrong: search further from them."
    )


class SearchOptions(Where, Part, Marks):
    """How to look for similar pictures."""

    k: int = Field(24, ge=1, le=MAX_K, description="Hits wanted, those passed over included.")
    offset: int = Field(0, ge=0, lt=MAX_K, description="Pass over so many of the nearest.")
    index: IndexName = Field("auto", description=f"What to search by; `auto` lets the store choose. {NOTES}.")
    max_distance: float | None = Field(None, ge=0, le=2, description="Of a hit.")
    collapse: bool = Field(False, description="Fold near-duplicates among the hits into the nearest of them.")
    verify: bool = Field(True, description="Check by geometry which hits are the very same picture.")


class RowPart(Part):
    """A picture of the store, or a part of it."""

    row: Row


class RowFind(FindOptions):
    """A picture of the store to look for."""

    row: Row


class RowSearch(SearchOptions):
    """A picture of the store to search from."""

    row: Row


class SyncOptions(BaseModel):
    """How to follow the folder."""

    model_config = ConfigDict(extra="forbid")

    allow_removals: bool = Field(
        False, description="Also where more than half of the pictures are gone, which is refused without it."
    )


class PictureOut(BaseModel):
    """A picture of the store."""

    row: Row
    path: str
    label: str
    width: int
    height: int
    bytes: int
    modified: float = Field(description="Seconds since 1970.")
    sha256: str
    thumbnail: str = Field(description="Where a small picture of it is.")
    view: str = Field(description="Where a large picture of it is.")

    @classmethod
    def of(cls, picture: Picture) -> Self:
        """Say where a picture can be seen, beside what is known of it."""
        base, version = f"/api/pictures/{picture.row}", f"v={picture.sha256[:12]}"
        return cls(**_values(picture), thumbnail=f"{base}/thumbnail?{version}", view=f"{base}/view?{version}")


class DifferenceOut(BaseModel):
    """Where two pictures that were laid over each other differ."""

    share: float = Field(description="Of what both show and where either has texture.")
    boxes: list[Corners] = Field(
        description="Left, top, right and bottom in the hit's, or the second picture's, pixels."
    )
    query_boxes: list[Corners] = Field(description="The same in the query's, or the first picture's, pixels.")

    @classmethod
    def of(cls, difference: Difference | None) -> Self | None:
        """Put an engine's difference into JSON's terms."""
        return None if difference is None else cls(**_values(difference))


class HitOut(BaseModel):
    """A picture as the answer to a query."""

    picture: PictureOut
    distance: float
    relation: Relation | None = Field(
        description="What is proven of it and the query; null where it was not looked at."
    )
    same_picture: bool | None = Field(description="Whether that is the same picture.")
    match_score: float = Field(description="How strongly points and pixels say that it is the same picture.")
    inliers: int = Field(description="Points of both pictures that agree.")
    mirrored: bool
    outline: list[tuple[float, float]] | None = Field(
        description="The query's corners, clockwise from its top left, in this picture's pixels."
    )
    difference: DifferenceOut | None
    copies: list[PictureOut] = Field(description="Near-duplicates that were folded into it.")

    @classmethod
    def of(cls, hit: Hit) -> Self:
        """Put an engine's hit into JSON's terms."""
        return cls(
            **{
                **_values(hit),
                "match_score": hit.evidence,
                "same_picture": hit.same_picture,
                "difference": DifferenceOut.of(hit.difference),
                "picture": PictureOut.of(hit.picture),
                "copies": [*map(PictureOut.of, hit.copies)],
            }
        )


class Similar(BaseModel):
    """The pictures that are similar to the query."""

    hits: list[HitOut]
    more: bool = Field(description="Whether a larger k may bring further ones.")
    milliseconds: float


class TextSearch(Where, Marks):
    """Words to search with."""

    text: str = Field(min_length=1, max_length=200, description="What the pictures show.")
    k: int = Field(24, ge=1, le=MAX_K, description="Hits wanted, those passed over included.")
    offset: int = Field(0, ge=0, lt=MAX_K, description="Pass over so many of the nearest.")
    index: IndexName = Field("auto", description=f"What to search by; `auto` lets the store choose. {NOTES}.")
    max_distance: float | None = Field(None, ge=0, le=2, description="Of a hit.")
    collapse: bool = Field(False, description="Fold near-duplicates among the hits into the nearest of them.")


class Worded(Similar):
    """The pictures of what some words name."""

    meant: list[str] = Field(description="What the words were taken for, by name.")
    ignored: list[str] = Field(description="Those of the words that nothing is known of.")


class Found(BaseModel):
    """Where the picture is."""

    here: bool | None = Field(description="Null where the store keeps nothing to prove it with.")
    hits: list[HitOut]
    false_positive_rate: float = Field(
        description="Share of pictures that are not in the store of which it may be said that they are."
    )
    milliseconds: float

    @classmethod
    def of(cls, finding: Finding, milliseconds: float) -> Self:
        """Put an engine's finding into JSON's terms."""
        return cls(
            here=finding.here,
            hits=[HitOut.of(hit) for hit in finding.hits],
            false_positive_rate=finding.false_positive_rate,
            milliseconds=milliseconds,
        )


class Column(BaseModel):
    """What one index answers."""

    index: str
    milliseconds: float = Field(description="Of the search, without embedding the query.")
    hits: list[HitOut]


class Compared(BaseModel):
    """The same query through every index, the exact one first."""

    columns: list[Column]


class Pictures(BaseModel):
    """A part of the list of pictures."""

    pictures: list[PictureOut]
    total: int


class Label(BaseModel):
    """A label and how many pictures have it."""

    name: str
    pictures: int


class Place(BaseModel):
    """About where on the map a picture belongs."""

    x: float
    y: float


class Working(BaseModel):
    """Not ready yet; ask again."""

    what: str
    done: int
    total: int


class Group(BaseModel):
    """Pictures that are one picture."""

    pictures: list[PictureOut]
    keep: Row
    why: str
    inliers: int

    @classmethod
    def of(cls, group: DuplicateGroup) -> Self:
        """Put an engine's group into JSON's terms."""
        return cls(
            pictures=[PictureOut.of(picture) for picture in group.pictures],
            keep=group.keep.row,
            why=group.why,
            inliers=group.inliers,
        )


class Versions(BaseModel):
    """Two pictures of which one is a changed version of the other: neither is spare."""

    one: PictureOut
    other: PictureOut
    inliers: int
    difference: DifferenceOut

    @classmethod
    def of(cls, pair: ChangedPair) -> Self:
        """Put an engine's pair into JSON's terms."""
        return cls(
            one=PictureOut.of(pair.one),
            other=PictureOut.of(pair.other),
            inliers=pair.inliers,
            difference=DifferenceOut(**_values(pair.difference)),
        )


class Duplicates(BaseModel):
    """Groups of pictures that are one picture, and apart from them changed versions."""

    groups: list[Group]
    changed: list[Versions]


class Refused(BaseModel):
    """A file that is not in the store."""

    path: str
    reason: str


class Changed(BaseModel):
    """What was done to the store."""

    added: int
    changed: int
    moved: int
    removed: int
    unchanged: int
    rejected: list[Refused]
    seconds: float

    @classmethod
    def of(cls, change: Change) -> Self:
        """Put an engine's change into JSON's terms."""
        return cls(**{**_values(change), "rejected": [Refused(**_values(one)) for one in change.rejected]})


class Added(BaseModel):
    """A picture that was taken into the store."""

    picture: PictureOut


class IndexOut(BaseModel):
    """What the store can be searched by."""

    name: str
    label: str = Field(description="For people.")
    note: str = Field(description="What it does, a few words for people.")

    @classmethod
    def of(cls, name: str) -> Self:
        """Take it from the registry."""
        one = SEARCHABLE[name]
        return cls(name=one.name, label=one.label, note=one.note)


class About(BaseModel):
    """What a page needs to know of the store and the server."""

    name: str
    pictures: int
    rejected: int
    encoder: str
    indexes: list[IndexOut]
    auto: str
    """The index that `auto` stands for, and why."""
    local_features: bool
    false_positive_rate: float | None
    version: int
    generation: int
    urls: bool
    max_bytes: int
    max_k: int

    @classmethod
    def of(cls, info: Info, name: str, *, urls: bool, max_bytes: int) -> Self:
        """Take what may be shown: no path of this machine."""
        kept = {key: value for key, value in _values(info).items() if key in cls.model_fields}
        kept["indexes"] = [IndexOut.of(index) for index in info.indexes]
        return cls(**kept, name=name, urls=urls, max_bytes=max_bytes, max_k=MAX_K)


class State(BaseModel):
    """Whether the server is well."""

    status: Literal["ok"] = "ok"
    following: bool = Field(
        True,
        description="Whether the store can be followed, or still keeps the version that the server stays on; "
        "else what is searched may be out of date.",
    )
    version: int = Field(description="Of the store, that is served.")
