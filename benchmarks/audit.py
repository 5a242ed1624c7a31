"""How much of what is wrong in a labelled collection `ris audit` finds, and how much of what it says is so.

Usage: python benchmarks/audit.py --folder 101_ObjectCategories --strangers BACKGROUND_Google --scratch FOLDER
    [--pictures 1500] [--seed 0]

A sample of Caltech 101 is split into queries and gallery, and faults are planted: of 5 % of the pictures the
label is changed; of 10 % of the queries a copy, edited in one of fifteen ways, is put into the gallery; some
pictures become black, blank or blurred; some pictures of no class are put into folders of classes. What is
planted in one way is not counted for another. Prints precision and recall, and writes the report beside.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ris.cli.auditing import write_report
from ris.copies.edits import FIFTEEN, apply, generator
from ris.engine import Audit, SearchEngine

RELABELLED, COPIED, QUERIES = 0.05, 0.1, 0.2
"""Shares: of the pictures, of the queries, and of the pictures that are queries."""
EACH = 20
"""Pictures that are made black, blank, blurred, and strangers."""
QUALITY = 90
SPLITS = ("query", "gallery")


@dataclass
class Planted:
    """What was planted, by paths."""

    labels: dict[str, str] = field(default_factory=dict)
    """The true label of a picture whose label was changed."""
    copies: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The query and the edit of a copy in the gallery."""
    flaws: dict[str, str] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)


def black(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Darken to what a lens cap leaves: at most 4 % of the light, and noise."""
    return noisy(np.asarray(image) * rng.uniform(0, 0.04), rng)


def blank(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Show one grey instead, and noise."""
    return noisy(np.full((image.height, image.width, 3), rng.uniform(40, 255)), rng)


def blurred(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blur with a Gaussian whose deviation is 1 to 3 % of the longer side."""
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.01, 0.03) * max(image.size)))


def noisy(pixels: npt.NDArray[np.float64], rng: np.random.Generator) -> Image.Image:
    """Add the noise of a sensor to pixels (h, w, 3)."""
    return Image.fromarray((pixels + rng.normal(0, 1.5, pixels.shape)).clip(0, 255).astype(np.uint8))


FLAWS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "black": black,
    "blank": blank,
    "blurred": blurred,
}


def plant(files: list[Path], strangers: list[Path], root: Path, seed: int) -> Planted:
    """Write a sample of pictures, one folder a split and in it one a label, with faults."""
    rng = np.random.default_rng(seed)
    labels = sorted({file.parent.name for file in files})
    order = rng.permutation(len(files))
    planted = Planted()
    n_relabelled, n_queries = round(RELABELLED * len(files)), round(QUERIES * len(files))
    query = set(rng.choice(len(files), n_queries, replace=False).tolist())
    fates = ["label"] * n_relabelled + [kind for kind in FLAWS for _ in range(EACH)]
    unharmed = [one for one in order[len(fates) :].tolist() if one in query]
    copied = {
        one: FIFTEEN[place % len(FIFTEEN)] for place, one in enumerate(unharmed[: round(COPIED * n_queries)])
    }
    fate_of = dict(zip(order.tolist(), fates, strict=False))
    for number, file in enumerate(files):
        label, split, fate = file.parent.name, SPLITS[number not in query], fate_of.get(number)
        image = Image.open(file).convert("RGB")
        if fate == "label":
            label = str(rng.choice([other for other in labels if other != label]))
        path = f"{split}/{label}/{file.parent.name}-{file.stem}.jpg"
        if fate == "label":
            planted.labels[path] = file.parent.name
        elif fate is not None:
            image = FLAWS[fate](image, rng)
            planted.flaws[path] = fate
        save(image, root / path)
        if number in copied:
            edit = copied[number]
            others = [Image.open(files[one]).convert("RGB") for one in rng.choice(len(files), 3)]
            edited, _ = apply(edit, image, generator(edit, number, seed), others=others)
            twin = f"gallery/{label}/copy-{number}.jpg"
            planted.copies[twin] = path, edit
            save(edited, root / twin)
    for number, file in enumerate(rng.choice(np.array(strangers, object), EACH, replace=False)):
        path = f"{rng.choice(SPLITS)}/{rng.choice(labels)}/stranger-{number}.jpg"
        planted.strangers.add(path)
        save(Image.open(file).convert("RGB"), root / path)
    return planted


def save(image: Image.Image, file: Path) -> None:
    """Write a picture as a JPEG file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, quality=QUALITY)


def scores(found: Iterable[str], planted: Iterable[str]) -> dict[str, float]:
    """Return precision and recall, and of how many."""
    found, planted = set(found), set(planted)
    right = len(found & planted)
    return {
        "planted": len(planted),
        "found": len(found),
        "right": right,
        "precision": right / len(found) if found else 1.0,
        "recall": right / len(planted),
    }


def judged(found: Audit, planted: Planted) -> dict[str, dict[str, float]]:
    """Hold what was found against what was planted; what is planted in another way is left out."""
    spoilt, relabelled = set(planted.flaws), set(planted.labels)
    labels = {one.picture.path for one in found.mislabelled} - spoilt - planted.strangers
    outliers = {one.picture.path for one in found.outliers} - spoilt
    twins = {path: query for path, (query, _) in planted.copies.items()}
    leaks = [{picture.path for picture in leak.pictures} for leak in found.leaks or []]
    leaked = {path for leak in leaks for path in leak if twins.get(path) in leak}
    result = {
        "leaks": scores(leaked, twins),
        "labels": scores(labels, relabelled),
        "labels, with outliers": scores((labels | outliers) - planted.strangers, relabelled),
        "outliers": scores(outliers - relabelled, planted.strangers),
    }
    for kind in FLAWS:
        paths = {one.picture.path for one in found.flawed if one.kind == kind}
        result[kind] = scores(paths, {path for path, flaw in planted.flaws.items() if flaw == kind})
    return result


def main() -> None:
    """Plant, build, audit, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("folder", "strangers", "scratch"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files, strangers = sorted(options.folder.glob("*/*.jpg")), sorted(options.strangers.glob("*.jpg"))
    chosen = np.random.default_rng(options.seed + 1000).choice(len(files), options.pictures, replace=False)
    root = options.scratch / "pictures"
    planted = plant([files[one] for one in sorted(chosen)], strangers, root, options.seed)
    with SearchEngine.build(root, options.scratch / "store") as engine:
        found = engine.audit(split="folder")
        write_report(options.scratch / "audit.html", found, engine)
    for what, one in judged(found, planted).items():
        print(
            f"{what:<22} planted {one['planted']:>3}  found {one['found']:>3}  right {one['right']:>3}  "
            f"precision {one['precision']:.3f}  recall {one['recall']:.3f}"
        )
    print("Not planted, so look at them:")
    for leak in found.leaks or []:
        if not planted.copies.keys() & {picture.path for picture in leak.pictures}:
            print(leak.relation, *(picture.path for picture in leak.pictures))


if __name__ == "__main__":
    main()
