from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.runtimes.patient_frame import patient_frame

SHAPE = (4, 5, 6)


def affine_of(order: tuple[int, ...], signs: tuple[int, ...], tilt_deg: float = 0.0) -> np.ndarray:
    """Array axis i leads along LPS axis ``order[i]``, tilted about the first LPS axis."""
    affine = np.eye(4)
    angle = np.deg2rad(tilt_deg)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    for axis in range(3):
        direction = np.zeros(3)
        direction[order[axis]] = signs[axis] * (axis + 1.5)
        affine[:3, axis] = tilt @ direction
    affine[:3, 3] = (11.0, -7.0, 300.0)
    return affine


ORDERS = st.sampled_from(list(permutations(range(3))))
SIGNS = st.tuples(*[st.sampled_from([-1, 1])] * 3)


@given(ORDERS, SIGNS, st.floats(-40, 40), st.sampled_from(["SPL", "RAS"]))
def test_turning_there_and_back_changes_nothing_and_each_voxel_keeps_its_place(order, signs, tilt_deg, directions) -> None:
    affine = affine_of(order, signs, tilt_deg)
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)

    frame = patient_frame(affine, SHAPE, directions)
    turned = frame.turn(array)

    assert np.array_equal(frame.turn_back(turned), array)
    index = np.array([1, 2, 3])
    there = np.argwhere(turned == array[tuple(index)])[0]
    assert np.allclose((frame.affine @ np.append(there, 1))[:3], (affine @ np.append(index, 1))[:3])
    assert np.allclose(sorted(frame.spacing_mm), [1.5, 2.5, 3.5])


@given(ORDERS, SIGNS, st.floats(-40, 40))
def test_the_axes_lead_up_back_and_left(order, signs, tilt_deg) -> None:
    frame = patient_frame(affine_of(order, signs, tilt_deg), SHAPE, "SPL")

    assert frame.affine[2, 0] > 0
    assert frame.affine[1, 1] > 0
    assert frame.affine[0, 2] > 0


def test_an_axial_stack_as_stored_is_left_as_it_is() -> None:
    frame = patient_frame(affine_of((2, 1, 0), (1, 1, 1)), SHAPE)

    assert frame.order == (0, 1, 2)
    assert frame.flipped == (False, False, False)


def test_ras_leads_to_the_right_to_the_front_and_up() -> None:
    frame = patient_frame(affine_of((2, 1, 0), (1, 1, 1)), SHAPE, "RAS")

    assert frame.affine[0, 0] < 0
    assert frame.affine[1, 1] < 0
    assert frame.affine[2, 2] > 0


@pytest.mark.parametrize("letter", ["X", "l"])
def test_knows_the_patients_directions_only(letter: str) -> None:
    with pytest.raises(KeyError):
        patient_frame(np.eye(4), SHAPE, letter * 3)
