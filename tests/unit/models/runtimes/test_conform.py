"""The conformed grid: where voxels go, that they come back, and that storage order does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.runtimes import conform as module
from models.runtimes.conform import conform, labels_on_source
from tests.unit.models.runtimes.test_head_pose import turned

SIDE = 40
SHAPE = (16, 22, 30)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIDE", SIDE)


def affine(spacing_mm: tuple[float, float, float] = (1.5, 1.2, 1.0), turn: float = 0.0) -> np.ndarray:
    """An axial stack, rows backwards, columns to the left, turned about the body's axis by `turn` radians."""
    made = np.eye(4)
    made[:3, 0] = (0, 0, spacing_mm[0])
    made[:3, 1] = np.array((-np.sin(turn), np.cos(turn), 0)) * spacing_mm[1]
    made[:3, 2] = np.array((np.cos(turn), np.sin(turn), 0)) * spacing_mm[2]
    made[:3, 3] = (-12.5, 33.0, 7.25)
    return made


def test_axes_lead_to_the_left_downwards_and_to_the_front() -> None:
    array = np.zeros(SHAPE, dtype=np.float32)
    array[13:, 3:6, 24:27] = 50.0  # above, in front, left

    made = conform(array, affine())

    x, y, z = (int(values.mean()) for values in np.nonzero(made.volume > 0.5))
    assert x > SIDE / 2 > y
    assert z > SIDE / 2


def test_a_bright_voxel_is_where_the_affine_says() -> None:
    array = np.zeros(SHAPE, dtype=np.float32)
    array[5, 9, 20] = 100.0

    made = conform(array, affine((1.0, 1.0, 1.0)))

    place = np.array(np.unravel_index(made.volume.argmax(), made.volume.shape))
    there = (made.affine @ [*place, 1.0])[:3]
    assert np.linalg.norm(there - (affine((1.0, 1.0, 1.0)) @ [5, 9, 20, 1.0])[:3]) <= 0.9


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(3)), flips=st.sets(st.integers(0, 2)), turn=st.floats(-0.6, 0.6))
def test_the_same_voxels_stored_along_other_axes_give_the_same_volume(order: list[int], flips: set[int], turn: float) -> None:
    array = np.random.default_rng(2).random(SHAPE).astype(np.float32)
    there = affine(turn=turn)
    moved = there[:, [*order, 3]].copy()
    for axis in flips:
        moved[:3, 3] += moved[:3, axis] * (SHAPE[order[axis]] - 1)
        moved[:3, axis] *= -1

    made = conform(array, there)
    again = conform(np.flip(array.transpose(order), tuple(flips)), moved)

    np.testing.assert_allclose(again.volume, made.volume, atol=1e-4)
    np.testing.assert_allclose(again.affine, made.affine, atol=1e-9)


def test_labels_come_back_to_the_voxels_they_were_made_of() -> None:
    z, y, x = np.indices(SHAPE)
    truth = (((z - 8) / 5) ** 2 + ((y - 11) / 8) ** 2 + ((x - 15) / 10) ** 2 < 1).astype(np.float32)
    there = affine(turn=0.3)

    made = conform(truth * 100, there)
    back = labels_on_source((made.volume > 0.5).astype(np.uint8), made, there, SHAPE)

    both = np.count_nonzero(back.astype(bool) & (truth > 0))
    assert 2 * both / (back.sum() + truth.sum()) > 0.94


def test_what_lies_outside_the_conformed_volume_has_no_label() -> None:
    there = affine((5.0, 1.0, 1.0))  # 80 mm high, 40 fit

    made = conform(np.ones(SHAPE, dtype=np.float32), there)
    back = labels_on_source(np.ones((SIDE,) * 3, dtype=np.uint8), made, there, SHAPE)

    assert not back[[0, -1]].any()
    assert back[6:10].all()


def test_a_head_that_was_moved_and_is_laid_back_is_seen_as_before() -> None:
    z, y, x = np.indices(SHAPE)
    array = (100 * np.exp(-(((z - 7) / 4) ** 2 + ((y - 12) / 6) ** 2 + ((x - 17) / 5) ** 2))).astype(np.float32)
    moved, back = turned((11.5, -8.6, 17.2), (4.0, -3.0, 2.0)), turned((5.7, 2.9, -11.5), (12.0, -45.0, -19.0))

    straight = conform(array, affine(), back)
    again = conform(array, moved @ affine(), back @ np.linalg.inv(moved))

    assert np.abs(conform(array, affine()).volume - conform(array, moved @ affine()).volume).max() > 0.2
    np.testing.assert_allclose(again.volume, straight.volume, atol=1e-4)
    np.testing.assert_allclose(again.affine, moved @ straight.affine, atol=1e-9)


def test_labels_of_a_laid_head_come_back_to_the_voxels_they_were_made_of() -> None:
    z, y, x = np.indices(SHAPE)
    truth = (((z - 8) / 5) ** 2 + ((y - 11) / 8) ** 2 + ((x - 15) / 10) ** 2 < 1).astype(np.float32)
    middle = (affine() @ [8, 11, 15, 1])[:3]
    motion = turned((17.2, -11.5, 14.3))
    motion[:3, 3] = -motion[:3, :3] @ middle

    made = conform(truth * 100, affine(), motion)
    back = labels_on_source((made.volume > 0.5).astype(np.uint8), made, affine(), SHAPE)

    assert made.volume[SIDE // 2, SIDE // 2, SIDE // 2] == 1.0
    both = np.count_nonzero(back.astype(bool) & (truth > 0))
    assert 2 * both / (back.sum() + truth.sum()) > 0.94


def test_greys_run_from_the_darkest_to_nearly_the_brightest() -> None:
    array = np.random.default_rng(4).uniform(10, 200, SHAPE).astype(np.float32)
    array[8, 11, 15] = 1e6  # a spike

    volume = conform(array, affine()).volume

    assert volume.min() == 0.0
    assert volume.max() == 1.0
    assert 0.3 < np.median(volume[volume > 0]) < 0.7


def test_one_grey_is_dark() -> None:
    assert not conform(np.full(SHAPE, 9.0, dtype=np.float32), affine()).volume.any()
