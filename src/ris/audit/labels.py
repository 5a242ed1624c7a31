"""Labels that the neighbours contradict.

Confident learning: Northcutt, Jiang and Chuang 2021, "Confident learning: estimating uncertainty in dataset
labels", JAIR 70, arXiv 1911.00068. The probabilities that it asks for, of a model that has not seen the
picture's own label, are the shares of its nearest neighbours.
"""

import numpy as np

from ris.metrics.judge import UNLABELLED
from ris.metrics.retrieval import Floats, Integers

MARGIN = 0.5
"""Share of the neighbours by which those of the suggested label must exceed those of the own: confident
learning's normalised margin. Without it, half of what was said was wrong, on the sample of the how-to."""


def contradicted(labels: Integers, neighbours: Integers) -> tuple[Integers, Floats, Floats]:
    """Say which labels are contradicted, and by which others.

    A label's threshold is the mean, over the pictures that have it, of the share of neighbours that agree. A
    picture's label is contradicted by another one whose share reaches the other's threshold and exceeds the
    share of its own; of several, by that of the largest share, and of equal ones by that of the nearest.

    Args:
        labels: (n,) codes, `UNLABELLED` where a picture is not to be judged.
        neighbours: (n, k) label codes of other pictures, nearest first, `UNLABELLED` where a place is empty.

    Returns:
        The suggested label (n,), `UNLABELLED` where none is; the share (n,) of neighbours that have the own
        label; and the share (n,) that have the suggested one, 0 where there is none.
    """
    voting = neighbours != UNLABELLED
    votes = np.maximum(np.count_nonzero(voting, axis=1), 1)
    own = np.count_nonzero(neighbours == labels[:, None], axis=1) / votes
    agreeing = np.count_nonzero(neighbours[:, :, None] == neighbours[:, None, :], axis=2)
    shares = np.where(voting, agreeing / votes[:, None], 0)
    judged = labels != UNLABELLED
    n_labels = 1 + max(labels.max(initial=-1), neighbours.max(initial=-1))
    counts = np.bincount(labels[judged], minlength=n_labels)
    sums = np.bincount(labels[judged], own[judged], minlength=n_labels)
    # What no judged picture is called has no threshold that could be reached.
    thresholds = np.divide(sums, counts, out=np.full(n_labels, np.inf), where=counts > 0)
    confident = np.zeros(neighbours.shape, np.bool_)
    confident[voting] = shares[voting] >= thresholds[neighbours[voting]]
    strength = np.where(confident, shares, 0)
    lines, best = np.arange(len(labels)), strength.argmax(axis=1)
    against = strength[lines, best]
    # Shares are of few votes, so that what is rounded in them is far below the least difference.
    wrong = judged & (against - own > MARGIN - 1e-9)
    return (
        np.where(wrong, neighbours[lines, best], UNLABELLED),
        np.where(judged, own, 0.0),
        np.where(wrong, against, 0.0),
    )
