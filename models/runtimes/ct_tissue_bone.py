"""Bone on a CT: grown from bright seeds, marrow filled in; contrast medium, discs and the spinal canal left out."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.runtimes.ct_tissue_contrast import Contrast
from models.runtimes.ct_tissue_morphology import (
    Mask,
    Spacing,
    block_mean,
    closed,
    dilate,
    enlarged,
    labelled,
    touching,
)

BONE_HU: Final = 150.0
"""Cancellous bone of an adult begins about here; raised where blood is as bright."""
HIGHEST_BONE_HU: Final = 200.0
ABOVE_BLOOD_HU: Final = 30.0
SEED_HU: Final = 280.0
"""Cortical bone; raised above the blood by `SEED_ABOVE_BLOOD_HU`."""
SEED_ABOVE_BLOOD_HU: Final = 60.0
WALL_MM: Final = 2.5
"""Bright spots this near to contrast medium are plaques of its wall."""
GAP_MM: Final = 2.0
"""Half of the width of gaps in a cortex that are closed."""
MARROW_MM: Final = 7.0
MARROW_HU: Final = 110.0
"""Between cortices less than twice `MARROW_MM` apart, what is brighter than this is cancellous bone."""
AIR_HU: Final = -200.0
LARGEST_HOLE_MM2: Final = 1600.0
"""A larger hole is no marrow (the skull, the pelvis)."""
SMALLEST_ML: Final = 2.0
SMALLEST_ML_PER_MM: Final = 0.05
"""Smaller pieces are calcifications; in a stack of few mm the limit is this times its thickness."""
DISC_BLOCK_MM: Final = 3.5
DISC_HU: Final = (40.0, 135.0)
DISC_OVER_NOISE: Final = 1.8
"""A disc is no rougher than this times muscle."""
SMALLEST_DISC_MM2: Final = 120.0
EDGE_SHARE: Final = 0.35
"""An edge voxel belongs to the bone if it reaches this share of the way from soft tissue (50 HU) to the cortex beside it."""


def find_bone(hu: NDArray[np.float32], body: Mask, contrast: Contrast, spacing_mm: Spacing, plane: tuple[int, int]) -> Mask:
    """Outline the bones.

    Parameters
    ----------
    hu
        ``(slice, row, column)``, HU.
    body, contrast
        On the same grid.
    plane
        The axes in which marrow is enclosed by cortex: the axial plane, or that of a single slice.

    Returns
    -------
    numpy.ndarray
        ``(slice, row, column)``, boolean.
    """
    blood = contrast.level_hu if contrast.level_hu is not None else 0.0
    threshold = min(HIGHEST_BONE_HU, max(BONE_HU, blood + ABOVE_BLOOD_HU))
    free = body & ~contrast.mask
    candidates = free & (_smoothed(hu, 0.3, spacing_mm, plane) > threshold)
    away = ~dilate(contrast.mask, WALL_MM, spacing_mm, plane)
    grown = touching(candidates & away, hu > max(SEED_HU, blood + SEED_ABOVE_BLOOD_HU))
    bone = dilate(grown, 1.5, spacing_mm, plane) & candidates
    bone = closed(bone, GAP_MM, spacing_mm, plane) & free & (hu > AIR_HU)
    bone = _with_marrow(hu, bone, free & away, spacing_mm, plane)
    bone &= ~_discs(hu, bone, body, spacing_mm, plane)
    return _without_specks(_sharpened(hu, bone, spacing_mm, plane), spacing_mm)


def _smoothed(hu: NDArray[np.float32], sigma_mm: float, spacing_mm: Spacing, plane: tuple[int, int]) -> NDArray[np.float32]:
    for axis in plane:
        hu = ndimage.gaussian_filter1d(hu, sigma_mm / spacing_mm[axis], axis=axis, truncate=3.0)
    return hu


def _with_marrow(hu: NDArray[np.float32], bone: Mask, free: Mask, spacing_mm: Spacing, plane: tuple[int, int]) -> Mask:
    """Fill what cortex encloses, but not the spinal canal, a disc or an air cell."""
    holes = _Holes(hu, bone, spacing_mm, plane)
    whole_area = holes.area_of_owner()
    canal = (holes.area > 100) & (holes.area < 700) & (holes.mean > -30) & (holes.mean < 75) & (whole_area > 900)
    kept_out = holes.voxels(canal | (holes.mean < AIR_HU))
    bone = bone | (holes.voxels(np.ones_like(canal)) & ~kept_out)
    spongy = _smoothed(hu, 1.0, spacing_mm, plane) > MARROW_HU
    bone |= closed(bone, MARROW_MM, spacing_mm, plane) & spongy & free & ~kept_out
    rest = _Holes(hu, bone, spacing_mm, plane)
    return np.asarray(bone | (rest.voxels(rest.mean > MARROW_HU) & ~kept_out))


class _Holes:
    """The holes of a mask, plane by plane, and what is in them."""

    def __init__(self, hu: NDArray[np.float32], mask: Mask, spacing_mm: Spacing, plane: tuple[int, int]) -> None:
        self._mask = mask
        self._plane = plane
        self._pixel_mm2 = spacing_mm[plane[0]] * spacing_mm[plane[1]]
        self._labels, sizes = labelled(~mask, plane)
        self.area = sizes * self._pixel_mm2
        self._is_hole = self.area < LARGEST_HOLE_MM2
        for axis in plane:
            for end in (0, -1):
                self._is_hole[np.unique(np.take(self._labels, end, axis=axis))] = False
        self._is_hole[0] = False
        self._inside = self._is_hole[self._labels]
        numbers = self._labels[self._inside]
        values = hu[self._inside].astype(np.float64)
        self.mean = np.bincount(numbers, values, len(sizes)) / np.maximum(sizes, 1)

    def voxels(self, which: NDArray[np.bool_]) -> Mask:
        """Voxels of the holes for which `which` holds."""
        chosen = np.zeros_like(self._mask)
        chosen[self._inside] = which[self._labels[self._inside]]
        return chosen

    def area_of_owner(self) -> NDArray[np.float64]:
        """For each hole, the area of the whole it lies in (mask and holes), mm2."""
        wholes, sizes = labelled(self._mask | self._inside, self._plane)
        owner = np.zeros(self.area.size, dtype=np.int64)
        owner[self._labels[self._inside]] = wholes[self._inside]
        return np.asarray(sizes[owner] * self._pixel_mm2, dtype=np.float64)


def _discs(hu: NDArray[np.float32], bone: Mask, body: Mask, spacing_mm: Spacing, plane: tuple[int, int]) -> Mask:
    """Intervertebral discs inside `bone`: as smooth as muscle, where cancellous bone of the same density is not."""
    sizes = [max(1, round(DISC_BLOCK_MM / spacing_mm[axis])) if axis in plane else 1 for axis in range(3)]
    factors = (sizes[0], sizes[1], sizes[2])
    block_mm = (spacing_mm[0] * factors[0], spacing_mm[1] * factors[1], spacing_mm[2] * factors[2])
    mean = block_mean(hu, factors)
    deviation = np.sqrt(np.maximum(block_mean(np.square(hu), factors) - np.square(mean), 0.0))
    muscle = (mean > 0) & (mean < 100) & (block_mean(body.astype(np.float32), factors) > 0.99)
    if not muscle.any():
        return np.zeros_like(bone)
    smooth = deviation < max(15.0, DISC_OVER_NOISE * float(np.percentile(deviation[muscle], 25)))
    soft = (mean > DISC_HU[0]) & (mean < DISC_HU[1]) & smooth & (block_mean(bone.astype(np.float32), factors) > 0.8)
    labels, counts = labelled(soft, plane)
    large = counts * block_mm[plane[0]] * block_mm[plane[1]] > SMALLEST_DISC_MM2
    large[0] = False
    cores = dilate(large[labels], DISC_BLOCK_MM, block_mm, plane)
    return enlarged(cores, factors, hu.shape) & (_smoothed(hu, 1.0, spacing_mm, plane) < DISC_HU[1])


def _without_specks(bone: Mask, spacing_mm: Spacing) -> Mask:
    labels, sizes = labelled(bone)
    thickness_mm = min(count * step for count, step in zip(bone.shape, spacing_mm, strict=True))
    smallest_ml = min(SMALLEST_ML, SMALLEST_ML_PER_MM * thickness_mm)
    kept = sizes * (float(np.prod(spacing_mm)) / 1000.0) >= smallest_ml
    kept[0] = False
    return np.asarray(kept[labels])


def _sharpened(hu: NDArray[np.float32], bone: Mask, spacing_mm: Spacing, plane: tuple[int, int]) -> Mask:
    """Put the outline halfway up the cortex, and smooth it."""
    window = [2 * max(1, round(2.0 / spacing_mm[axis])) + 1 if axis in plane else 1 for axis in range(3)]
    pixel_mm = max(spacing_mm[axis] for axis in plane)
    edge = bone & dilate(~bone, pixel_mm, spacing_mm, plane)
    cortex = np.minimum(ndimage.maximum_filter(hu, window), 1200.0)
    sharp = bone & ~(edge & (hu < 50.0 + EDGE_SHARE * (cortex - 100.0)))
    neighbours = [3 if axis in plane or spacing_mm[axis] < 2.5 else 1 for axis in range(3)]
    return np.asarray(ndimage.uniform_filter(sharp.astype(np.float32), neighbours, mode="nearest") > 0.5)
