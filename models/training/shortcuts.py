"""Images of which only the border or the background is left: what is learned from these is how an image was made."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.image import Image
from models.training.request import Only

BORDER: Final = 1 / 32
"""Width of the border, as a part of each side."""

MARGIN: Final = 1 / 8
"""Width of what is background, as a part of each side: the middle three quarters of rows and columns are hidden."""


def show_only(image: Image, only: Only) -> Image:
    """The image with its middle at the mean of what is left of the slice: nothing of the middle goes into it.

    Parameters
    ----------
    image
        ``(slice, row, column)``, or with colours behind; slices keep their number.
    """
    if only is Only.ALL:
        return image
    rows, columns = image.array.shape[1:3]
    part = BORDER if only is Only.BORDER else MARGIN
    down, across = max(1, round(part * rows)), max(1, round(part * columns))
    hidden: NDArray[np.bool_] = np.zeros((rows, columns), dtype=bool)
    hidden[down : rows - down, across : columns - across] = True
    array = image.array.copy()
    for one in array:
        one[hidden] = one[~hidden].mean(axis=0)
    return replace(image, array=array)
