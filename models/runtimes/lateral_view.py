"""Whether two lung fields are those of a lateral view: no mediastinum parts them, and neither mirrors the other."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.runtimes.film import Grey
from models.runtimes.lung_fields import LungFields

USUAL_ODDS: Final = 1e-4
USUAL_BETWEEN: Final = 0.037
USUAL_UNLIKE: Final = 0.1
"""What a frontal film usually measures: odds that it is none, lung between the fields, the part of them that is not mirrored."""

WEIGHT_OF_ODDS: Final = 0.3
"""Power that the odds are taken to: they run over four decades, the two others over one."""

ONE_WHITE: Final = 0.15
"""Difference of the grey values of two fields that halves how lateral a film looks."""

MOST_LATERAL: Final = 25.0
"""How lateral a film may look, of `looks_lateral`; 1 is usual. Holds for fields that were counted from 0.5 or 0.55."""


def between(fields: LungFields, probabilities: NDArray[np.float32]) -> float:
    """Mean probability of lung in all that lies between two fields, along rows; 1 where nothing does.

    Parameters
    ----------
    fields
        Neither of them empty.
    probabilities
        ``(2, row, column)``, of the lung at the left and at the right, on the grid of the fields.
    """
    columns = np.arange(fields.left.shape[1])
    last_of_left = np.where(fields.left, columns, -1).max(axis=1, keepdims=True)
    first_of_right = np.where(fields.right, columns, columns.size).min(axis=1, keepdims=True)
    both = fields.left.any(axis=1, keepdims=True) & fields.right.any(axis=1, keepdims=True)
    band = both & (columns > last_of_left) & (columns < first_of_right)
    return float(probabilities.max(axis=0)[band].mean()) if band.any() else 1.0


def mirrored(fields: LungFields) -> float:
    """Dice coefficient of the left field and the mirror image of the right one, 0 to 1.

    The mirror stands halfway between the two centroids, at right angles to the line that joins them: a film that is turned a
    little measures as it would upright.

    Parameters
    ----------
    fields
        Neither of them empty.
    """
    left, right = (np.array(ndimage.center_of_mass(side)) for side in (fields.left, fields.right))
    middle, away = (left + right) / 2, (right - left) / np.linalg.norm(right - left)
    rows, columns = np.indices(fields.left.shape)
    twice = 2 * ((rows - middle[0]) * away[0] + (columns - middle[1]) * away[1])
    behind = np.stack([rows - twice * away[0], columns - twice * away[1]])
    image = ndimage.map_coordinates(fields.right.astype(np.float32), behind, order=1) > 0.5
    return float(2 * (image & fields.left).sum() / max(1, image.sum() + fields.left.sum()))


def uneven(fields: LungFields, film: Grey) -> float:
    """Difference of the median grey values of two fields, 0 to 1.

    From the side every ray crosses both lungs, and the fields are about equally grey. From the front a white lung lies
    beside a dark one, and then neither mirrors the other either.

    Parameters
    ----------
    fields
        Neither of them empty.
    film
        Windowed, on the grid of the fields.
    """
    return abs(float(np.median(film[fields.left])) - float(np.median(film[fields.right])))


def looks_lateral(upright: float, lung_between: float, overlap: float, difference: float) -> float:
    """How many times more a film looks like a lateral view than a frontal one usually does, by all signs together.

    One sign alone is met on frontal films too: of a chest with one white lung, of one that is turned. The limit lets pass all
    films of the training splits but a stated few (see the model card of `cxr-lungs`).

    Parameters
    ----------
    upright
        Probability of an upright frontal chest.
    lung_between, overlap, difference
        As `between`, `mirrored` and `uneven` measure them.
    """
    odds = max((1 - upright) / max(upright, USUAL_ODDS), USUAL_ODDS)
    doubt = (odds / USUAL_ODDS) ** WEIGHT_OF_ODDS
    shape = (lung_between / USUAL_BETWEEN) * ((1 - overlap) / USUAL_UNLIKE)
    return float(doubt * shape / (1 + (difference / ONE_WHITE) ** 2))
