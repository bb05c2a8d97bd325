"""Does a heat map show what the answer rests on? Take away the places that it marks first, and see the answer fall."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Grey = NDArray[np.float32]

PARTS: Final = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Parts of the image that are taken away, most important places first."""

BLUR: Final = 1 / 12
"""Width of the blur that stands for a place taken away, as a part of the image's longer side: no edge is added, grey stays."""


def delete(image: Grey, ranking: Grey, part: float, within: NDArray[np.bool_] | None = None) -> Grey:
    """The image with the highest ranked part of its pixels replaced by a wide blur of it.

    Parameters
    ----------
    image, ranking
        ``(row, column)``.
    part
        Of the pixels of `within`, 0 to 1.
    within
        Where pixels may be taken away; everywhere by default.
    """
    allowed = np.ones(image.shape, dtype=bool) if within is None else within
    count = round(part * int(allowed.sum()))
    ranked = np.where(allowed, ranking, -np.inf)
    # A stable order: places of equal rank go in the order of rows, the same again in each run.
    first = np.argsort(-ranked, axis=None, kind="stable")[:count]
    gone = np.zeros(image.size, dtype=bool)
    gone[first] = True
    blurred = ndimage.gaussian_filter(image, BLUR * max(image.shape))
    deleted: Grey = np.where(gone.reshape(image.shape), blurred, image).astype(np.float32)
    return deleted


def deletion_area(rate: Callable[[Grey], float], image: Grey, ranking: Grey) -> float:
    """Mean answer over `PARTS` taken away in the order of `ranking`: the lower, the better the ranking (Petsiuk 2018).

    Parameters
    ----------
    rate
        The model's answer for an image, e.g. its probability or logit.
    """
    return float(np.mean([rate(delete(image, ranking, part)) for part in PARTS]))


def rivals(image: Grey, cells: int, seed: int) -> Mapping[str, Grey]:
    """Rankings that know nothing of the answer, each as smooth as a heat map.

    Parameters
    ----------
    cells
        Places of the heat map along the longer side: the random map has as many, and the edges are blurred to as few.

    Returns
    -------
    Mapping
        ``random`` and ``edges``, ``(row, column)``.
    """
    rows, columns = image.shape
    coarse = np.random.default_rng(seed).random((cells, cells)).astype(np.float32)
    random = ndimage.zoom(coarse, (rows / cells, columns / cells), order=1, mode="nearest", grid_mode=True)
    smooth = ndimage.gaussian_filter(image, 1)
    strength = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))
    edges = ndimage.gaussian_filter(strength, max(rows, columns) / cells / 2)
    return {"random": random[:rows, :columns].astype(np.float32), "edges": edges.astype(np.float32)}
