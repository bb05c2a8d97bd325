"""What is full of contrast medium on a CT (vessels, heart, kidneys, bladder, bowel) and must not be taken for bone.

Bone has a bright rim, its cortex, around a darker inside. A vessel or organ full of contrast is of one brightness and has no
such rim; a few plaques on its wall do not make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.runtimes.ct_tissue_morphology import Mask, Spacing, block_mean, dilate, enlarged, erode, labelled

IN_PLANE_MM: Final = 1.4
"""Pixel size that is enough to judge shapes; finer images are averaged, which also takes their noise away."""
LEVELS_HU: Final = (120.0, 150.0, 190.0, 250.0, 330.0, 450.0)
"""Thresholds at which blobs are looked for; a vessel stands alone at one of them, whatever the phase."""
CORES_MM: Final = (4.0, 7.0)
"""How far inside a blob its core begins; the larger one parts an aorta from the vertebra that it touches."""
RIM_MM: Final = 2.8
CORTEX_RISE_HU: Final = 60.0
CORTEX_HU: Final = 270.0
"""A rim this far above the core, and at least this bright, is cortical bone."""
FALL_HU: Final = 35.0
FALL_SHARE: Final = 0.6
"""Around most of a vessel or organ the image falls off by this much; inside a bone there is more bone around."""
SMALLEST_CORE_ML: Final = 0.15
LEVEL_CORE_ML: Final = 0.5
"""Cores from this size on tell how bright the blood is."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Where contrast medium is, and how bright.

    Parameters
    ----------
    mask
        ``(slice, row, column)``, on the grid of the image.
    level_hu
        The brightest blood or organ; None where there is no contrast medium.
    """

    mask: Mask
    level_hu: float | None


@dataclass(frozen=True, slots=True)
class _Grid:
    hu: NDArray[np.float32]
    brightest_near: NDArray[np.float32]
    spacing_mm: Spacing
    plane: tuple[int, int]

    @property
    def pixel_mm(self) -> float:
        return max(self.spacing_mm[axis] for axis in self.plane)


def find_contrast(hu: NDArray[np.float32], body: Mask, spacing_mm: Spacing, plane: tuple[int, int]) -> Contrast:
    """Find what is full of contrast medium.

    Parameters
    ----------
    hu
        ``(slice, row, column)``, HU.
    body
        The patient, on the same grid.
    plane
        The axes in which shapes are judged.
    """
    sizes = [max(1, round(IN_PLANE_MM / spacing_mm[axis])) if axis in plane else 1 for axis in range(3)]
    factors = (sizes[0], sizes[1], sizes[2])
    spacing = (spacing_mm[0] * factors[0], spacing_mm[1] * factors[1], spacing_mm[2] * factors[2])
    averaged = block_mean(hu, factors)
    if max(factors) == 1:
        for axis in plane:
            averaged = ndimage.gaussian_filter1d(averaged, 0.7 / spacing[axis], axis=axis, truncate=3.0)
    inside = block_mean(body.astype(np.float32), factors) > 0.5
    window = [2 * max(1, round(RIM_MM / spacing[axis])) + 1 if axis in plane else 1 for axis in range(3)]
    grid = _Grid(averaged, ndimage.maximum_filter(averaged, window), spacing, plane)
    found = np.zeros(averaged.shape, dtype=bool)
    levels = []
    for threshold in LEVELS_HU:
        candidates = inside & (averaged > threshold)
        if not candidates.any():
            break
        for core_mm in CORES_MM:
            levels += _add_blobs(found, grid, candidates, threshold, core_mm)
    return Contrast(enlarged(found, factors, hu.shape), max(levels, default=None))


def _add_blobs(found: Mask, grid: _Grid, candidates: Mask, threshold_hu: float, core_mm: float) -> list[float]:
    """Mark the blobs without a cortex in `found`; return how bright the large ones are."""
    cores = erode(candidates, core_mm, grid.spacing_mm, grid.plane)
    labels, sizes = labelled(cores)
    voxel_ml = float(np.prod(grid.spacing_mm)) / 1000.0
    reach = [int((core_mm + 4.0) / grid.spacing_mm[axis]) + 2 if axis in grid.plane else 1 for axis in range(3)]
    levels = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        volume_ml = sizes[number] * voxel_ml
        if volume_ml < SMALLEST_CORE_ML:
            continue
        wide = tuple(slice(max(0, part.start - by), part.stop + by) for part, by in zip(box, reach, strict=True))
        core = labels[wide] == number
        hu = grid.hu[wide]
        low, level, high = np.percentile(hu[core], [25, 50, 75])
        blob = dilate(core, core_mm, grid.spacing_mm, grid.plane) & candidates[wide]
        if high - low > max(50.0, 0.25 * level) or not _stands_alone(hu, blob, level, grid):
            continue
        edge = blob & ~erode(blob, grid.pixel_mm, grid.spacing_mm, grid.plane)
        rim = float(np.median(grid.brightest_near[wide][edge]))
        if rim > level + CORTEX_RISE_HU and rim > CORTEX_HU:
            continue
        plausible = (hu < level + max(80.0, 0.25 * level)) & (hu > threshold_hu - 30.0)
        found[wide] |= dilate(core, core_mm + 1.5, grid.spacing_mm, grid.plane) & plausible
        if volume_ml > LEVEL_CORE_ML:
            levels.append(float(high))
    return levels


def _stands_alone(hu: NDArray[np.float32], blob: Mask, level_hu: float, grid: _Grid) -> bool:
    near = dilate(blob, grid.pixel_mm, grid.spacing_mm, grid.plane)
    shell = dilate(near, 3.0, grid.spacing_mm, grid.plane) & ~near
    return not shell.any() or float((hu[shell] < level_hu - FALL_HU).mean()) >= FALL_SHARE
