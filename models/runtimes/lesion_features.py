"""What a marked region of a mammogram looks like, in five numbers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Region

NAMES: Final = ("log radius", "contrast", "deviation", "across", "breast")
PIXEL_MM: Final = 0.4
"""Greys are compared at this size: films of the training set at 512 pixels."""
AIR: Final = 0.08
"""Scaled greys below it are no breast."""


def describe(pixels: NDArray[np.float32], region: Region, pixel_mm: float) -> NDArray[np.float64]:
    """Describe the disc, in the order of `NAMES`.

    Parameters
    ----------
    pixels
        ``(row, column)`` of the whole image, higher is brighter, any scale.
    region
        In pixels of it.
    pixel_mm
        Side of a pixel.

    Returns
    -------
    ndarray
        Logarithm of the radius in mm; brightness of the inner half above that of the surroundings; deviation inside; how far
        edges run across the radius near the border, which spicules do; brightness of the whole breast.
    """
    factor = pixel_mm / PIXEL_MM
    grey = ndimage.zoom(pixels, factor, order=1) if abs(factor - 1) > 0.02 else pixels
    low, high = float(grey.min()), float(np.percentile(grey, 99.5))
    grey = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    row, column, radius = region.row * factor, region.column * factor, region.radius * factor
    rows, columns = np.indices(grey.shape, sparse=True)
    down, right = rows - row, columns - column
    distance = np.hypot(down, right)
    inside, core = distance <= radius, distance <= radius / 2
    breast = grey > AIR
    around = (distance > radius) & (distance <= 1.6 * radius + 2)
    around = around & breast if (around & breast).sum() >= 10 else around
    border = (distance > radius / 2) & (distance <= 1.2 * radius)
    steep_down, steep_right = np.gradient(ndimage.gaussian_filter(grey, 1.0))
    unit = np.maximum(distance, 1e-6)
    across = np.abs(steep_right * down - steep_down * right) / unit
    steepness = np.hypot(steep_down, steep_right)
    return np.array(
        [
            np.log(region.radius * pixel_mm),
            _mean(grey[core]) - _mean(grey[around]),
            float(grey[inside].std()) if inside.any() else 0.0,
            _mean(across[border]) / (_mean(steepness[border]) + 1e-6),
            _mean(grey[breast]),
        ]
    )


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if values.size else 0.0
