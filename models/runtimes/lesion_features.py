"""What a marked region of a mammogram looks like, in five numbers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Region

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]

NAMES: Final = ("log radius", "contrast", "deviation", "across", "breast")
PIXEL_MM: Final = 0.4
"""Greys are compared at this size: films of the training set at 512 pixels."""
AIR: Final = 0.08
"""Scaled greys below it are no breast."""
_MARGIN: Final = 7
"""Pixels around the border whose edges are looked at, so that where the part is cut out changes none of them."""


def describe(pixels: Grey, region: Region, pixel_mm: float) -> NDArray[np.float64]:
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
        As `Spot.describe`.
    """
    factor = factor_of(pixel_mm)
    return Spot(scaled(pixels, factor), enlarged(region, factor)).describe()


def factor_of(pixel_mm: float) -> float:
    """How many times larger an image is made for `PIXEL_MM`; 1 where its pixels are within 2 % of that already."""
    factor = pixel_mm / PIXEL_MM
    return factor if abs(factor - 1) > 0.02 else 1.0


def scaled(pixels: Grey, factor: float) -> Grey:
    """The whole image, so many times larger (`factor_of`), from 0, the darkest, to 1, which one pixel of 200 reaches."""
    grey = ndimage.zoom(pixels, factor, order=1) if factor != 1 else pixels
    low, high = float(grey.min()), float(np.percentile(grey, 99.5))
    scaled: Grey = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
    return scaled


def enlarged(region: Region, factor: float) -> Region:
    """A region in pixels of an image that is so many times larger."""
    return Region(region.row * factor, region.column * factor, region.radius * factor)


def reach(radius: float, factor: float = 1.0) -> float:
    """How far from its middle a region's surroundings go: beyond it nothing is looked at but how bright the breast is.

    Parameters
    ----------
    radius
        In pixels.
    factor
        Their side, as a part of `PIXEL_MM`.
    """
    return 1.6 * radius + 2 / factor


class Spot:
    """A marked region and its surroundings, cut out of a mammogram.

    Parameters
    ----------
    film
        The whole of it, `scaled`.
    region
        In pixels of it.

    Attributes
    ----------
    radius
        Of the region.
    grey
        ``(row, column)``, the part that was cut out.
    down, right
        Of each of its pixels from the region's middle, ``(row, 1)`` and ``(1, column)``.
    distance
        From there.
    """

    def __init__(self, film: Grey, region: Region) -> None:
        self.radius = region.radius
        far = int(np.ceil(max(reach(region.radius), 1.2 * region.radius + _MARGIN))) + 1
        row, column = (max(0, int(middle) - far) for middle in (region.row, region.column))
        self.grey = film[row : int(region.row) + far + 1, column : int(region.column) + far + 1]
        rows, columns = np.ogrid[: self.grey.shape[0], : self.grey.shape[1]]
        self.down, self.right = rows + row - region.row, columns + column - region.column
        self.distance = np.hypot(self.down, self.right)
        breast, here = film[film > AIR], self.grey[self.grey > AIR]
        self._elsewhere = breast.size - here.size, float(breast.sum(dtype=np.float64) - here.sum(dtype=np.float64))

    def describe(self, grey: Grey | None = None) -> NDArray[np.float64]:
        """Describe the disc, in the order of `NAMES`.

        Parameters
        ----------
        grey
            In place of what was cut out, to learn what a part of it adds.

        Returns
        -------
        ndarray
            Logarithm of the radius in mm; brightness of the inner half above that of the surroundings; deviation inside; how far
            edges run across the radius near the border, which spicules do; brightness of the whole breast.
        """
        grey = self.grey if grey is None else grey
        inside, core = self.distance <= self.radius, self.distance <= self.radius / 2
        border = (self.distance > self.radius / 2) & (self.distance <= 1.2 * self.radius)
        steep_down, steep_right = np.gradient(ndimage.gaussian_filter(grey, 1.0))
        across = np.abs(steep_right * self.down - steep_down * self.right) / np.maximum(self.distance, 1e-6)
        steepness = np.hypot(steep_down, steep_right)
        here = grey[grey > AIR]
        pixels, total = self._elsewhere
        return np.array(
            [
                np.log(self.radius * PIXEL_MM),
                _mean(grey[core]) - _mean(grey[self._around(grey)]),
                float(grey[inside].std()) if inside.any() else 0.0,
                _mean(across[border]) / (_mean(steepness[border]) + 1e-6),
                (total + float(here.sum(dtype=np.float64))) / max(1, pixels + here.size),
            ]
        )

    def without(self, gone: Mask) -> Grey:
        """The part with places of it as bright as the surroundings are on the whole: as if nothing of the lesion were there."""
        hidden: Grey = np.where(gone, np.float32(_mean(self.grey[self._around(self.grey)])), self.grey)
        return hidden

    def _around(self, grey: Grey) -> Mask:
        """The surroundings, without air where enough is left."""
        around: Mask = (self.distance > self.radius) & (self.distance <= reach(self.radius))
        breast: Mask = around & (grey > AIR)
        return breast if breast.sum() >= 10 else around


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if values.size else 0.0
