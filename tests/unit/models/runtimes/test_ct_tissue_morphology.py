from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.runtimes.ct_tissue_morphology import (
    block_mean,
    bounding_box,
    closed,
    dilate,
    enlarged,
    erode,
    labelled,
    opened,
    touching,
)

ISOTROPIC = (1.0, 1.0, 1.0)
MASKS = arrays(bool, (5, 9, 8))


def dot() -> np.ndarray:
    mask = np.zeros((11, 21, 21), dtype=bool)
    mask[5, 10, 10] = True
    return mask


def test_grows_by_millimetres_along_each_axis() -> None:
    grown = dilate(dot(), 6.0, (3.0, 1.0, 2.0))

    assert np.ptp(np.argwhere(grown), axis=0).tolist() == [4, 12, 6]


def test_the_grown_shape_is_between_a_diamond_and_a_box() -> None:
    grown = dilate(dot(), 6.0, ISOTROPIC, (1, 2))[5]

    assert grown[10, 16]
    assert grown[4, 10]
    assert not grown[4, 4]
    assert 0.75 * 169 < grown.sum() < 0.95 * 169


@pytest.mark.parametrize("axes", [(1, 2), (0,)])
def test_leaves_other_axes_alone(axes: tuple[int, ...]) -> None:
    grown = dilate(dot(), 3.0, ISOTROPIC, axes)

    extent = np.ptp(np.argwhere(grown), axis=0)
    assert all((extent[axis] == 6) == (axis in axes) for axis in range(3))


@given(MASKS, st.floats(0.5, 3.0))
def test_shrinking_is_growing_of_the_rest_and_order_holds(mask: np.ndarray, radius_mm: float) -> None:
    assert np.array_equal(erode(mask, radius_mm, ISOTROPIC), ~dilate(~mask, radius_mm, ISOTROPIC))
    assert not (opened(mask, radius_mm, ISOTROPIC) & ~mask).any()
    assert not (mask & ~closed(mask, radius_mm, ISOTROPIC)).any()


def test_opening_takes_thin_things_away_and_leaves_thick_ones() -> None:
    mask = np.zeros((1, 30, 30), dtype=bool)
    mask[0, 2:4] = True
    mask[0, 10:25, 5:20] = True

    kept = opened(mask, 3.0, ISOTROPIC, (1, 2))

    assert not kept[0, :6].any()
    assert kept[0, 12:23, 7:18].all()


def test_counts_components_along_the_given_axes_only() -> None:
    mask = np.zeros((2, 3, 3), dtype=bool)
    mask[:, 0, 0] = True
    mask[0, 2, 2] = True

    assert labelled(mask)[1].tolist() == [15, 2, 1]
    assert labelled(mask, (1, 2))[1].tolist() == [15, 1, 1, 1]


def test_keeps_the_components_that_hold_a_seed() -> None:
    mask = np.array([[[1, 1, 0, 1, 0, 1]]], dtype=bool)
    seeds = np.array([[[0, 1, 1, 0, 0, 1]]], dtype=bool)

    assert touching(mask, seeds)[0, 0].tolist() == [True, True, False, False, False, True]


def test_block_means_are_means_even_at_a_cut_off_end() -> None:
    array = np.arange(10, dtype=np.float32).reshape(1, 2, 5)

    assert block_mean(array, (1, 2, 2)).tolist() == [[[3.0, 5.0, 6.5]]]
    assert enlarged(block_mean(array, (1, 2, 2)), (1, 2, 2), array.shape).shape == array.shape


def test_the_box_of_nothing_is_empty() -> None:
    assert np.zeros((3, 3, 3))[bounding_box(np.zeros((3, 3, 3), dtype=bool))].size == 0
    assert bounding_box(dot(), margin=2) == (slice(3, 8), slice(8, 13), slice(8, 13))
