"""Which images of a cycle were outlined otherwise than those before and after them: a heart moves smoothly, an error does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.image import Image
from models.prediction import Cycle

LEAST_PHASES: Final = 12
"""With fewer a heart moves so far from one to the next that nothing can be said."""

OUT_OF_LINE: Final = 0.10
"""By how much the Dice of the phases before and after must exceed that of the image with either."""

LEAST_CHANGE: Final = 0.15
"""Least difference to either, as a part of the largest cavity of the slice: near the apex, where it closes, Dice changes fast."""

_SMALL: Final = 60
"""Pixels of the largest cavity of a slice below which it has no shape to compare."""

Mask = NDArray[np.bool_]


def out_of_line(cavity: Mask, image: Image) -> Mask:
    """``(slice, phase)``: whether an image's cavity fits neither that before nor that after it, which fit each other.

    The last phase is followed by the first. Two wrong images in a row are not seen, and nothing is in fewer than `LEAST_PHASES`.

    Parameters
    ----------
    cavity
        ``(slice * phase, row, column)``, as `models.image.Image.phases` orders them.
    """
    masks = cavity.reshape(image.slices, image.phases, -1)
    if image.phases < LEAST_PHASES:
        return np.zeros(masks.shape[:2], dtype=bool)
    before, after = np.roll(masks, 1, axis=1), np.roll(masks, -1, axis=1)
    misfit = _dice(before, after) - np.maximum(_dice(masks, before), _dice(masks, after))
    change = np.minimum((masks ^ before).sum(-1), (masks ^ after).sum(-1))
    largest = masks.sum(-1).max(axis=1, keepdims=True)
    return np.asarray((misfit > OUT_OF_LINE) & (change > LEAST_CHANGE * largest) & (largest >= _SMALL))


def doubts(odd: Mask, cycle: Cycle | None) -> tuple[str, ...]:
    """Notes about images that are out of line, slice by slice, and whether what was measured rests on one of them.

    Parameters
    ----------
    odd
        From `out_of_line`.
    cycle
        What the measurements rest on.
    """
    phases = odd.shape[1]
    notes = [
        f"Slice {number + 1}: in phase {_listed(np.flatnonzero(row) + 1)} of {phases} the outlined cavity does not fit those of "
        "the phases before and after; check these images."
        for number, row in enumerate(odd)
        if row.any()
    ]
    for moment, phase in cycle.phases.items() if cycle else ():
        slices = [number for number in cycle.slices if odd[number, phase]] if cycle else []
        if slices:
            notes.append(
                f"What was measured rests on such an image: phase {phase + 1}, taken for {moment}, on slice "
                f"{_listed([number + 1 for number in slices])}."
            )
    return tuple(notes)


def _dice(one: Mask, other: Mask) -> NDArray[np.float64]:
    """Over the last axis; 1 where both are empty."""
    total = one.sum(-1) + other.sum(-1)
    return np.where(total > 0, 2 * (one & other).sum(-1) / np.maximum(total, 1), 1.0)


def _listed(numbers: Sequence[int] | NDArray[np.intp]) -> str:
    *first, last = (str(number) for number in numbers)
    return f"{', '.join(first)} and {last}" if first else last
