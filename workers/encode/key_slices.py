"""Which slices of a stack a person should look at first."""

from __future__ import annotations

from typing import Final

import numpy as np

from workers.encode.segments import Outlines

MOST: Final = 8
"""Slices; more are a series to scroll through, for which there is the SEG."""


def key_slices(found: Outlines, most: int = MOST) -> tuple[int, ...]:
    """Indices of the slices that matter, in order.

    For each structure the slice on which it is largest, in the manifest's order; then, while there is room, slices that part
    what is left of the structures' extent evenly. Slices without an outline are never among them.
    """
    largest = []
    for _, box, mask in found.parts():
        areas = np.count_nonzero(mask, axis=(1, 2))
        largest.append(int(box[0].start + areas.argmax()))
    chosen = list(dict.fromkeys(largest))[:most]
    outlined = np.flatnonzero(found.presence.any(axis=0))
    while len(chosen) < min(most, len(outlined)):
        away = np.abs(outlined[:, np.newaxis] - np.asarray(chosen)).min(axis=1)
        chosen.append(int(outlined[away.argmax()]))
    return tuple(sorted(chosen))
