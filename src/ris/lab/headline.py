"""The dozen figures by which runs are compared: all that `dvc metrics` and `dvc exp show` tell."""

from collections.abc import Mapping
from typing import Any

from ris.lab import layout

FIGURES = (
    ("same_class", "finetuned", layout.SHOWN_INDEX, "precision@1", "macro"),
    ("same_class", "finetuned", layout.SHOWN_INDEX, "precision@10", "macro"),
    ("same_class", "finetuned", layout.SHOWN_INDEX, "mAP@R", "macro"),
    ("same_class", "finetuned", layout.RERANKED, "mAP@R", "macro"),
    ("same_class", "pretrained", layout.SHOWN_INDEX, "mAP@R", "macro"),
    ("unseen_class", "finetuned", layout.SHOWN_INDEX, "mAP@R", "macro_new_to_imagenet"),
    ("unseen_class", "pretrained", "knn", "mAP@R", "macro_new_to_imagenet"),
    ("unseen_class", "pretrained", layout.SHOWN_INDEX, "mAP@R", "macro_new_to_imagenet"),
    ("unseen_class", "pretrained", layout.SHOWN_INDEX, "mAP@R", "macro_known_to_imagenet"),
    ("unseen_class", "pretrained", layout.SHOWN_INDEX, "mAP@R", "macro"),
)
"""Question, encoder, index, metric and average."""
VERIFIED = {"recall@1": ("mean",), "recall_at_fpr": ("mean", "false_positive_rate")}
"""Of the very picture: the metrics, by the start of their names, and what is shown of each."""


def headline(questions: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the figures of metrics.json that there are, nested as they are there."""
    found: dict[str, Any] = {}
    for question, encoder, index, metric, average in FIGURES:
        one = questions.get(question, {}).get(encoder, {}).get(index, {}).get(metric, {})
        if average in one:
            of_index = found.setdefault(question, {}).setdefault(encoder, {}).setdefault(index, {})
            of_index.setdefault(metric, {})[average] = one[average]
    for of_encoder in questions.get("same_picture", {}).values():
        for metric, one in of_encoder.get("verified", {}).items():
            shown = next((keys for start, keys in VERIFIED.items() if metric.startswith(start)), ())
            if shown:
                found.setdefault("same_picture", {})[metric] = {key: one[key] for key in shown if key in one}
    return found
