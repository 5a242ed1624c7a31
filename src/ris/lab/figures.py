"""The figures in README.md and reports/README.md, written there from reports/: `python -m ris.lab.figures`.

What stands between `<!-- figures: NAME -->` and `<!-- /figures -->` is that block of figures.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ris.artifacts import read_json, writing
from ris.copies import edits
from ris.errors import RisError
from ris.indexes.registry import exact_of
from ris.lab import layout
from ris.lab.config import Params, Pca, load
from ris.lab.report.plots import edit_name, encoder_name, index_name

BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- /figures -->)", re.DOTALL)
PAGES = ("README.md", "reports/README.md")
METRICS = ("precision@1", "precision@10", "mAP@R")
HEADS = ["index", "encoder", *(f"{metric} micro / macro" for metric in METRICS)]
QUESTIONS = ("same_class", "unseen_class")
IMAGENET = {
    "macro_new_to_imagenet": "classes new to ImageNet",
    "macro_known_to_imagenet": "classes known to ImageNet",
}
"""Averages of `unseen_class` apart, by whether the pre-trained network learnt the class's label."""
SETTINGS = {
    "shrinkage": "shrinkage",
    "sharpness": "classifier's sharpness",
    "n_components": "dimensions",
    "whiten": "whiten",
}
"""Of a projection, as the sweeps tell them."""
SHOWN = (*layout.INDEXES, layout.RERANKED)
"""Indexes of the README's tables."""


def blocks(reports: Path) -> dict[str, str]:
    """Return every block of figures, as Markdown, from a folder of reports.

    Raises:
        RisError: a report is missing.
    """
    metrics, latency = read_json(reports / "metrics.json"), read_json(reports / "latency.json")
    timings = {stage: read_json(reports / f"timings/{stage}.json") for stage in layout.STAGES}
    return {
        "headline": headline(metrics),
        "same_class": same_class(metrics["same_class"], latency, load(reports.parent / "params.yaml").pca)
        + classifiers(metrics.get("classifiers", {})),
        "unseen_class": unseen_class(metrics.get("unseen_class", {})),
        "same_picture": same_picture(metrics.get("same_picture", {}), latency.get("same_picture", {})),
        "in_a_store": in_a_store(metrics.get("same_picture", {}).get("store", {})),
        "run": run(timings),
        "near_duplicates": near_duplicates(timings["clean"]),
        "overlap": overlap(load(reports.parent / "params.yaml")),
        "ablations": ablations(reports / "ablations.csv"),
        "tuning": tuning(reports / "tuning"),
        "training_sweep": training_sweep(reports / "training_sweep.csv"),
        "store": store(reports / "store.json"),
        "benchmarks": benchmarks(reports / "benchmarks.json"),
    }


def headline(metrics: Mapping[str, Any]) -> str:
    """Three figures for each question."""
    seen = metrics["same_class"]["finetuned"]["knn_pca"]
    rows = [_headline("Is it the same kind?", "fine-tuned network, KNN with PCA", seen, "macro")]
    unseen = metrics.get("unseen_class", {}).get("pretrained", {}).get("knn_pca")
    if unseen:
        apart = "macro_new_to_imagenet" in unseen["mAP@R"]
        question = "The same kind, of a class never trained on?"
        by = "pre-trained network, KNN with PCA" + (", classes new to ImageNet" if apart else "")
        rows.append(_headline(question, by, unseen, "macro_new_to_imagenet" if apart else "macro"))
    proven = metrics.get("same_picture", {}).get("pretrained", {}).get("verified", {})
    told = next((one for metric, one in proven.items() if metric.startswith("recall_at_fpr")), None)
    if told:
        figures = [
            f"found first {proven['recall@1']['mean']:.3f} {_interval(proven['recall@1'], 'mean')}",
            f'"here", where it is {_rate(told, "mean")}',
            f'"here", where it is not {_rate(told, "false_positive_rate")}',
        ]
        rows.append(["Where is this very picture, or is it not here?", "fifteen edits, verified", *figures])
    note = "Macro averages, on Caltech 101; in brackets the 95 % interval."
    return _table(["question", "by", "", "", ""], rows, note)


