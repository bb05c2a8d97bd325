"""Values of one grid at the voxels of another, that of the nearest voxel."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Values = TypeVar("Values", bound=np.generic)


def at_voxels(
    values: NDArray[Values], way: NDArray[np.float64], shape: tuple[int, int, int]
) -> tuple[NDArray[Values], NDArray[np.bool_]]:
    """Read `values` off at the voxels of another grid.

    Parameters
    ----------
    values
        ``(slice, row, column)``.
    way
        ``(4, 4)``: indices of the other grid to indices of this one.
    shape
        Of the other grid.

    Returns
    -------
    tuple
        The nearest voxel's value, 0 outside; and which voxels of the other grid lie inside of this one. Both have `shape`.
    """
    found = np.zeros(shape, dtype=values.dtype)
    covered = np.zeros(shape, dtype=bool)
    rows, columns = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    plane = way[:3, 1, None, None] * rows + way[:3, 2, None, None] * columns + way[:3, 3, None, None]
    limits = np.asarray(values.shape)[:, None, None]
    for number in range(shape[0]):
        nearest = np.rint(plane + (way[:3, 0] * number)[:, None, None]).astype(np.intp)
        inside = ((nearest >= 0) & (nearest < limits)).all(axis=0)
        found[number][inside] = values[tuple(nearest[:, inside])]
        covered[number] = inside
    return found, covered
