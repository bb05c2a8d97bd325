"""A projection radiograph as its networks see it: upright, windowed, square; and the way back to the source grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate, pad

Grey = NDArray[np.float32]
"""``(row, column)``, single precision."""

LOW_PERCENTILE: Final = 0.5
HIGH_PERCENTILE: Final = 99.5
_SAMPLE: Final = 400_000
"""Pixels that percentiles are taken from: enough for a film of any size."""


def window(film: Grey) -> Grey:
    """Scale grey values to 0 to 1 between two percentiles, whatever the depth and offset they were stored with.

    Parameters
    ----------
    film
        ``(row, column)``, higher is brighter as displayed, any scale.

    Returns
    -------
    Grey
        Same shape, 0 to 1; all 0.5 where the film is constant.
    """
    step = max(1, int(np.sqrt(film.size / _SAMPLE)))
    low, high = np.percentile(film[::step, ::step], (LOW_PERCENTILE, HIGH_PERCENTILE))
    if high <= low:
        low, high = float(film.min()), float(film.max())
    if high <= low:
        return np.full(film.shape, 0.5, dtype=np.float32)
    scaled: Grey = np.clip((film - np.float32(low)) / np.float32(high - low), 0, 1).astype(np.float32)
    return scaled


def reduce(film: Grey, side: int) -> Grey:
    """Average a ``(row, column)`` film down until its longer side is `side` pixels; a smaller one stays as it is."""
    if max(film.shape) <= side:
        return film
    box = Letterbox(film.shape[0], film.shape[1], side)
    (top, left), (rows, columns) = box.offset, box.inner
    reduced: Grey = box.shrink(film)[0, 0, top : top + rows, left : left + columns].numpy()
    return reduced


def squash(film: Grey, side: int) -> Grey:
    """A ``(side, side)`` film, its aspect lost; for models that learned from pictures that were made so."""
    tensor = torch.from_numpy(np.ascontiguousarray(film, dtype=np.float32))[None, None]
    block = int(min(film.shape) // (2 * side))
    if block > 1:
        tensor = torch.nn.functional.avg_pool2d(tensor, block, ceil_mode=True)
    squashed: Grey = interpolate(tensor, size=(side, side), mode="bilinear", antialias=True, align_corners=False)[0, 0].numpy()
    return squashed


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a film lies in the square that a network sees: scaled with its aspect kept, centred, the rest filled.

    Parameters
    ----------
    rows, columns
        Of the source grid.
    size
        Side of the square, in pixels.
    """

    rows: int
    columns: int
    size: int

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns that the scaled film takes in the square."""
        scale = self.size / max(self.rows, self.columns)
        return max(1, round(self.rows * scale)), max(1, round(self.columns * scale))

    @property
    def offset(self) -> tuple[int, int]:
        """First row and column of the scaled film in the square."""
        rows, columns = self.inner
        return (self.size - rows) // 2, (self.size - columns) // 2

    def shrink(self, film: Grey, fill: float = 0.0) -> torch.Tensor:
        """Return the ``(1, 1, size, size)`` square of a ``(rows, columns)`` film, averaged down without aliasing."""
        tensor = torch.from_numpy(np.ascontiguousarray(film, dtype=np.float32))[None, None]
        # A film of 3000 x 2500 is first averaged in whole blocks: the antialiasing filter alone takes a second for it.
        block = int(max(film.shape) // (2 * self.size))
        if block > 1:
            tensor = torch.nn.functional.avg_pool2d(tensor, block, ceil_mode=True)
        small = interpolate(tensor, size=self.inner, mode="bilinear", antialias=True, align_corners=False)
        (top, left), (rows, columns) = self.offset, self.inner
        return pad(small, (left, self.size - columns - left, top, self.size - rows - top), value=fill)

    def grow(self, square: torch.Tensor) -> NDArray[np.float32]:
        """Return ``(n, rows, columns)`` of ``(1, n, size, size)`` logits or probabilities, interpolated to the source grid."""
        (top, left), (rows, columns) = self.offset, self.inner
        inside = square[:, :, top : top + rows, left : left + columns]
        grown: NDArray[np.float32] = interpolate(inside, size=(self.rows, self.columns), mode="bilinear")[0].numpy()
        return grown
