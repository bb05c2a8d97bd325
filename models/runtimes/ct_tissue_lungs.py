"""Right and left lung on a CT: air inside the body that has the density and texture of lung, not of bowel gas or airways."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.runtimes.ct_tissue_body import COARSE_MM, FLAT_MM, Coarse
from models.runtimes.ct_tissue_morphology import Mask, Spacing, closed, dilate, enlarged, erode, labelled, opened

LUNG_HU: Final = -400.0
"""Border of lung, halfway between parenchyma (-850) and chest wall (50)."""
GAS_ABOVE_AIR_HU: Final = 55.0
"""Gas in airways, stomach and bowel is within this of the air around the patient; parenchyma is denser."""
GAS_WALL_SHARE: Final = 0.55
"""Gas that is walled in by tissue over more than this share of its surface is not in the lung (bullae are)."""
SMALLEST_ML: Final = 5.0
SMALLEST_CM2: Final = 3.0
"""Smaller parts are not reported; the second number, over the thickness of the stack, is for a few slices."""
SPREAD_HU: Final = 130.0
"""Interquartile range of the interior of a small part; stool is more mixed than lung (45 to 105)."""
SPREAD_LARGE_HU: Final = 260.0
"""The same for what is surely no bowel; diseased lung is mixed, too."""
SURELY_LUNG_ML: Final = 300.0
FROM_TOP_MM: Final = 20.0
"""Lung smaller than `SURELY_LUNG_ML` goes on above the stack, so it must come this near to its upper end."""
VESSELS_MM: Final = 5.0
"""Gaps narrower than twice this are vessels and belong to the lung."""
LARGEST_CUT_MM: Final = 25.0


def coarse_lungs(coarse: Coarse, body: Mask) -> tuple[Mask, Mask] | None:
    """Right and left lung on the coarse grid.

    Returns
    -------
    tuple or None
        Masks of the right and the left lung, or None where the side of what was found cannot be told (a sagittal slice).
    """
    outer = coarse.hu[~body & (coarse.hu < -900) & (coarse.hu > coarse.hu.min() + 1)]
    air_hu = float(np.clip(np.median(outer), -1030.0, -970.0)) if outer.size > 100 else -1000.0
    lungs = _lung_parts(coarse, body, air_hu)
    if not lungs.any():
        return lungs, lungs.copy()
    if coarse.hu.shape[2] * coarse.spacing_mm[2] < FLAT_MM:
        return None
    return _sides(lungs, coarse, _midline(coarse, body))


def fine_lung(hu: NDArray[np.float32], coarse: Coarse, lung: Mask, other: Mask, spacing_mm: Spacing) -> Mask:
    """One lung on the grid of `hu`, vessels included; `other` is the lung that it must not spread into."""
    filled = closed(lung, VESSELS_MM, coarse.spacing_mm, coarse.plane) & ~other
    inside = enlarged(erode(filled, COARSE_MM, coarse.spacing_mm, coarse.plane), coarse.factors, hu.shape)
    near = enlarged(dilate(lung, COARSE_MM, coarse.spacing_mm, coarse.plane) & ~other, coarse.factors, hu.shape)
    air = near & (hu < LUNG_HU)
    return closed(inside | air, 1.0, spacing_mm, coarse.plane) & near | inside


def _lung_parts(coarse: Coarse, body: Mask, air_hu: float) -> Mask:
    """Components of air in the body that are lung."""
    hollow = body & (coarse.hu < LUNG_HU)
    gas = _walled_gas(coarse, hollow, air_hu)
    hollow &= ~dilate(gas, COARSE_MM, coarse.spacing_mm, coarse.plane)
    # a thin wall blurred over a voxel must not join stomach and lung
    cores = opened(hollow, COARSE_MM, coarse.spacing_mm, coarse.plane)
    labels, sizes = labelled(cores)
    kept = np.zeros(len(sizes), dtype=bool)
    interior = erode(cores, COARSE_MM, coarse.spacing_mm, coarse.plane)
    boxes = ndimage.find_objects(labels)
    for number in range(1, len(sizes)):
        kept[number] = _is_lung(coarse, labels[boxes[number - 1]] == number, interior, boxes[number - 1], air_hu=air_hu)
    lungs = kept[labels]
    return dilate(lungs, COARSE_MM, coarse.spacing_mm, coarse.plane) & hollow


def _walled_gas(coarse: Coarse, hollow: Mask, air_hu: float) -> Mask:
    """Pure gas with a wall of tissue around: trachea and bronchi, stomach, bowel."""
    pure = hollow & (coarse.hu < air_hu + GAS_ABOVE_AIR_HU)
    labels, sizes = labelled(pure)
    walled = np.zeros(len(sizes), dtype=bool)
    reach = [max(1, round(3 * COARSE_MM / step)) if axis in coarse.plane else 1 for axis, step in enumerate(coarse.spacing_mm)]
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        wide = tuple(slice(max(0, part.start - by), part.stop + by) for part, by in zip(box, reach, strict=True))
        own = labels[wide] == number
        near = dilate(own, COARSE_MM, coarse.spacing_mm, coarse.plane)
        shell = dilate(near, 1.5 * COARSE_MM, coarse.spacing_mm, coarse.plane) & ~near
        surface = int(shell.sum())
        walled[number] = surface == 0 or (shell & ~hollow[wide]).sum() > GAS_WALL_SHARE * surface
    return walled[labels]


def _is_lung(coarse: Coarse, own: Mask, interior: Mask, box: tuple[slice, slice, slice], *, air_hu: float) -> bool:
    size = int(own.sum())
    thickness_mm = min(count * step for count, step in zip(coarse.hu.shape, coarse.spacing_mm, strict=True))
    if size * coarse.voxel_ml < min(SMALLEST_ML, SMALLEST_CM2 * thickness_mm / 10.0):
        return False
    deep = own & interior[box]
    values = coarse.hu[box][deep if deep.sum() >= 0.1 * size else own]
    low, median, high = np.percentile(values, [25, 50, 75])
    if not air_hu + GAS_ABOVE_AIR_HU < median < LUNG_HU - 50 and not size * coarse.voxel_ml > 5 * SURELY_LUNG_ML:
        return False
    if high - low > (SPREAD_LARGE_HU if size * coarse.voxel_ml >= SURELY_LUNG_ML else SPREAD_HU):
        return False
    top_mm = (coarse.hu.shape[0] - box[0].stop) * coarse.spacing_mm[0]
    return min(coarse.hu.shape) == 1 or size * coarse.voxel_ml >= SURELY_LUNG_ML or top_mm <= FROM_TOP_MM


def _midline(coarse: Coarse, body: Mask) -> float:
    """Column of the patient's midline: middle of the body, or the spine where the body is cut off at a side."""
    trunk = opened(body, 6 * COARSE_MM, coarse.spacing_mm, coarse.plane)
    trunk = trunk if trunk.any() else body
    profile = trunk.sum(axis=(0, 1)).astype(np.float64)
    columns = np.arange(profile.size)
    middle = float((profile * columns).sum() / profile.sum())
    tall = trunk.any(axis=0).sum(axis=0)
    cut_off = max(tall[0], tall[-1]) > 0.5 * tall.max()
    if not cut_off:
        return middle
    bone = (coarse.hu > 200) & body
    width = max(1, round(40.0 / coarse.spacing_mm[2]))
    spine = ndimage.uniform_filter1d(bone.sum(axis=(0, 1)).astype(np.float64), width, mode="constant")
    return float(np.argmax(spine)) if spine.max() > 0 else middle


def _sides(lungs: Mask, coarse: Coarse, midline: float) -> tuple[Mask, Mask]:
    """Tell right from left; the array's last axis leads to the patient's left."""
    labels, sizes = labelled(lungs)
    columns = np.arange(lungs.shape[2])
    right = np.zeros_like(lungs)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        own = labels[box] == number
        profile = own.sum(axis=(0, 1))
        is_right = columns[box[2]] < midline
        share = profile[is_right].sum() / sizes[number]
        if min(share, 1 - share) > 0.08 and sizes[number] * coarse.voxel_ml > 10:
            right[box] |= _cut(own, coarse, midline - box[2].start)
        elif share > 0.5:
            right[box] |= own
    return right, lungs & ~right


def _cut(joined: Mask, coarse: Coarse, midline: float) -> Mask:
    """The right part of two lungs that touch: shrink until they part, then give each voxel to the nearer one."""
    columns = np.arange(joined.shape[2])
    radius = COARSE_MM
    while radius <= LARGEST_CUT_MM:
        labels, sizes = labelled(erode(joined, radius, coarse.spacing_mm, coarse.plane))
        if len(sizes) < 3:
            radius += COARSE_MM
            continue
        centres = ndimage.center_of_mass(labels > 0, labels, np.arange(1, len(sizes)))
        on_right = np.array([centre[2] < midline for centre in centres])
        big = sizes[1:] > 0.1 * sizes[1:].sum()
        crossing = [
            big[number - 1]
            and min(part := float(((labels == number).sum(axis=(0, 1))[columns < midline]).sum() / sizes[number]), 1 - part) > 0.2
            for number in range(1, len(sizes))
        ]
        if (big & on_right).any() and (big & ~on_right).any() and not any(crossing):
            nearest = ndimage.distance_transform_edt(
                labels == 0, sampling=coarse.spacing_mm, return_distances=False, return_indices=True
            )
            owner = labels[tuple(nearest)]
            side = np.concatenate([[False], on_right])
            return np.asarray(joined & side[owner])
        radius += COARSE_MM
    return joined & (columns < midline)
