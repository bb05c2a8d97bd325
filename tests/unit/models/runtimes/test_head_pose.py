"""A head of balls where the structures are: how it was turned is told from where they are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.runtimes.head_pose import MIDDLE_MM, PLACES_MM, laying

SIDE = 96
KEYS = ("cerebral_cortex", *PLACES_MM)
RADIUS_MM = 4.0
GRID = np.array([[1.0, 0.0, 0.0, -48.0], [0.0, 0.0, -1.0, 60.0], [0.0, -1.0, 0.0, 48.0], [0.0, 0.0, 0.0, 1.0]])
"""To the left, downwards and to the front, as heads are conformed."""


def turned(degrees: tuple[float, float, float], move_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """A rigid motion: about the axes to the left, backwards and upwards."""
    made = np.eye(4)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        one = np.eye(4)
        first, second = [other for other in range(3) if other != axis]
        one[first, first] = one[second, second] = np.cos(angle)
        one[first, second], one[second, first] = -np.sin(angle), np.sin(angle)
        made = one @ made
    made[:3, 3] = move_mm
    return made


def head(motion: np.ndarray, *, without: tuple[str, ...] = (), scale: float = 1.0) -> np.ndarray:
    """Labels on `GRID` of a head that lay upright, and was then moved."""
    indices = np.indices((SIDE,) * 3).reshape(3, -1)
    back = np.linalg.inv(motion) @ GRID
    points = (back[:3, :3] @ indices).T + back[:3, 3]
    labels = np.zeros(SIDE**3, dtype=np.uint8)
    for key in PLACES_MM.keys() - set(without):
        for side in (1, -1):
            place = np.array(PLACES_MM[key]) * (side, 1, 1) * scale
            labels[((points - place) ** 2).sum(axis=1) < RADIUS_MM**2] = KEYS.index(key) + 1
    return labels.reshape((SIDE,) * 3)


def angle_deg(turn: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip((np.trace(turn[:3, :3]) - 1) / 2, -1, 1))))


def laid(labels: np.ndarray) -> np.ndarray:
    motion = laying(labels, GRID, KEYS)
    assert motion is not None
    return motion


@settings(max_examples=8, deadline=None)
@given(degrees=st.tuples(*[st.floats(-25, 25)] * 3), move_mm=st.tuples(*[st.floats(-6, 6)] * 3))
def test_however_the_head_lies_it_is_laid_upright(
    degrees: tuple[float, float, float], move_mm: tuple[float, float, float]
) -> None:
    lies = turned(degrees, move_mm)

    motion = laid(head(lies))

    after = motion @ lies  # what a place of the upright head becomes
    assert angle_deg(after) < 0.5
    np.testing.assert_allclose((after @ [*MIDDLE_MM, 1.0])[:3], 0, atol=0.4)
    assert np.linalg.det(motion[:3, :3]) == pytest.approx(1.0)


def test_the_same_labels_stored_along_other_axes_give_the_same_motion() -> None:
    labels = head(turned((8, -5, 12)))
    flipped = GRID[:, [2, 0, 1, 3]].copy()
    flipped[:3, 3] += flipped[:3, 0] * (SIDE - 1)
    flipped[:3, 0] *= -1

    again = laying(np.flip(labels.transpose(2, 0, 1), 0), flipped, KEYS)

    np.testing.assert_allclose(again, laid(labels), atol=1e-9)


def test_a_structure_that_is_missing_or_cut_off_bends_nothing() -> None:
    lies = turned((6, -9, 4))
    labels = head(lies, without=("amygdala",))
    hippocampus = KEYS.index("hippocampus") + 1
    labels[0, 0, 0] = hippocampus  # as if it went on beyond the edge

    assert angle_deg(laid(labels) @ lies) < 0.7


def test_a_larger_head_is_laid_like_an_average_one() -> None:
    lies = turned((6, -9, 4))

    assert angle_deg(laid(head(lies, scale=1.12)) @ lies) < 0.7


def test_too_few_structures_tell_nothing() -> None:
    few = tuple(list(PLACES_MM)[4:])

    assert laying(head(np.eye(4), without=few), GRID, KEYS) is None
    assert laying(np.zeros((SIDE,) * 3, dtype=np.uint8), GRID, KEYS) is None
    assert laying(head(np.eye(4)), GRID, ("cerebral_cortex",)) is None


def test_structures_that_do_not_lie_as_in_a_head_tell_nothing() -> None:
    labels = np.zeros((SIDE,) * 3, dtype=np.uint8)
    places = np.random.default_rng(1).integers(5, SIDE - 5, (len(PLACES_MM), 2, 3))
    for number, pair in enumerate(places, start=2):
        for x, y, z in pair:
            labels[x - 3 : x + 3, y - 3 : y + 3, z - 3 : z + 3] = number

    assert laying(labels, GRID, KEYS) is None
    assert laying(head(np.eye(4), scale=1.6), GRID, KEYS) is None