def _headline(question: str, by: str, found: Mapping[str, Any], average: str) -> list[str]:
    figures = [
        f"{metric} {found[metric][average]:.3f} {_interval(found[metric], average)}" for metric in METRICS
    ]
    return [question, by, *figures]


def same_class(found: Mapping[str, Any], latency: Mapping[str, Any], pca: Pca) -> str:
    """The same kind, of classes trained on."""
    rows = []
    for encoder, of_encoder in found.items():
        for name in (name for name in SHOWN if name in of_encoder):
            timed = f"{latency['search'][name]['p50_ms']:.3f} ms" if encoder == "finetuned" else ""
            learnt = learnt_from(encoder, name, pca)
            rows.append([index_name(name), encoder_name(encoder), learnt, *_cells(of_encoder[name]), timed])
    n = found["finetuned"][layout.SHOWN_INDEX]["mAP@R"]["n"]
    return _table(
        [*HEADS[:2], "learnt from labels of", *HEADS[2:], "one search, p50"],
        rows,
        f"{n} queries; in brackets the 95 % interval of the macro average, by bootstrap over queries, "
        "stratified by class: it is about these very classes. Latency is on one thread, without embedding "
        f"the picture ({latency['embed']['p50_ms']:.1f} ms at the median with one network).",
    )


def learnt_from(encoder: str, index: str, pca: Pca) -> str:
    """Whose labels an encoder, and the projection of an index, have learnt from."""
    projected = index == layout.RERANKED or layout.INDEXES[index].projected
    if encoder != "pretrained":
        return "ImageNet, the gallery"
    return "ImageNet, the gallery (projection)" if projected and pca.of(encoder).shrinkage < 1 else "ImageNet"


def classifiers(found: Mapping[str, Any]) -> str:
    """How often classifiers on the same vectors are right, beside the first hit of plain KNN."""
    if not found:
        return ""
    names = {"first_hit": "KNN, first hit", "nearest_class_mean": "nearest class mean"}
    rows = [
        [names.get(name, name.replace("_", " ")), encoder_name(encoder), _cell(one)]
        for encoder, of_encoder in found.items()
        for name, one in of_encoder.items()
    ]
    return "\n" + _table(
        ["answer", "encoder", "right micro / macro"],
        rows,
        "The same vectors and queries; classifiers learn from the labels of the whole gallery, and know no "
        "class that is not in it.",
    )


def unseen_class(found: Mapping[str, Any]) -> str:
    """The same kind, of classes never trained on."""
    if not found:
        return "Not asked in this run.\n"
    rows = []
    for encoder, of_encoder in found.items():
        for name in (name for name in SHOWN if name in of_encoder):
            told = of_encoder[name]["mAP@R"]
            by_draw = ", ".join(f"{value:.3f}" for value in told["macro_by_draw"])
            apart = [f"{told[end]:.3f} {_interval(told, end)}" for end in IMAGENET if end in told]
            rows.append([index_name(name), encoder_name(encoder), *apart, *_cells(of_encoder[name]), by_draw])
    one = found["finetuned"][layout.SHOWN_INDEX]["mAP@R"]
    heads = [f"mAP@R macro, {name}" for end, name in IMAGENET.items() if end in one]
    about = (
        "classes like these: a bootstrap over classes, and queries within them"
        if "n_classes" in one
        else "these very classes, by bootstrap over queries, and says nothing of others: see the draws"
    )
    return _table(
        ["index", "encoder", *heads, *HEADS[2:], "mAP@R macro by draw"],
        rows,
        f"{one['n']} queries of {len(one['macro_by_draw'])} draws of classes against the whole gallery; "
        f"network and PCA learnt from the other classes alone. The 95 % interval is about {about}.",
    )


