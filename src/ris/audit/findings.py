"""What an audit finds."""

from dataclasses import dataclass

from ris.audit.flaws import Kind
from ris.types import Picture, Relation


@dataclass(frozen=True)
class Leak:
    """Pictures that are one picture, and stand on several sides of a split."""

    pictures: list[Picture]
    """By path."""
    sides: list[str]
    """The side that each stands on."""
    relation: Relation
    """`same_picture`, or `changed_version` of two of which one is changed."""


@dataclass(frozen=True)
class Mislabelled:
    """A picture whose label its neighbours contradict."""

    picture: Picture
    label: str
    suggested: str
    support: float
    """Share of its nearest neighbours that have its label."""
    against: float
    """Share that have the suggested one."""
    neighbours: list[Picture]
    """The nearest of those that have the suggested one."""


@dataclass(frozen=True)
class Outlier:
    """A picture that is far from all others of its label."""

    picture: Picture
    label: str
    """Empty where it has none; then it is far from all others without one."""
    distance: float
    """To the nearest of them."""
    score: float
    """Modified z-score of that, see `ris.audit.outliers`."""


@dataclass(frozen=True)
class Flawed:
    """A picture that is black, blank or blurred."""

    picture: Picture
    kind: Kind
    value: float
    """Of the measure that says so, see `ris.audit.flaws`."""


@dataclass(frozen=True)
class Audit:
    """What is wrong in a collection, the most certain first."""

    pictures: int
    labels: int
    """Different ones."""
    unlabelled: int
    """Pictures that have no label, whose label so nothing contradicts."""
    alone: int
    """Pictures without another of their label, whose label is not judged either."""
    proven: bool
    """Whether near-duplicates were looked for; without local features only files of the same bytes are."""
    leaks: list[Leak] | None
    """None where no split was named."""
    mislabelled: list[Mislabelled]
    outliers: list[Outlier]
    flawed: list[Flawed]
    unread: list[str]
    """Paths of pictures whose file is gone or has changed, so that whether they are flawed is not known."""
