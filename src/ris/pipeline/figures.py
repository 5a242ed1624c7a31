"""The figures in README.md, written there from reports/: `python -m ris.pipeline.figures`."""

from pathlib import Path
from typing import Any

from ris.artifacts import read_json, writing
from ris.errors import RisError
from ris.evaluation.plots import encoder_name, index_name
from ris.pipeline import layout

START, END = "<!-- figures -->\n", "<!-- /figures -->"
METRICS = ("precision@1", "precision@10", "mAP@R")
HEADS = ["index", "encoder", *(f"{metric} micro / macro" for metric in METRICS)]


def table(metrics: dict[str, Any], latency: dict[str, Any]) -> str:
    """Return the figures as Markdown: a table a question, macro averages with their intervals."""
    return "\n".join(["", *_same_class(metrics["same_class"], latency), *_unseen_class(metrics), ""])


def _same_class(found: dict[str, Any], latency: dict[str, Any]) -> list[str]:
    rows = []
    for encoder, of_encoder in found.items():
        for name, one in of_encoder.items():
            timed = f"{latency['search'][name]['p50_ms']:.3f} ms" if encoder == "finetuned" else ""
            rows.append([index_name(name), encoder_name(encoder), *_cells(one), timed])
    n = found["finetuned"]["knn_pca"]["mAP@R"]["n"]
    note = (
        f"The same kind, of classes trained on: {n} queries; in brackets the 95 % interval of the macro "
        "average, by bootstrap over queries, stratified by class. Latency is on one thread, without "
        f"embedding the picture ({latency['embed']['p50_ms']:.1f} ms at the median with the fine-tuned "
        "network; both networks cost twice that)."
    )
    return [*_markdown([*HEADS, "one search, p50"], rows), "", note, ""]


def _unseen_class(metrics: dict[str, Any]) -> list[str]:
    if "unseen_class" not in metrics:
        return ["Classes that training has never seen were not asked for in this run.", ""]
    rows = []
    for encoder, of_encoder in metrics["unseen_class"].items():
        for name, one in of_encoder.items():
            by_draw = ", ".join(f"{value:.3f}" for value in one["mAP@R"]["macro_by_draw"])
            rows.append([index_name(name), encoder_name(encoder), *_cells(one), by_draw])
    one = metrics["unseen_class"]["finetuned"]["knn_pca"]["mAP@R"]
    note = (
        f"The same kind, of classes never trained on: {one['n']} queries of "
        f"{len(one['macro_by_draw'])} draws of classes against the whole gallery; network and PCA learnt "
        "from the other classes alone."
    )
    return [*_markdown([*HEADS, "mAP@R macro by draw"], rows), "", note, ""]


def _markdown(heads: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]]


def with_figures(readme: str, figures: str) -> str:
    """Return a README with what stands between its markers replaced.

    Raises:
        RisError: the markers are missing.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise RisError(f"README.md lacks {START.strip()} or {END}; put them where the figures belong.")
    return before + start + figures + end + after


def _cells(summaries: dict[str, Any]) -> list[str]:
    cells = []
    for summary in (summaries[metric] for metric in METRICS):
        low, high = summary["macro_ci95"]
        cells.append(f"{summary['micro']:.3f} / {summary['macro']:.3f} ({low:.3f} to {high:.3f})")
    return cells


def main() -> None:
    """Write the figures of ./reports into ./README.md."""
    readme = Path("README.md")
    figures = table(read_json(Path(layout.METRICS)), read_json(Path(layout.LATENCY)))
    text = with_figures(readme.read_text(), figures)
    with writing(readme) as fresh:
        fresh.write_text(text)


if __name__ == "__main__":
    main()
