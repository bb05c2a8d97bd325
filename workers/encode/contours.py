"""The outline of a mask as closed polygons along the edges of its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
"""``(n, 2)``: column and row of each corner, the first one again at the end; the top left corner of the image is 0, 0, as in
SCOORD and in presentation states (PS3.3 sections C.18.6.1.2, C.10.5.1.2)."""

Corner = tuple[int, int]
"""Column and row."""
Edge = tuple[Corner, int]
"""Where an edge of a pixel begins, and where it leads: an index of `_TURNS`."""

_TURNS: Final = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Directions (column, row) clockwise; the next one is a turn to the right, towards the inside."""


def contours(mask: NDArray[np.bool_], smallest: int = 1) -> list[Polygon]:
    """Follow every border of a mask.

    Outer borders run clockwise, those of holes the other way. Pixels that touch at a corner alone are parted. Filled by the
    even-odd rule the polygons give the mask again, exactly.

    Parameters
    ----------
    mask
        ``(row, column)``.
    smallest
        Borders that enclose fewer pixels are left out.
    """
    edges = _edges(mask)
    left = {(corner, direction) for corner, directions in edges.items() for direction in directions}
    found = []
    for edge in sorted(left):
        if edge in left:
            polygon = _follow(edge, edges, left)
            if abs(area(polygon)) >= smallest:
                found.append(polygon)
    return found


def _edges(mask: NDArray[np.bool_]) -> dict[Corner, list[int]]:
    """Outgoing directions, as indices of `_TURNS`, at each corner (column, row); the inside is always on the right."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    borders = (
        (inside & ~padded[:-2, 1:-1], 0, (0, 0)),  # above: to the right, from the top left corner
        (inside & ~padded[1:-1, 2:], 1, (1, 0)),  # right: down, from the top right corner
        (inside & ~padded[2:, 1:-1], 2, (1, 1)),  # below: to the left, from the bottom right corner
        (inside & ~padded[1:-1, :-2], 3, (0, 1)),  # left: up, from the bottom left corner
    )
    edges: dict[Corner, list[int]] = {}
    for border, direction, (right, down) in borders:
        for row, column in np.argwhere(border).tolist():
            edges.setdefault((column + right, row + down), []).append(direction)
    return edges


def _follow(first: Edge, edges: Mapping[Corner, Sequence[int]], left: set[Edge]) -> Polygon:
    """Take one closed border out of `left`; corners on a straight line are left out."""
    path = []
    corner, direction = first
    while (corner, direction) in left:
        left.remove((corner, direction))
        corner = (corner[0] + _TURNS[direction][0], corner[1] + _TURNS[direction][1])
        onwards = next(turn % 4 for turn in (direction + 1, direction, direction + 3) if turn % 4 in edges[corner])
        if onwards != direction:
            path.append(corner)
        direction = onwards
    return np.array([*path, path[0]], dtype=np.float64)


def area(polygon: Polygon) -> float:
    """Pixels enclosed: positive where the polygon runs clockwise, around an outer border."""
    columns, rows = polygon[:, 0], polygon[:, 1]
    return float(np.dot(columns[:-1], rows[1:]) - np.dot(columns[1:], rows[:-1])) / 2


def thinned(polygon: Polygon, most: int) -> Polygon:
    """The polygon with at most `most` corners: as it is where it has no more, else without those that matter least.

    Corners go that lie within a distance of the line between those that stay (Douglas and Peucker); the distance is half a pixel
    and grows by half a pixel until few enough are left.
    """
    tolerance, kept = 0.0, polygon
    while len(kept) > most:
        tolerance += 0.5
        kept = polygon[_corners_kept(polygon, tolerance)]
    return kept


def _corners_kept(polygon: Polygon, tolerance: float) -> NDArray[np.bool_]:
    keep = np.zeros(len(polygon), dtype=np.bool_)
    middle = int(np.linalg.norm(polygon - polygon[0], axis=1).argmax())
    keep[[0, middle, -1]] = True
    parts = [(0, middle), (middle, len(polygon) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        (right, down), inner = polygon[last] - polygon[first], polygon[first + 1 : last] - polygon[first]
        length = np.hypot(right, down)  # a border may touch itself at a corner
        away = np.abs(right * inner[:, 1] - down * inner[:, 0]) / length if length else np.linalg.norm(inner, axis=1)
        furthest = first + 1 + int(away.argmax())
        if away.max() > tolerance:
            keep[furthest] = True
            parts += [(first, furthest), (furthest, last)]
    return keep
