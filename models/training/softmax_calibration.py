"""Probabilities of several classes that keep their word: one slope and an offset for each class, fitted on held-out answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

Table = NDArray[np.float64]
_HOLD: Final = 0.01
"""Weight of the squared distance from the start: keeps the fit finite where classes part cleanly."""


@dataclass(frozen=True, slots=True)
class SoftmaxCalibration:
    """Probabilities = softmax(slope x logits + offsets); with two classes this is Platt's (1999)."""

    slope: float
    offsets: tuple[float, ...]

    def probabilities(self, logits: Table) -> Table:
        """``(n, class)`` of ``(n, class)`` logits."""
        found: Table = softmax(self.slope * logits + np.asarray(self.offsets), axis=1)
        return found


def of_shares(labels: NDArray[np.int_], classes: int) -> SoftmaxCalibration:
    """What undoes training on classes drawn equally often: offsets by how often each class really is."""
    counts = np.bincount(labels, minlength=classes) + 0.5
    offsets = np.log(counts / counts.mean())
    return SoftmaxCalibration(1.0, tuple(float(one) for one in offsets))


def fit_softmax(labels: NDArray[np.int_], logits: Table) -> SoftmaxCalibration:
    """Slope and offsets of the least cross-entropy.

    Parameters
    ----------
    labels
        ``(n,)`` class of each row.
    logits
        ``(n, class)``, of networks that did not learn from the row.
    """
    start = of_shares(labels, logits.shape[1])
    begin = np.asarray([1.0, *start.offsets])

    def cross_entropy(values: Table) -> float:
        logs = log_softmax(values[0] * logits + values[1:], axis=1)
        held = _HOLD * float(np.square(values - begin).sum())
        return float(-logs[np.arange(labels.size), labels].mean()) + held

    found = minimize(cross_entropy, begin, method="L-BFGS-B", bounds=[(0.05, 20.0), *[(-20.0, 20.0)] * logits.shape[1]])
    return SoftmaxCalibration(float(found.x[0]), tuple(float(one) for one in found.x[1:]))
