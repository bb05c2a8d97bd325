from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workers.encode.contours import contours


def filled(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Even-odd rule at the centres of the pixels."""
    inside = np.zeros(shape, dtype=bool)
    for polygon in polygons:
        for (x0, y0), (x1, y1) in pairwise(polygon):
            if x0 == x1:  # an upright edge turns all pixels right of it
                inside[int(min(y0, y1)) : int(max(y0, y1)), int(x0) :] ^= True
    return inside


def test_a_square_has_four_corners_and_runs_clockwise() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[2:4, 3:6] = True

    (square,) = contours(mask)

    assert square.tolist() == [[6, 2], [6, 4], [3, 4], [3, 2], [6, 2]]


def test_a_hole_has_a_border_of_its_own() -> None:
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False

    assert sorted(len(border) for border in contours(mask)) == [5, 5]
    assert len(contours(mask, smallest=2)) == 1


def test_pixels_that_touch_at_a_corner_are_parted() -> None:
    assert [border.tolist() for border in contours(np.eye(2, dtype=bool))] == [
        [[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]],
        [[2, 1], [2, 2], [1, 2], [1, 1], [2, 1]],
    ]


@settings(deadline=None, max_examples=300)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_filled_again_they_are_the_mask(mask: np.ndarray) -> None:
    polygons = contours(mask)

    assert np.array_equal(filled(polygons, (mask.shape[0], mask.shape[1])), mask)
    for polygon in polygons:
        assert polygon[0].tolist() == polygon[-1].tolist()
        steps = np.diff(polygon, axis=0)
        assert ((steps != 0).sum(axis=1) == 1).all()