def same_picture(found: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """Where is this very picture, or is it not here."""
    found = {encoder: one for encoder, one in found.items() if encoder != "store"}
    own = next((of_encoder for of_encoder in found.values() if "verified" in of_encoder), None)
    if own is None:
        return "Not asked in this run.\n"
    every = ("whitened", "regions", "words", "views", "fingerprint", "candidates")
    ways = [name for name in every if name in own]
    widest = own["candidates"]
    deepest = max((name for name in widest if "@" in name), key=lambda name: int(name.partition("@")[2]))
    shown = [own["whitened"]["recall@1"], widest[deepest], own["verified"]["recall@1"]]
    rows = [
        [edit_name(edit), *(f"{one['per_edit'][edit]:.3f}" for one in shown)] for edit in shown[0]["per_edit"]
    ]
    rows.append(["**mean**", *(f"**{one['mean']:.3f}** {_interval(one, 'mean')}" for one in shown)])
    per_edit = _table(
        ["edit", "one vector, recall@1", f"all candidates, {deepest}", "verified, recall@1"],
        rows,
        f"{shown[0]['n']} queries in all; in brackets the 95 % interval, by bootstrap over pictures.",
    )
    kinds = [[index_name(name), *(_recall(own[name], k) for k in (1, 30, 100))] for name in ways]
    exact = exact_of(projected=False)
    vectors = [
        [f"{index_name(exact)}, {encoder_name(encoder)}", *(_recall(one[exact], k) for k in (1, 30, 100))]
        for encoder, one in found.items()
    ]
    candidates = _table(
        ["candidates", "recall@1", "recall@30", "recall@100"], [*vectors, *kinds], "Means over the edits."
    )
    return "\n".join([per_edit, candidates, *map(_calibrated, _calibrations(own)), _cost(cost)])


def in_a_store(found: Mapping[str, Any]) -> str:
    """Where is this very picture, asked of a store that `ris build` made, see `ris.lab.store_questions`."""
    if not found:
        return "Not asked in this run.\n"
    shares, strangers = found["per_edit"], found["strangers"]
    groups = {group: [name for name in members if name in shares] for group, members in edits.GROUPS.items()}
    rows = [
        [group, _mean(shares, names), ", ".join(f"{edit_name(name)} {shares[name]:.2f}" for name in names)]
        for group, names in groups.items()
        if names
    ]
    fifteen = [name for name in edits.FIFTEEN if name in shares]
    rows.append(["the fifteen above", _mean(shares, fifteen), ""])
    rows.append(["**all**", f"**{found['mean']:.3f}** {_interval(found, 'mean')}", ""])
    claimed = sorted((name for name in strangers if strangers[name]), key=lambda name: -strangers[name])
    one = next(iter(found["strangers_n"].values()), 0)
    wrong = ", ".join(f"{name.replace('_', ' ')} {strangers[name]:.2f}" for name in claimed) or "none"
    asked = next(iter(found["per_edit_n"].values()))
    return "\n".join(
        [
            _table(
                ["edits", "found first, and said to be here", "each"],
                rows,
                f"{asked} pictures an edit, of {found['pictures']:,} in the store; in brackets the 95 % "
                "interval, by bootstrap over pictures.",
            ),
            f"- Strangers that share a layout with pictures of the store and were said to be the same one: "
            f"{found['strangers_mean']:.3f} on average over {len(strangers)} families of {one} each. By "
            f"family, where there were any: {wrong}.\n",
        ]
    )


def _mean(values: Mapping[str, float], names: Sequence[str]) -> str:
    return f"{sum(values[name] for name in names) / len(names):.3f}"


def _calibrations(own: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (name, summary)
        for name, metrics in own.items()
        for metric, summary in metrics.items()
        if metric.startswith("recall_at_fpr")
    ]


def _calibrated(calibration: tuple[str, Mapping[str, Any]]) -> str:
    name, told = calibration
    by = "evidence" if name == "verified" else f"distance alone ({index_name(name)})"
    recall, precision, rate = (_rate(told, key) for key in ("mean", "precision", "false_positive_rate"))
    return (
        f'- "It is here" by {by}, at a stated false-positive rate of '
        f"{told['stated_false_positive_rate']:.1%}: recall {recall}, n = {told['n']}; "
        f"false-positive rate {rate}, n = {told['n_absent']}; precision in this mix {precision}. "
        "Chosen on one half of the pictures, reported on the other."
    )


def _rate(summary: Mapping[str, Any], name: str) -> str:
    return "-" if summary[name] is None else f"{summary[name]:.3f} {_interval(summary, name)}"


def _cost(cost: Mapping[str, Any]) -> str:
    return (
        f"- From the decoded picture to the verified answer {cost['p50_ms']:.0f} ms at the median, "
        f"{cost['p95_ms']:.0f} ms at the 95th percentile, {cost['present_p50_ms']:.0f} ms at the median of "
        f"those that are here ({cost['queries']} queries one at a time, {cost['threads']} threads). "
        f"Local features take {cost['local_features_bytes_per_picture'] / 1000:.1f} kB a picture; "
        f"the regions add {cost['region_rows']:,} vectors.\n"
    )


def run(timings: Mapping[str, Any]) -> str:
    """What the whole run took."""
    seconds = {stage: one["seconds"] for stage, one in timings.items()}
    peak = max(one["peak_memory_bytes"] for one in timings.values())
    trainings = 1 + len(timings["finetune"]["epochs_unseen"])
    return (
        f"The committed run took {sum(seconds.values()) / 60:.0f} minutes, "
        f"{seconds['finetune'] / 60:.0f} of them for {trainings} trainings, "
        f"and its largest process {peak / 1e9:.1f} GB of memory.\n"
    )


def near_duplicates(counts: Mapping[str, Any]) -> str:
    """What clean found."""
    return (
        f"In the committed run it finds {counts['groups']} groups of {counts['grouped']:,} pictures, "
        f"{counts['groups_across_classes']} of them across classes, the largest of "
        f"{counts['largest_group']}.\n"
    )


def overlap(params: Params) -> str:
    """How the edits that judge overlap with the augmentation that trains."""
    augment = params.finetune.augment
    return (
        f"Training mirrors {augment.flip:.0%} of the pictures, crops them to {augment.min_area:.0%} of the "
        f"area and more, changes brightness, contrast and saturation by up to {augment.jitter:.0%} each, and "
        f"greys {augment.grayscale:.0%}. So the fine-tuned network knows `mirror` as it is, `crop50` and the "
        "saturation of `colour` within its range, `grey_dark` in part; the smaller crops, turns, blur, "
        "noise, compression, small sizes, captions, frames, collages and changes of hue it does not know. "
        "The pre-trained network, whose vectors give the candidates, was not trained here at all.\n"
    )


def ablations(file: Path) -> str:
    """What each part of the recipe is worth, from the table of `ris.lab.ablation`."""
    if not file.is_file():
        return "Not measured.\n"
    table = pd.read_csv(file)
    key = ["experiment", "device"]
    of_question = [lines.set_index(key) for _, lines in table.groupby("question", sort=False)]
    heads = ["experiment"]
    for question in table["question"].unique():
        heads += [f"mAP@R macro, `{question}`", "difference", "p", "by seed"]
    rows = []
    for name, device in of_question[0].index:
        row = [name.replace("_", " ")]
        for lines in of_question:
            one = lines.loc[name, device]
            row.append(f"{one['mAP@R macro']:.3f}")
            low, high = one["mAP@R low"], one["mAP@R high"]
            more = f"{one['mAP@R difference']:+.3f} ({low:+.3f} to {high:+.3f})"
            p = f"{one['mAP@R p']:.3f}"
            row += [more, p, one["mAP@R by seed"]] if low or high else ["", "", ""]
        rows.append([*row, f"{of_question[0].loc[(name, device), 'minutes']:.1f}, {device}"])
    queries = ", ".join(f"{lines['n'].iloc[0]} of `{lines['question'].iloc[0]}`" for lines in of_question)
    return _table(
        [*heads, "minutes"],
        rows,
        f"{queries} validation pictures; means over seeds, and the difference from the recipe on the same "
        "device, with its 95 % interval: about these very classes (`same_class`, by bootstrap over pictures) "
        "or about classes like these (`unseen_class`, over classes and pictures within them); p of no "
        f"difference, corrected for the {len(table) - len(of_question) * len(table['device'].unique())} "
        "comparisons of the table (Holm); minutes of one training.",
    )


def tuning(folder: Path) -> str:
    """The best of each index, with and without what is learnt from classes, from `ris.lab.tuning`."""
    rows = []
    for file in sorted(folder.glob("*.csv")):
        draw = layout.draw_unknown_to(file.stem)
        asked = "all classes" if draw is None else f"classes of draw {draw}, not learnt from"
        trials = pd.read_csv(file)
        best = trials.groupby(["index", "pca.shrinkage"], dropna=False)["mAP@R macro"].idxmax()
        for _, one in trials.loc[best].iterrows():
            projected = not pd.isna(one["pca.shrinkage"])
            settings = [f"{one.get(f'pca.{name}', 0.0):g}" for name in SETTINGS]
            rows.append(
                [
                    f"{encoder_name(file.stem.partition('_')[0])}, {len(trials)} trials",
                    asked,
                    index_name(one["index"]),
                    *(settings if projected else [""] * len(SETTINGS)),
                    f"{one['mAP@R macro']:.3f}",
                    f"{one['p50_ms']:.2f} ms",
                ]
            )
    if not rows:
        return "Not measured.\n"
    return _table(
        ["encoder", "asked for", "index", *SETTINGS.values(), "mAP@R macro", "p50"],
        rows,
        "The best trial of each, by the validation pictures asked against the training ones, not by queries.",
    )


def training_sweep(file: Path) -> str:
    """Every trial of `ris.lab.training_sweep`."""
    if not file.is_file():
        return "Not measured.\n"
    trials = pd.read_csv(file)
    settings = [name for name in trials.columns if name.startswith("finetune.")]
    rows = []
    for _, one in trials.iterrows():
        ended = one["state"] == "complete"
        scores = [f"{one[f'mAP@R macro, {question}']:.3f}" if ended else "" for question in QUESTIONS]
        rows.append([*(f"{one[name]:g}" for name in settings), str(one["epochs"]), *scores])
    heads = [name.removeprefix("finetune.").replace("_", " ") for name in settings]
    return _table(
        [*heads, "epochs", *(f"mAP@R macro, `{question}`" for question in QUESTIONS)],
        rows,
        "Validation pictures, as in the ablations. The first line is the committed recipe. "
        f"{int((trials['state'] == 'pruned').sum())} of {len(trials)} trials were pruned.",
    )


def store(file: Path) -> str:
    """What `ris evaluate --json` found of a store."""
    if not file.is_file():
        return "Not measured.\n"
    judged = read_json(file)
    return _table(
        ["index", *(f"{metric} micro / macro" for metric in METRICS)],
        [[index_name(name), *_cells(found)] for name, found in judged["indexes"].items()],
        f"{judged['queries']:,} queries: each picture against all others but near-duplicates of it; in "
        "brackets the 95 % interval of the macro average, by bootstrap over queries, stratified by class.",
    )


def benchmarks(file: Path) -> str:
    """What was noted of runs of `benchmarks/`."""
    if not file.is_file():
        return "Not measured.\n"
    noted = read_json(file)
    rows = [[f"`{one['command']}`: {one['asked']}", one["measured"]] for one in noted]
    return _table(["benchmark", "measured"], rows, "On two cores, mostly not idle: take the ratios.")


def _table(heads: list[str], rows: list[list[str]], note: str) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]]
    return "\n".join([*lines, "", note, ""])


