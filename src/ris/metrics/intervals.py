"""From one value a query to micro and macro averages with their bootstrap intervals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NotRequired, TypeAlias, TypedDict

import numpy as np
from scipy.stats import beta

from ris.metrics.retrieval import Floats, Integers, capped_queries

DECIMALS = 6


class Summary(TypedDict):
    """A metric averaged over queries (micro) and over classes (macro), each with its 95 % interval."""

    micro: float
    micro_ci95: list[float]
    macro: float
    macro_ci95: list[float]
    n: int
    capped_queries: NotRequired[int]


Resampled: TypeAlias = Callable[[Floats, Integers, int, int], tuple[Floats, Floats]]
"""Values (q, m) of queries under m metrics, label codes (q,), how many resamples, and their seed, to the
micro and macro averages of each resample, (n_resamples, m) each."""


def resampled_queries(values: Floats, labels: Integers, n_resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Resample the queries of each class: what other queries of these very classes would have given.

    Every resample draws from each class as many queries as it has (Efron & Tibshirani 1993, "An Introduction
    to the Bootstrap", chapters 8 and 13). A class of n queries shows (n - 1)/n of its variance, so intervals
    are slightly narrow where classes are small. See `Resampled`.
    """
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    # Class sizes are the same in every resample, so the macro average too is a sum with fixed weights.
    weights = np.stack([np.full(len(codes), 1 / len(codes)), 1 / (len(sizes) * sizes[codes])])
    terms = weights[:, :, None] * values
    generator = np.random.default_rng(seed)
    resampled = np.zeros((2, n_resamples, values.shape[1]))
    for code, size in enumerate(sizes):
        draws = generator.multinomial(size, np.full(size, 1 / size), size=n_resamples)
        resampled += draws @ terms[:, codes == code]
    return resampled[0], resampled[1]


def macro(values: Floats, labels: Integers) -> float:
    """Return the mean over classes of the mean over a class's queries, values (q,), label codes (q,)."""
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return round(float((np.bincount(codes, values) / sizes).mean()), DECIMALS)


def resampled_classes(values: Floats, labels: Integers, n_resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Resample classes, and within each drawn class its queries: what other classes would have given.

    A two-stage bootstrap (Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 3.8).
    See `Resampled`.
    """
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=n_resamples)
    total, means = np.zeros((2, n_resamples, values.shape[1]))
    for code, size in enumerate(sizes):
        counts = generator.multinomial(drawn[:, code] * size, np.full(size, 1 / size))
        sums = counts @ values[codes == code]
        total, means = total + sums, means + sums / size
    return total / (drawn @ sizes)[:, None], means / len(sizes)


def summarise_all(
    values: Mapping[str, Floats],
    labels: Integers,
    n_resamples: int,
    seed: int,
    resampled: Resampled = resampled_queries,
) -> dict[str, Summary]:
    """Average several metrics over the same queries, with 95 % percentile intervals from the same resamples.

    Args:
        values: (q,) one value a query, under each metric's name.
        labels: (q,) label codes.
        n_resamples: bootstrap resamples.
        seed: of the resampling.
        resampled: what is drawn, and so what the interval is about: `resampled_queries`, these very classes,
            or `resampled_classes`, classes like these.

    Returns:
        A summary under each metric's name, rounded to 6 decimals.
    """
    table = np.stack(list(values.values()), axis=1)
    drawn = resampled(table, labels, n_resamples, seed)
    bounds = np.quantile(drawn, [0.025, 0.975], axis=1).round(DECIMALS)
    return {
        name: Summary(
            micro=round(float(table[:, column].mean()), DECIMALS),
            micro_ci95=bounds[:, 0, column].tolist(),
            macro=macro(table[:, column], labels),
            macro_ci95=bounds[:, 1, column].tolist(),
            n=len(table),
        )
        for column, name in enumerate(values)
    }


def two_sided(differences: Floats) -> float:
    """Return the p-value of "no difference" from resampled differences (n,).

    Twice the smaller share on one side of 0, the data themselves counted as one resample (Davison & Hinkley
    1997, section 4.2).
    """
    smaller = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return float(min(1.0, 2 * (smaller + 1) / (len(differences) + 1)))


def holm(p_values: Floats) -> Floats:
    """Correct p-values (n,) for their number: Holm 1979, "A simple sequentially rejective multiple test"."""
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def retrieval_summary(
    values: Mapping[str, Floats],
    query_labels: Integers,
    n_relevant: Integers,
    ks: Sequence[int],
    n_resamples: int,
    seed: int,
) -> dict[str, Summary]:
    """Return what metrics.json holds for one encoder and one index.

    Args:
        values: (q,) values of each metric, from `metrics.query_values` with the same `ks`.
        query_labels: (q,) label codes.
        n_relevant: (q,) R of each query.
        ks: the k of precision@k, whose summary also says how many queries were capped at R.
        n_resamples: bootstrap resamples.
        seed: of the resampling.
    """
    summaries = summarise_all(values, query_labels, n_resamples, seed)
    for k in ks:
        summaries[f"precision@{k}"]["capped_queries"] = capped_queries(n_relevant, k)
    return summaries


def recall_summary(
    hits: np.ndarray[Any, np.dtype[np.bool_]], names: Sequence[str], n_resamples: int, seed: int
) -> dict[str, Any]:
    """Average hits over edits and pictures.

    The interval is a 95 % percentile interval of a bootstrap over pictures, each with all of its edits
    (Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13).

    Args:
        hits: (edits, n) whether the original of an edited picture was found.
        names: of the edits.
        n_resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        `mean`, `mean_ci95`, `per_edit` by name, and `n` queries.
    """
    by_picture = hits.mean(axis=0)
    draws = np.random.default_rng(seed).integers(len(by_picture), size=(n_resamples, len(by_picture)))
    low, high = np.quantile(by_picture[draws].mean(axis=1), [0.025, 0.975]).round(DECIMALS)
    per_edit = {name: round(float(one.mean()), DECIMALS) for name, one in zip(names, hits, strict=True)}
    return {
        "mean": round(float(hits.mean()), DECIMALS),
        "mean_ci95": [float(low), float(high)],
        "per_edit": per_edit,
        "n": int(hits.size),
    }


def exact_interval(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of n independent things, exact for any n (Clopper & Pearson 1934).

    Where none of n was hit, its upper end is about 3.7 / n; the one-sided bound is the "rule of three", 3 / n
    (Hanley & Lippman-Hand 1983, "If nothing goes wrong, is everything all right?").

    Raises:
        ValueError: n is 0, or there are more hits than that.
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} of {n} is no share")
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(0.975, hits + 1, n - hits))
    return round(low, DECIMALS), round(high, DECIMALS)
