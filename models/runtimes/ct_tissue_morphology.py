"""Binary morphology in millimetres on anisotropic grids, by shifting: fast enough for a whole CT on one core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
Values = TypeVar("Values", bound=np.generic)


def dilate(mask: Mask, radius_mm: float, spacing_mm: Spacing, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """Grow by `radius_mm` along `axes`; the shape grown with is an octagon, or its equal in three dimensions.

    An axis whose spacing is more than twice the radius is left alone.
    """
    steps = [int(radius_mm / spacing_mm[axis] + 0.5) if axis in axes else 0 for axis in range(3)]
    rounds = max(steps)
    grown = mask.copy()
    for turn in range(rounds):
        due = [axis for axis in range(3) if (turn + 1) * steps[axis] // rounds > turn * steps[axis] // rounds]
        source = grown.copy() if turn % 2 == 0 else None
        for axis in due:
            _spread(grown, axis, source)
    return grown


def erode(mask: Mask, radius_mm: float, spacing_mm: Spacing, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """Shrink by `radius_mm` along `axes`; what lies beyond the array counts as inside."""
    return ~dilate(~mask, radius_mm, spacing_mm, axes)


def opened(mask: Mask, radius_mm: float, spacing_mm: Spacing, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """Without what is thinner than twice `radius_mm`."""
    return dilate(erode(mask, radius_mm, spacing_mm, axes), radius_mm, spacing_mm, axes)


def closed(mask: Mask, radius_mm: float, spacing_mm: Spacing, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """With gaps narrower than twice `radius_mm` filled."""
    return erode(dilate(mask, radius_mm, spacing_mm, axes), radius_mm, spacing_mm, axes)


def labelled(mask: Mask, axes: Sequence[int] = (0, 1, 2)) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Connected components over shared faces along `axes` alone, and the number of voxels of each (index 0: background)."""
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[1, 1, 1] = True
    for axis in axes:
        index = [1, 1, 1]
        for end in (0, 2):
            index[axis] = end
            structure[tuple(index)] = True
    labels = np.empty(mask.shape, dtype=np.int32)
    count = ndimage.label(mask, structure, output=labels)
    sizes = np.bincount(labels[mask], minlength=count + 1).astype(np.int64)
    sizes[0] = mask.size - sizes.sum()
    return labels, sizes


def touching(mask: Mask, seeds: Mask, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """Those components of `mask` that hold a voxel of `seeds`."""
    labels, sizes = labelled(mask, axes)
    kept = np.zeros(len(sizes), dtype=bool)
    kept[labels[seeds & mask]] = True
    kept[0] = False
    return kept[labels]


def block_mean(array: NDArray[np.float32], factors: tuple[int, int, int]) -> NDArray[np.float32]:
    """Mean over blocks of `factors` voxels; blocks cut off at the end are means of what is there."""
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        length = array.shape[axis]
        total = np.zeros([-(-length // factor) if other == axis else size for other, size in enumerate(array.shape)], np.float32)
        counts = np.zeros(total.shape[axis], dtype=np.float32)
        for offset in range(min(factor, length)):
            index: list[slice] = [slice(None)] * 3
            index[axis] = slice(offset, None, factor)
            part = array[tuple(index)]
            index[axis] = slice(0, part.shape[axis])
            total[tuple(index)] += part
            counts[: part.shape[axis]] += 1
        array = total / counts.reshape([-1 if other == axis else 1 for other in range(3)])
    return array


def enlarged(array: NDArray[Values], factors: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[Values]:
    """Each voxel repeated by `factors`, cut to `shape`: the way back from `block_mean`."""
    for axis, factor in enumerate(factors):
        if factor > 1:
            array = np.repeat(array, factor, axis=axis)
    return array[: shape[0], : shape[1], : shape[2]]


def bounding_box(mask: Mask, margin: int = 0) -> tuple[slice, slice, slice]:
    """Smallest box that holds the mask, with `margin` voxels around; empty for an empty mask."""
    found = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        where = np.flatnonzero(mask.any(axis=others))
        found.append(
            slice(max(0, where[0] - margin), min(mask.shape[axis], where[-1] + 1 + margin)) if where.size else slice(0, 0)
        )
    return found[0], found[1], found[2]


def _spread(mask: Mask, axis: int, source: Mask | None) -> None:
    """One step to both sides, in place; from `source` where given (diamond), from the growing mask itself otherwise (box)."""
    ahead = [slice(None)] * 3
    behind = [slice(None)] * 3
    ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
    origin = mask.copy() if source is None else source
    mask[tuple(ahead)] |= origin[tuple(behind)]
    mask[tuple(behind)] |= origin[tuple(ahead)]
