"""What the pneumonia network is shown of a chest: the whole film, the part around the lungs, the lungs alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from models.runtimes.film import Grey, Letterbox, window
from models.runtimes.lung_fields import Mask

MARGIN: Final = 0.06
"""Width left around the lungs, as a part of their extent."""


class Shown(StrEnum):
    """Which part of the film is left to see."""

    WHOLE = "whole"
    CHEST = "chest"  # the box around both lungs
    LUNGS = "lungs-only"  # that box, all outside the lung fields hidden
    BORDER = "border-only"  # the outer frame of the film alone: what a shortcut could live on
    HIDDEN = "border-hidden"  # the film without that frame


SHOWN: Final = (Shown.WHOLE, Shown.CHEST, Shown.LUNGS)
"""What is shown in the hospital."""

SHARES: Final = (0.5, 0.25, 0.25)
"""Each view's share in the answer: half of it rests on the whole film, half on the lungs and what is close to them."""

SIDES: Final = {Shown.WHOLE: 224, Shown.CHEST: 256, Shown.LUNGS: 256}
"""Side of the square that the classifier sees, in pixels."""

BORDER: Final = 1 / 32
"""Width of the border, as a part of the film's side: 10 of 320 pixels."""


def chest_box(lungs: Mask) -> tuple[slice, slice]:
    """Rows and columns of the box around the lungs, with its margin, inside the film."""
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    box = []
    for line, size in ((rows, lungs.shape[0]), (columns, lungs.shape[1])):
        margin = round(MARGIN * (line[-1] - line[0]))
        box.append(slice(max(0, int(line[0]) - margin), min(size, int(line[-1]) + 1 + margin)))
    return box[0], box[1]


def show(film: Grey, lungs: Mask, shown: Shown) -> Grey:
    """The part of a film that is shown, windowed to 0 to 1.

    Parameters
    ----------
    film
        ``(row, column)``, any scale.
    lungs
        Both lung fields on the same grid.
    """
    if shown in {Shown.CHEST, Shown.LUNGS}:
        rows, columns = chest_box(lungs)
        part, inside = film[rows, columns], lungs[rows, columns]
        if shown is Shown.CHEST:
            return window(part)
        reach = max(1, round(0.02 * part.shape[0]))
        near = ndimage.distance_transform_edt(~inside) <= reach
        graded = window(np.where(near, part, np.median(part[near])).astype(np.float32))
        return np.where(near, graded, np.float32(0.5)).astype(np.float32)
    whole = window(film)
    if shown is Shown.WHOLE:
        return whole
    frame = np.ones(film.shape, dtype=bool)
    depth_rows, depth_columns = (max(1, round(BORDER * side)) for side in film.shape)
    frame[depth_rows:-depth_rows, depth_columns:-depth_columns] = False
    kept = frame if shown is Shown.BORDER else ~frame
    return np.where(kept, whole, np.float32(0.5)).astype(np.float32)


def square(film: Grey, shown: Shown) -> torch.Tensor:
    """``(1, 1, side, side)`` of a film that `show` gave, filled up with mid grey."""
    side = SIDES.get(shown, SIDES[Shown.WHOLE])
    return Letterbox(film.shape[0], film.shape[1], side).shrink(film, fill=0.5)


def combine(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(film,)`` logits of ``(film, view)`` logits."""
    combined: NDArray[np.float64] = logits @ np.asarray(SHARES)
    return combined
