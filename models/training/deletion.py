"""Does a heat map show what the answer rests on? Take away the places that it marks first, and see the answer fall."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]

PARTS: Final = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Parts of the image that are taken away, most important places first."""

BLUR: Final = 1 / 12
"""Width of the blur of `blurred`, as a part of the image's longer side."""


def marked(ranking: Grey, part: float, within: Mask | None = None) -> Mask:
    """The highest ranked part of the pixels.

    Parameters
    ----------
    ranking
        ``(row, column)``.
    part
        Of the pixels of `within`, 0 to 1.
    within
        Where pixels may be marked; everywhere by default.
    """
    allowed = np.ones(ranking.shape, dtype=bool) if within is None else within
    count = round(part * int(allowed.sum()))
    # A stable order: places of equal rank go in the order of rows, the same again in each run.
    first = np.argsort(-np.where(allowed, ranking, -np.inf), axis=None, kind="stable")[:count]
    chosen = np.zeros(ranking.size, dtype=bool)
    chosen[first] = True
    return chosen.reshape(ranking.shape)


def blurred(image: Grey, gone: Mask) -> Grey:
    """The image with places replaced by a wide blur of it: no edge is added, grey stays.

    Not where haze is what a model looks for: to it a blurred lung is ill. Such a model hides the places itself.
    """
    wide = ndimage.gaussian_filter(image, BLUR * max(image.shape))
    replaced: Grey = np.where(gone, wide, image).astype(np.float32)
    return replaced


def deletion_area(rate: Callable[[Mask], float], ranking: Grey, within: Mask | None = None) -> float:
    """Mean answer over `PARTS` taken away in the order of `ranking`: the lower, the better the ranking (Petsiuk 2018).

    Parameters
    ----------
    rate
        The model's answer, probability or logit, for the image without the marked places.
    within
        As in `marked`.
    """
    return float(np.mean([rate(marked(ranking, part, within)) for part in PARTS]))


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
