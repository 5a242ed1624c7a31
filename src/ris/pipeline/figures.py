"""The figures in README.md, written there from reports/: `python -m ris.pipeline.figures`."""

from pathlib import Path
from typing import Any

from ris.artifacts import read_json, writing
from ris.errors import RisError
from ris.evaluation.plots import encoder_name, index_name
from ris.pipeline import layout

START, END = "<!-- figures -->\n", "<!-- /figures -->"
METRICS = ("precision@1", "precision@10", "mAP@R")


def table(metrics: dict[str, Any], latency: dict[str, Any]) -> str:
    """Return the table as Markdown: one row an index and encoder, macro averages with their intervals."""
    heads = ["index", "encoder", *(f"{metric} micro / macro" for metric in METRICS), "one search, p50"]
    rows = []
    for encoder in ("finetuned", "pretrained"):
        for name, found in metrics["same_class"][encoder].items():
            timed = f"{latency['search'][name]['p50_ms']:.3f} ms" if encoder == "finetuned" else ""
            cells = [_cell(found[metric]) for metric in METRICS]
            rows.append([index_name(name), encoder_name(encoder), *cells, timed])
    n = metrics["same_class"]["finetuned"]["knn_pca"]["mAP@R"]["n"]
    lines = ["| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]]
    note = (
        f"Over {n} queries; in brackets the 95 % interval of the macro average, by bootstrap over queries, "
        "stratified by class. Latency is on one thread, without embedding the picture "
        f"({latency['embed']['p50_ms']:.1f} ms at the median)."
    )
    return "\n".join(["", *lines, "", note, "", ""])


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


def _cell(summary: dict[str, Any]) -> str:
    low, high = summary["macro_ci95"]
    return f"{summary['micro']:.3f} / {summary['macro']:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Write the figures of ./reports into ./README.md."""
    readme = Path("README.md")
    figures = table(read_json(Path(layout.METRICS)), read_json(Path(layout.LATENCY)))
    text = with_figures(readme.read_text(), figures)
    with writing(readme) as fresh:
        fresh.write_text(text)


if __name__ == "__main__":
    main()