def _cells(summaries: Mapping[str, Any]) -> list[str]:
    return [_cell(summaries[metric]) for metric in METRICS]


def _cell(one: Mapping[str, Any]) -> str:
    return f"{one['micro']:.3f} / {one['macro']:.3f} {_interval(one, 'macro')}"


def _recall(metrics: Mapping[str, Any], k: int) -> str:
    one = metrics.get(f"recall@{k}")
    return f"{one['mean']:.3f} {_interval(one, 'mean')}" if one else ""


def _interval(summary: Mapping[str, Any], name: str) -> str:
    low, high = summary[f"{name}_ci95"]
    return f"({low:.3f} to {high:.3f})"


def with_figures(readme: str, figures: Mapping[str, str]) -> str:
    """Return a page with what stands between its markers replaced.

    Raises:
        RisError: there are no markers, or there is no such block.
    """
    named = [name for _, name, _ in BLOCK.findall(readme)]
    if not named or not set(named) <= set(figures):
        raise RisError(
            f"The page has the blocks of figures {named}; it needs `<!-- figures: NAME -->` with names of "
            f"{', '.join(figures)}."
        )
    return BLOCK.sub(lambda found: f"{found[1]}\n{figures[found[2]]}\n{found[3]}", readme)


def main() -> None:
    """Write the figures of ./reports into the pages that show them."""
    figures = blocks(Path("reports"))
    for page in map(Path, PAGES):
        text = with_figures(page.read_text(), figures)
        with writing(page) as fresh:
            fresh.write_text(text)


if __name__ == "__main__":
    main()
