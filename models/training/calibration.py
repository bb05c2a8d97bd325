"""From logits to probabilities that keep their word, fitted on films that the network did not learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.training.metrics import Flags, Floats

WIDEST_BAND: Final = 0.25
"""Largest part of films that may be reported as unsure."""

SURE: Final = 0.9
"""Part of the calls outside the unsure band that should be right."""


@dataclass(frozen=True, slots=True)
class Platt:
    """Probability = logistic(slope x logit + offset) (Platt 1999)."""

    slope: float
    offset: float

    def probability(self, logits: Floats) -> Floats:
        """Calibrated probabilities, 0 to 1."""
        return 1 / (1 + np.exp(-(self.slope * logits + self.offset)))


def fit_platt(labels: Flags, logits: Floats) -> Platt:
    """Slope and offset of the least cross-entropy, with Platt's targets, which keep it finite where classes part cleanly."""
    positive, negative = int(labels.sum()), int((~labels).sum())
    targets = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def cross_entropy(values: NDArray[np.float64]) -> float:
        scores = values[0] * logits + values[1]
        return float(np.mean(np.logaddexp(0, scores) - targets * scores))

    found = minimize(cross_entropy, np.array([1.0, 0.0]), method="Nelder-Mead")
    return Platt(float(found.x[0]), float(found.x[1]))


def unsure_band(labels: Flags, probabilities: Floats, threshold: float = 0.5) -> tuple[float, float]:
    """The narrowest band around `threshold` outside of which `SURE` of all calls are right, or `WIDEST_BAND` of films lie inside.

    Returns
    -------
    tuple
        Lowest and highest probability of the band.
    """
    right = (probabilities >= threshold) == labels
    distance = np.abs(probabilities - threshold)
    for width in np.arange(0.05, min(threshold, 1 - threshold), 0.01):
        outside = distance > width
        if (~outside).mean() >= WIDEST_BAND or right[outside].mean() >= SURE:
            return round(threshold - width, 2), round(threshold + width, 2)
    return round(threshold - width, 2), round(threshold + width, 2)
