"""Figures of models that rate findings: each by itself, and, where one of them is the answer, the choice between them."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.training.groups import groups_of
from models.training.metrics import (
    BINS,
    bootstrap_interval,
    calibration_by_chance,
    classification,
    expected_calibration_error,
    recall_intervals,
    recalls,
    roc_auc,
)
from models.training.outline_figures import Answers, Figures
from node.store.errors import ConfigurationError

Table = NDArray[np.float64]
_HEADLINE: Final = ("auroc", "auroc_ci", "balanced_accuracy", "balanced_accuracy_ci")


def finding_figures(manifest: Manifest, answers: Answers) -> Figures:
    """Headline and figures by finding; a row has a finding where its ``label`` is the finding's key.

    Raises
    ------
    ConfigurationError
        Where no row, or every row, has a finding; where one of the findings is the answer, where a label is none of them.
    """
    keys = [finding.key for finding in manifest.findings]
    groups = [row["patient"] for row, _ in answers]
    labels = np.asarray([row["label"] for row, _ in answers])
    rated = [{rating.key: rating.probability for rating in prediction.ratings} for _, prediction in answers]
    probabilities = np.asarray([[ratings[key] for key in keys] for ratings in rated])
    per_label: dict[str, Any] = {}
    for index, finding in enumerate(manifest.findings):
        truth = labels == finding.key
        if not 0 < truth.sum() < truth.size:
            raise ConfigurationError(f"column label holds no row with, or none without, {finding.key}")
        per_label[finding.key] = classification(truth, probabilities[:, index], groups, finding.threshold, finding.unsure)
    parts = groups_of([row for row, _ in answers])
    if not manifest.one_of:
        for index, finding in enumerate(manifest.findings):
            by_group = {
                name: _of_group(
                    labels[chosen] == finding.key, probabilities[chosen, index], finding.threshold, _chosen(groups, chosen)
                )
                for name, chosen in parts.items()
            }
            per_label[finding.key].update({"by_group": by_group} if by_group else {})
        return {key: per_label[keys[0]][key] for key in _HEADLINE}, per_label
    strange = sorted(set(labels.tolist()) - set(keys))
    if strange:
        raise ConfigurationError(f"column label holds {strange[0]}, which is none of the findings of {manifest.name}")
    truth = np.asarray([keys.index(label) for label in labels])
    headline, by_class = choice(truth, probabilities, groups)
    for key, figures in zip(keys, by_class, strict=True):
        per_label[key].update(figures)
    by_group = {
        name: _choice_of_group(truth[chosen], probabilities[chosen], _chosen(groups, chosen)) for name, chosen in parts.items()
    }
    headline.update({"by_group": by_group} if by_group else {})
    headline["confusion"] = {"labels": keys, "rows_are": "truth", "counts": confusion(truth, probabilities.argmax(1), len(keys))}
    return headline, per_label


def _chosen(groups: list[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [group for group, kept in zip(groups, chosen, strict=True) if kept]


def _of_group(truth: NDArray[np.bool_], probabilities: Table, threshold: float, groups: list[str]) -> dict[str, Any]:
    """A finding on some of the rows; figures that are not defined on them are left out."""
    called = probabilities >= threshold
    figures: dict[str, Any] = {"n": int(truth.size), "n_positive": int(truth.sum())}
    if not 0 < truth.sum() < truth.size:
        return figures
    figures["auroc"] = roc_auc(truth, probabilities)
    figures["auroc_ci"] = list(bootstrap_interval(lambda rows: roc_auc(truth[rows], probabilities[rows]), groups))
    intervals = recall_intervals(truth, called, groups)
    for name, value, interval in zip(("sensitivity", "specificity"), recalls(truth, called), intervals, strict=True):
        figures[name], figures[f"{name}_ci"] = value, list(interval)
    return figures


def _choice_of_group(truth: NDArray[np.int_], probabilities: Table, groups: list[str]) -> dict[str, Any]:
    """The choice on some of the rows; the balanced accuracy is over the findings that are there."""
    called = probabilities.argmax(1)
    there = np.unique(truth)

    def accuracy(rows: NDArray[np.intp]) -> float:
        return float((called[rows] == truth[rows]).mean())

    def balanced(rows: NDArray[np.intp]) -> float:
        right = called[rows] == truth[rows]
        return _mean([float(right[truth[rows] == one].mean()) for one in there if (truth[rows] == one).any()])

    figures: dict[str, Any] = {"n": int(truth.size), "findings": int(there.size)}
    for name, figure in (("balanced_accuracy", balanced), ("accuracy", accuracy)):
        figures[name] = figure(np.arange(truth.size))
        figures[f"{name}_ci"] = list(bootstrap_interval(figure, groups))
    return figures


def confusion(truth: NDArray[np.int_], called: NDArray[np.int_], count: int) -> list[list[int]]:
    """How many rows of each true class (first index) were called each class."""
    table = np.zeros((count, count), dtype=int)
    np.add.at(table, (truth, called), 1)
    rows: list[list[int]] = table.tolist()
    return rows


def choice(truth: NDArray[np.int_], probabilities: Table, groups: list[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Figures of the choice of the likeliest of several findings.

    Parameters
    ----------
    truth
        ``(n,)`` index of the true finding.
    probabilities
        ``(n, finding)``.
    groups
        Patient or lesion of each row.

    Returns
    -------
    tuple
        ``balanced_accuracy`` (mean over findings of the part of its rows that were called it), ``auroc_macro``, ``accuracy`` and
        ``expected_calibration_error`` (of the likeliest finding's probability), each with its interval, and
        ``calibration_error_by_chance`` (`calibration_by_chance`) with its range; and by finding ``recall`` and ``precision`` of
        the choice.
    """
    called = probabilities.argmax(1)
    count = probabilities.shape[1]

    def recall(rows: NDArray[np.intp], one: int) -> float:
        chosen = truth[rows] == one
        return float((called[rows] == one)[chosen].mean()) if chosen.any() else float("nan")

    def precision(rows: NDArray[np.intp], one: int) -> float:
        chosen = called[rows] == one
        return float((truth[rows] == one)[chosen].mean()) if chosen.any() else float("nan")

    def balanced(rows: NDArray[np.intp]) -> float:
        return _mean([recall(rows, one) for one in range(count)])

    def ranked(rows: NDArray[np.intp]) -> float:
        return _mean([roc_auc(truth[rows] == one, probabilities[rows, one]) for one in range(count)])

    def accuracy(rows: NDArray[np.intp]) -> float:
        return float((called[rows] == truth[rows]).mean())

    def calibration(rows: NDArray[np.intp]) -> float:
        return expected_calibration_error(called[rows] == truth[rows], probabilities[rows].max(1))

    everything = np.arange(truth.size)
    headline: dict[str, Any] = {}
    for name, figure in (
        ("balanced_accuracy", balanced),
        ("auroc_macro", ranked),
        ("accuracy", accuracy),
        ("expected_calibration_error", calibration),
    ):
        headline[name] = figure(everything)
        headline[f"{name}_ci"] = list(bootstrap_interval(figure, groups))
    chance, chance_range = calibration_by_chance(probabilities.max(1))
    headline["calibration_error_by_chance"] = chance
    headline["calibration_error_by_chance_ci"] = list(chance_range)
    headline["calibration_bins"] = BINS
    by_class = []
    for one in range(count):
        chosen = called == one
        interval = bootstrap_interval(lambda rows, one=one: recall(rows, one), groups)  # type: ignore[misc]
        by_class.append({"recall": recall(everything, one), "recall_ci": list(interval), "precision": precision(everything, one)})
        if chosen.any():
            interval = bootstrap_interval(lambda rows, one=one: precision(rows, one), groups)  # type: ignore[misc]
            by_class[-1]["precision_ci"] = list(interval)
    return headline, by_class


def _mean(values: list[float]) -> float:
    """Mean of the figures that are defined: a bootstrap sample may lack a class."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan
