"""The patient's body on a CT, without the table, clothes and the air around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.runtimes.ct_tissue_morphology import (
    Mask,
    Spacing,
    block_mean,
    closed,
    dilate,
    enlarged,
    erode,
    labelled,
    opened,
    touching,
)

TISSUE_HU: Final = -300.0
"""Above: tissue; halfway between fat (-100) and what clothes and blankets reach (-500)."""
OUTER_AIR_HU: Final = -930.0
"""Below: air around the patient; lung parenchyma cut off by the field of view lies above."""
NARROW_SHARE: Final = 0.2
"""A field of view is narrow where more than this share of its border is tissue."""
PURE_AIR_SHARE: Final = 0.3
"""Air around the patient is pure in more than this share; lung is in less."""
COARSE_MM: Final = 2.5
THINNEST_MM: Final = 5.0
"""Half of the thickness below which something is no part of the body: table tops, clothes, tubes."""
SMALLEST_ML: Final = 15.0
SMALLEST_SHARE: Final = 0.02
"""A part (an arm, a hand) must reach this share of the largest part."""
FLAT_MM: Final = 30.0
"""A stack thinner than this along an axis is looked at in the plane across it."""


@dataclass(frozen=True, slots=True)
class Coarse:
    """The same image on a grid of about `COARSE_MM`, where shapes are judged.

    Parameters
    ----------
    hu
        ``(slice, row, column)`` block means, HU.
    factors
        Voxels of the fine grid in one coarse voxel, along each axis.
    spacing_mm
        Of the coarse grid.
    plane
        The two axes in which holes are filled: the axial plane, or the plane of a stack that is too thin for it.
    """

    hu: NDArray[np.float32]
    factors: tuple[int, int, int]
    spacing_mm: Spacing
    plane: tuple[int, int]

    @property
    def voxel_ml(self) -> float:
        """Volume of a coarse voxel, ml."""
        return float(np.prod(self.spacing_mm)) / 1000.0


def make_coarse(hu: NDArray[np.float32], spacing_mm: Spacing) -> Coarse:
    """Average `hu`, whose axes run upwards, backwards and to the left, to about `COARSE_MM`."""
    sizes = [max(1, round(COARSE_MM / step)) for step in spacing_mm]
    factors = (sizes[0], sizes[1], sizes[2])
    extent = [count * step for count, step in zip(hu.shape, spacing_mm, strict=True)]
    thin = int(np.argmin(extent))
    across = thin if extent[thin] < FLAT_MM else 0
    plane = tuple(axis for axis in range(3) if axis != across)
    coarse_mm = (spacing_mm[0] * factors[0], spacing_mm[1] * factors[1], spacing_mm[2] * factors[2])
    return Coarse(block_mean(hu, factors), factors, coarse_mm, (plane[0], plane[1]))


def coarse_body(coarse: Coarse) -> Mask:
    """The body on the coarse grid, with lungs, bowel gas and all other cavities; all false where there is none."""
    tissue = coarse.hu > TISSUE_HU
    core = _patient_parts(tissue, coarse)
    tissue &= dilate(core, COARSE_MM, coarse.spacing_mm, coarse.plane)
    filled = _filled(tissue, coarse)
    return opened(filled, COARSE_MM, coarse.spacing_mm, coarse.plane) | core


def fine_body(hu: NDArray[np.float32], coarse: Coarse, body: Mask) -> Mask:
    """The body on the grid of `hu`: its outline is that of the tissue itself."""
    shape = hu.shape
    inside = enlarged(erode(body, COARSE_MM, coarse.spacing_mm, coarse.plane), coarse.factors, shape)
    near = enlarged(dilate(body, COARSE_MM, coarse.spacing_mm, coarse.plane), coarse.factors, shape)
    return inside | (near & (hu > TISSUE_HU))


def _patient_parts(tissue: Mask, coarse: Coarse) -> Mask:
    """Trunk, head and limbs: what is thick, large and mostly soft tissue."""
    # cavities are closed first, or a chest wall over a lung would count as thin
    solid = opened(_filled(tissue, coarse), THINNEST_MM, coarse.spacing_mm, coarse.plane)
    labels, sizes = labelled(solid)
    if len(sizes) < 2:
        return np.zeros_like(tissue)
    soft = (coarse.hu > -200) & (coarse.hu < 200)
    bright = coarse.hu > TISSUE_HU
    soft_counts = np.bincount(labels[soft], minlength=len(sizes))
    bright_counts = np.bincount(labels[bright], minlength=len(sizes))
    flat = coarse.hu.shape[0] == 1 or min(coarse.hu.shape) == 1
    smallest = SMALLEST_SHARE * sizes[1:].max()
    if not flat:
        smallest = max(smallest, SMALLEST_ML / coarse.voxel_ml)
    kept = (sizes >= smallest) & (soft_counts > 0.6 * bright_counts) & (bright_counts > 0.1 * sizes)
    kept[0] = False
    return np.asarray(kept[labels])


def _filled(tissue: Mask, coarse: Coarse) -> Mask:
    """All that is not air around the patient, seen plane by plane."""
    air = ~tissue
    padding = touching(coarse.hu <= coarse.hu.min() + 1.0, _frame(air, coarse.plane), coarse.plane)
    edge = _frame(air, coarse.plane) | dilate(padding, COARSE_MM, coarse.spacing_mm, coarse.plane)
    open_air = air & ~padding
    outside = touching(open_air, edge & (coarse.hu < OUTER_AIR_HU), coarse.plane)
    outside &= ~_cut_lungs(outside, edge & ~padding, tissue, coarse)
    # a gap in the outline of less than 5 mm (between two ribs of a thin patient, noise) is no way in
    return closed(~(outside | padding), COARSE_MM, coarse.spacing_mm, coarse.plane)


def _cut_lungs(outside: Mask, edge: Mask, tissue: Mask, coarse: Coarse) -> Mask:
    """Lung that reaches the border of a narrow field of view, where much of the border is tissue: it is not air around."""
    border = edge.sum(axis=coarse.plane, keepdims=True)
    narrow = (edge & tissue).sum(axis=coarse.plane, keepdims=True) > NARROW_SHARE * border
    labels, sizes = labelled(outside & narrow, coarse.plane)
    pure = np.bincount(labels[outside & (coarse.hu < OUTER_AIR_HU)], minlength=len(sizes))
    lung = pure < PURE_AIR_SHARE * sizes
    lung[0] = False
    return np.asarray(lung[labels])


def _frame(like: Mask, plane: tuple[int, int]) -> Mask:
    """The outermost voxels of each plane."""
    frame = np.zeros_like(like)
    for axis in plane:
        for end in (0, -1):
            index: list[slice | int] = [slice(None)] * 3
            index[axis] = end
            frame[tuple(index)] = True
    return frame
