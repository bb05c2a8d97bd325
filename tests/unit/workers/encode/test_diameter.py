from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from workers.encode.diameter import largest_diameters


def test_a_single_voxel_is_as_large_as_its_diagonal() -> None:
    mask = np.zeros((3, 4, 5), dtype=bool)
    mask[1, 2, 3] = True

    assert largest_diameters(mask, np.diag([2.0, 3.0, 4.0])) == pytest.approx((5.0, np.sqrt(29)))


def test_a_ball_is_as_wide_as_it_is() -> None:
    grid = np.indices((31, 41, 41))
    mask = ((grid[0] - 15) / 10) ** 2 + ((grid[1] - 20) / 15) ** 2 + ((grid[2] - 20) / 15) ** 2 <= 1

    on_slice, in_space = largest_diameters(mask, np.diag([1.5, 1.0, 1.0]))

    assert on_slice == pytest.approx(30, abs=1.5)
    assert in_space == pytest.approx(30, abs=2)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), shape=st.tuples(*[st.integers(1, 5)] * 3), lean=st.floats(-0.8, 0.8))
def test_it_is_the_farthest_pair_of_corners(seed: int, shape: tuple[int, int, int], lean: float) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random(shape) < 0.3
    mask[tuple(generator.integers(0, shape))] = True
    axes = np.diag(generator.uniform(0.3, 4, 3))
    axes[1, 0] = lean

    on_slice, in_space = largest_diameters(mask, axes)

    def corners(voxels: np.ndarray, halves: list[tuple[float, float]]) -> np.ndarray:
        offsets = np.stack(np.meshgrid(*halves), axis=-1).reshape(-1, 3)
        return (voxels[:, None] + offsets).reshape(-1, 3) @ axes.T

    half = (-0.5, 0.5)
    each = [
        pdist(corners(np.argwhere(mask[[index]]), [(0.0, 0.0), half, half])).max() for index in np.flatnonzero(mask.any((1, 2)))
    ]
    assert on_slice == pytest.approx(max(each))
    assert in_space == pytest.approx(pdist(corners(np.argwhere(mask), [half, half, half])).max())
