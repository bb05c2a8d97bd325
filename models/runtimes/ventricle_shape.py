"""Whether an outline looks as a left ventricle does on a short-axis image: round, sure, and with a wall around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.runtimes.short_axis import Answer

LEAST_SURE: Final = 0.80
"""Mean probability within the cavity."""

LEAST_ROUND: Final = 0.85
"""Part of the ellipse of the same moments that the cavity fills."""

MOST_LONG: Final = 2.2
"""Longer over shorter axis of that ellipse."""

LEAST_WALLED: Final = 0.6
"""Part of the cavity's border that has wall outside of it."""

MOST_SPREAD: Final = 0.35
"""Of the cavity's area over networks, turns and mirrors, as a part of its mean."""

_SMALL: Final = 60
"""Pixels below which a cavity has no shape to speak of."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Look:
    """What one outline looks like.

    Parameters
    ----------
    usual
        As that of a left ventricle.
    fault
        What is unusual, in words; ``""`` where nothing is.
    """

    usual: bool
    fault: str


def judge(answer: Answer | None, cavity: Mask, within: Mask) -> Look | None:
    """Judge ``(row, column)`` outlines; None where there is no ventricle, or one too small to be judged."""
    if answer is None or int(cavity.sum()) < _SMALL:
        return None
    sure = float(answer.probabilities[0][cavity].mean())
    filled, long = ellipse(cavity)
    border = ndimage.binary_dilation(cavity) & ~cavity
    walled = float(within[border].mean())
    faults = (
        (sure < LEAST_SURE, f"the networks are not sure of it ({sure:.2f})"),
        (filled < LEAST_ROUND, f"its outline is not smooth ({filled:.2f})"),
        (long > MOST_LONG, f"it is {long:.1f} times as long as wide"),
        (walled < LEAST_WALLED, f"it has no wall around it ({walled:.2f})"),
        (answer.spread > MOST_SPREAD, f"the networks do not agree on its size ({answer.spread:.2f})"),
    )
    fault = next((words for found, words in faults if found), "")
    return Look(not fault, fault)


def ellipse(mask: Mask) -> tuple[float, float]:
    """How much of the ellipse of the same second moments a mask fills, and how long that is: longer over shorter axis."""
    places = np.argwhere(mask).astype(np.float64)
    spread = np.cov(places.T) if len(places) > 2 else np.eye(2)
    low, high = np.sqrt(np.clip(np.linalg.eigvalsh(spread), 1 / 12, None))
    inside = (
        np.einsum("ni,ij,nj->n", places - places.mean(0), np.linalg.inv(spread + np.eye(2) * 1e-9), places - places.mean(0)) <= 4
    )
    # half axes of a uniform ellipse are twice its standard deviations
    return float(inside.sum() / (4 * np.pi * low * high)), float(high / low)
