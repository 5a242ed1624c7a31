"""The map: every picture as a point in the plane, near the pictures that it resembles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib.colors
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from PIL import Image, ImageOps
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from ris.errors import RisError
from ris.lab.report.plots import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    SERIES,
    SKY,
    VERMILION,
    styled,
)

HUES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#8c6d31", "#4d4d4d")
MARKERS = tuple(marker for _, marker in SERIES)
TRUST_POINTS = 2000
"""Trustworthiness compares all pairs, so it is taken on at most this many points."""
MAP_SIDE, MAP_DPI = 7.4, 180
THUMBNAILS_SIDE = 1000

Coordinates = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Projection:
    """A map and how far it can be trusted."""

    coordinates: Coordinates
    """(n, 2)."""
    kl_divergence: float
    """What t-SNE minimised: between neighbourhoods in the vectors and in the plane; 0 is perfect."""
    trustworthiness: float
    """0 to 1: how few neighbours in the plane are strangers in the vectors (Venna and Kaski 2001)."""
    trustworthiness_points: int
    """How many points, drawn at random, trustworthiness was taken on."""
    perplexity: float
    """As used: less than asked for where there are few points."""

    def summary(self) -> dict[str, float | int]:
        """All but the coordinates, for a JSON file."""
        return {
            "n": len(self.coordinates),
            "kl_divergence": self.kl_divergence,
            "trustworthiness": self.trustworthiness,
            "trustworthiness_points": self.trustworthiness_points,
            "perplexity": self.perplexity,
        }


def compute_tsne(
    vectors: npt.NDArray[np.float32], n_components: int, perplexity: float, max_iter: int, seed: int
) -> Projection:
    """Lay vectors out in the plane by t-SNE (van der Maaten and Hinton 2008).

    Vectors are brought to length 1 and projected by PCA first. On one thread, because the order of a sum over
    threads would change the map from run to run.

    Args:
        vectors: (n, D) float32, finite, n >= 3.
        n_components: PCA dimensions that t-SNE starts from, at least 2; fewer where the data has fewer.
        perplexity: about the number of neighbours that a point looks at; at most (n - 1) / 3 is used.
        max_iter: iterations of the descent.
        seed: of every random choice.

    Raises:
        RisError: fewer than 3 vectors, NaN or infinity in them, all alike, or fewer than 2 dimensions.
    """
    n = len(vectors)
    if n < 3:
        raise RisError(f"The t-SNE map needs at least 3 pictures, got {n}; take a larger data set.")
    if not np.isfinite(vectors).all():
        raise RisError(
            "The features hold NaN or infinity, so they have no map; remake them with `dvc repro extract`."
        )
    dimensions = min(n_components, *vectors.shape)
    if dimensions < 2:
        raise RisError(
            f"The t-SNE map needs at least 2 dimensions, got {dimensions}; raise tsne.n_components."
        )
    used = min(perplexity, max(1.0, (n - 1) / 3))
    with threadpool_limits(1):
        unit = normalize(vectors)
        if not np.ptp(unit, axis=0).any():
            raise RisError("All features are alike, so they have no map; check the pictures and the encoder.")
        reduced = PCA(dimensions, svd_solver="covariance_eigh").fit_transform(unit)
        tsne = TSNE(
            perplexity=used, max_iter=max_iter, init="pca", learning_rate="auto", random_state=seed, n_jobs=1
        )
        coordinates = np.ascontiguousarray(tsne.fit_transform(reduced), dtype=np.float32)
        sample = np.random.default_rng(seed).permutation(n)[:TRUST_POINTS]
        trust = trustworthiness(unit[sample], coordinates[sample], n_neighbors=min(5, (len(sample) - 1) // 2))
    return Projection(coordinates, float(tsne.kl_divergence_), float(trust), len(sample), float(used))


@styled
def draw_map(coordinates: Coordinates, labels: Sequence[str]) -> Figure:
    """Draw every picture as a point, coloured and shaped by class, with each class's name at its middle.

    There are more classes than colours that can be told apart, so colours repeat, but not between classes
    whose middles are close.

    Args:
        coordinates: (n, 2) float32.
        labels: n class names.

    Raises:
        RisError: all points are of one class.
    """
    classes, member = np.unique(np.asarray(labels), return_inverse=True)
    if len(classes) < 2:
        raise RisError(
            f"The map needs at least 2 classes, and every picture is of class `{classes[0]}`; add others."
        )
    middles = np.array([np.median(coordinates[member == number], axis=0) for number in range(len(classes))])
    styles = _styles(middles)
    figure = Figure(figsize=(MAP_SIDE, MAP_SIDE), dpi=MAP_DPI)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    for number in range(len(classes)):
        colour, marker = styles[number]
        points = coordinates[member == number]
        axes.scatter(points[:, 0], points[:, 1], s=7, c=colour, marker=marker, alpha=0.65, linewidths=0)
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    figure.draw_without_rendering()
    sizes = np.bincount(member)
    taken: list[Bbox] = []
    for number in np.argsort(-sizes, kind="stable"):
        taken.append(_name(axes, str(classes[number]), middles[number], styles[number][0], taken))
    return figure


def draw_thumbnails(coordinates: Coordinates, load: Callable[[int], Image.Image], n: int) -> Image.Image:
    """Draw pictures themselves on the map, one in each cell of a grid, so that none covers another.

    Args:
        coordinates: (n_points, 2) float32.
        load: gives the picture of a point.
        n: pictures to draw at most; the grid is as fine as that allows.

    Returns:
        A square picture.
    """
    low = coordinates.min(axis=0)
    reach = float((coordinates.max(axis=0) - low).max()) or 1.0
    places = (coordinates - low) / reach + (1 - (coordinates.max(axis=0) - low) / reach) / 2
    side, cells = _grid(places, n)
    cell = THUMBNAILS_SIDE // side
    canvas = Image.new("RGB", (cell * side, cell * side), PAPER)
    for (column, row), point in cells.items():
        thumbnail = ImageOps.fit(load(point).convert("RGB"), (cell - 2, cell - 2), Image.Resampling.LANCZOS)
        canvas.paste(thumbnail, (column * cell + 1, (side - 1 - row) * cell + 1))
    return canvas


def _grid(places: npt.NDArray[np.float32], n: int) -> tuple[int, dict[tuple[int, int], int]]:
    """Return the finest grid with at most n cells in use, and the point nearest to the middle of each."""
    best: tuple[int, dict[tuple[int, int], int]] = (1, {(0, 0): 0})
    for side in range(1, THUMBNAILS_SIDE // 12):
        indices = np.minimum((places * side).astype(np.int64), side - 1)
        order = np.argsort(np.linalg.norm(places * side - indices - 0.5, axis=1), kind="stable")
        _, first = np.unique(indices[order], axis=0, return_index=True)
        if len(first) > n:
            break
        best = side, {(int(indices[point][0]), int(indices[point][1])): int(point) for point in order[first]}
    return best


def _styles(middles: npt.NDArray[np.floating]) -> list[tuple[str, str]]:
    """Give each class the colour whose nearest other use on the map is farthest away, and a marker."""
    hues: list[str] = []
    for number, middle in enumerate(middles):
        gaps = np.linalg.norm(middles[:number] - middle, axis=1)
        room = [
            min((gap for gap, used in zip(gaps, hues, strict=True) if used == hue), default=np.inf)
            for hue in HUES
        ]
        hues.append(HUES[int(np.argmax(room))])
    return [(hue, MARKERS[number % len(MARKERS)]) for number, hue in enumerate(hues)]


def _name(axes: Axes, name: str, middle: npt.NDArray[np.floating], colour: str, taken: list[Bbox]) -> Bbox:
    """Write a class's name as near to its middle as the names already there allow; return its box."""
    dark = [0.62 * part for part in matplotlib.colors.to_rgb(colour)]
    anchor = (float(middle[0]), float(middle[1]))
    text = axes.annotate(
        name,
        anchor,
        (0, 0),
        textcoords="offset pixels",
        ha="center",
        va="center",
        fontsize=7.5,
        color=dark,
        path_effects=[withStroke(linewidth=2.2, foreground=PAPER)],
    )
    box = text.get_window_extent()
    for x, y in _spiral():
        moved = box.translated(x, y)
        if not any(moved.overlaps(other) for other in taken):
            break
    text.set_position((x, y))
    if np.hypot(x, y) > 1.5 * box.height:
        leader = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", anchor, (x, y), textcoords="offset pixels", arrowprops=leader, zorder=2)
    return moved


def _spiral() -> list[tuple[float, float]]:
    """Offsets in pixels, nearest first: just above the middle, then rings that widen."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(0.0, 14.0)] + [
        (float(radius * np.cos(angle)), float(radius * 0.7 * np.sin(angle)))
        for radius in range(10, 300, 10)
        for angle in angles
    ]
