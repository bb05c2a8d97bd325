"""The largest distance between two points of an outline, on a slice and in space, in mm."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

Points = NDArray[np.float64]


def largest_diameters(mask: NDArray[np.bool_], axes_mm: NDArray[np.float64]) -> tuple[float, float]:
    """Largest diameter within one slice, and in space.

    Voxels count with their whole extent, corner to corner. Both ends lie on the outline; the line between them may leave it.

    Parameters
    ----------
    mask
        ``(slice, row, column)``, not empty.
    axes_mm
        ``(3, 3)``: its columns are the steps from slice to slice, row to row and column to column, mm; they need not be at
        right angles.
    """
    on_slice = 0.0
    ends = []
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        corners = _hull(_corners(mask[index]))
        on_slice = max(on_slice, _farthest(corners @ axes_mm[:, 1:].T))
        ends.append(np.column_stack((np.full(len(corners), float(index)), corners)))
    faces = np.concatenate(ends)
    first, last = faces.copy(), faces.copy()
    first[:, 0] -= 0.5
    last[:, 0] += 0.5
    return on_slice, _farthest(_hull(np.concatenate((first, last))) @ axes_mm.T)


def _corners(plane: NDArray[np.bool_]) -> Points:
    """Corners of the first and last pixel of each row, ``(n, 2)`` rows and columns: all that a convex hull rests on."""
    rows = np.flatnonzero(plane.any(axis=1))
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - 1 - plane[rows, ::-1].argmax(axis=1)
    return np.concatenate(
        [
            np.column_stack((rows + down, edge + right))
            for down, (edge, right) in product((-0.5, 0.5), ((first, -0.5), (last, 0.5)))
        ]
    )


def _hull(points: Points) -> Points:
    return np.asarray(points[ConvexHull(points).vertices])


def _farthest(points: Points) -> float:
    return float(pdist(points).max())
