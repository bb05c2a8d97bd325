"""Figures of merit, named as scikit-learn and MONAI name them, with intervals by bootstrap over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

REPEATS: Final = 1000
"""Bootstrap samples of an interval."""

BINS: Final = 10
"""Bins of the expected calibration error, of equal count."""


def dice(found: Flags, truth: Flags) -> float:
    """Dice of two masks; 1.0 where both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0


def roc_auc(labels: Flags, scores: Floats) -> float:
    """Area under the receiver operating characteristic, ties counting half; NaN where there is one class only."""
    positive = int(labels.sum())
    if not 0 < positive < labels.size:
        return float("nan")
    above = rankdata(scores)[labels].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (labels.size - positive)))


def recalls(labels: Flags, called: Flags) -> tuple[float, float]:
    """Sensitivity and specificity; NaN for a class without rows."""
    with np.errstate(invalid="ignore"):
        positive, negative = labels.sum(), (~labels).sum()
        return float((called & labels).sum() / positive), float((~called & ~labels).sum() / negative)


def expected_calibration_error(labels: Flags, probabilities: Floats, bins: int = BINS) -> float:
    """Mean distance between stated probability and observed frequency, over `bins` bins of equal count.

    Of equal count, not width: with some hundred films equal widths leave bins of three films, whose frequency is noise.
    """
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    gaps = [abs(float(labels[part].mean()) - float(probabilities[part].mean())) * part.size for part in parts]
    return sum(gaps) / labels.size


def calibration_by_chance(probabilities: Floats, repeats: int = REPEATS, seed: int = 0) -> tuple[float, tuple[float, float]]:
    """Expected calibration error of answers that keep their word exactly: what few rows show of an error that is not there.

    Parameters
    ----------
    probabilities
        ``(n,)`` as the model stated them; that many rows are drawn by them, again and again.

    Returns
    -------
    tuple
        Mean over the draws, and the range of 95 % of them.
    """
    random = np.random.default_rng(seed)
    drawn = (random.random(probabilities.size) < probabilities for _ in range(repeats))
    errors = [expected_calibration_error(labels, probabilities) for labels in drawn]
    low, high = np.percentile(errors, (2.5, 97.5))
    return float(np.mean(errors)), (float(low), float(high))


def bootstrap_interval(
    figure: Callable[[NDArray[np.intp]], float], groups: Sequence[str], repeats: int = REPEATS, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of `figure` over samples of patients drawn with replacement.

    Parameters
    ----------
    figure
        Takes indices of rows and returns the figure; NaN where it is not defined for that sample (one class only).
    groups
        The patient of each row: films of one patient are drawn together.
    """
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    rows_of = [np.flatnonzero(members == index) for index in range(names.size)]
    random = np.random.default_rng(seed)
    values = []
    for _ in range(repeats):
        drawn = random.integers(0, names.size, names.size)
        values.append(figure(np.concatenate([rows_of[index] for index in drawn])))
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def recall_intervals(labels: Flags, called: Flags, groups: Sequence[str]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Intervals of sensitivity and specificity, as `bootstrap_interval` gives them; there must be rows of both classes."""
    return (
        bootstrap_interval(lambda rows: recalls(labels[rows], called[rows])[0], groups),
        bootstrap_interval(lambda rows: recalls(labels[rows], called[rows])[1], groups),
    )


def classification(
    labels: Flags, probabilities: Floats, groups: Sequence[str], threshold: float, unsure: tuple[float, float] | None
) -> dict[str, float | int | list[float]]:
    """All figures of one finding.

    Parameters
    ----------
    labels, probabilities
        ``(n,)``: whether the finding is present, and what the model said.
    groups
        Patient of each row.
    threshold, unsure
        As in `models.labels.Finding`.
    """
    called = probabilities >= threshold

    def ranked(rows: NDArray[np.intp]) -> float:
        return roc_auc(labels[rows], probabilities[rows])

    def balanced(rows: NDArray[np.intp]) -> float:
        return sum(recalls(labels[rows], called[rows])) / 2

    def calibration(rows: NDArray[np.intp]) -> float:
        return expected_calibration_error(labels[rows], probabilities[rows])

    def brier(rows: NDArray[np.intp]) -> float:
        return float(np.square(probabilities[rows] - labels[rows]).mean())

    everything = np.arange(labels.size)
    low, high = unsure or (threshold, threshold)
    sensitivity, specificity = recalls(labels, called)
    sensitivity_ci, specificity_ci = recall_intervals(labels, called, groups)
    chance, chance_range = calibration_by_chance(probabilities)
    return {
        "n": int(labels.size),
        "n_positive": int(labels.sum()),
        "auroc": ranked(everything),
        "auroc_ci": list(bootstrap_interval(ranked, groups)),
        "balanced_accuracy": balanced(everything),
        "balanced_accuracy_ci": list(bootstrap_interval(balanced, groups)),
        "sensitivity": sensitivity,
        "sensitivity_ci": list(sensitivity_ci),
        "specificity": specificity,
        "specificity_ci": list(specificity_ci),
        "brier_score_loss": brier(everything),
        "brier_score_loss_ci": list(bootstrap_interval(brier, groups)),
        "expected_calibration_error": calibration(everything),
        "expected_calibration_error_ci": list(bootstrap_interval(calibration, groups)),
        "calibration_error_by_chance": chance,
        "calibration_error_by_chance_ci": list(chance_range),
        "calibration_bins": BINS,
        "threshold": threshold,
        "unsure_share": float(((probabilities > low) & (probabilities < high)).mean()),
    }


def segmentation(scores: Floats, groups: Sequence[str]) -> dict[str, float | int | list[float]]:
    """Mean, worst and 5th percentile of Dice over images, with intervals of the mean and of the percentile."""

    def mean(rows: NDArray[np.intp]) -> float:
        return float(scores[rows].mean())

    def low(rows: NDArray[np.intp]) -> float:
        return float(np.percentile(scores[rows], 5))

    everything = np.arange(scores.size)
    return {
        "n": int(scores.size),
        "dice": mean(everything),
        "dice_ci": list(bootstrap_interval(mean, groups)),
        "dice_p05": low(everything),
        "dice_p05_ci": list(bootstrap_interval(low, groups)),
        "dice_min": float(scores.min()),
    }


def sayable(figures: Any) -> Any:
    """Figures with None for what is no number, such as the precision of a kind that was never called: JSON has no NaN."""
    if isinstance(figures, dict):
        return {key: sayable(value) for key, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [sayable(value) for value in figures]
    return None if isinstance(figures, float) and not np.isfinite(figures) else figures
