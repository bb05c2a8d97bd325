import numpy as np

from models.runtimes.lung_fields import find_fields, split_sides, tidy
from tests.unit.models.phantom import lung_masks


def test_two_lungs_are_told_apart() -> None:
    left, right = lung_masks()
    found_left, found_right = split_sides(left | right)
    assert np.array_equal(found_left, left)
    assert np.array_equal(found_right, right)


def test_lungs_that_touch_are_cut_at_the_waist() -> None:
    left, right = lung_masks()
    joined = left | right
    joined[190:200] |= (np.arange(360) > 100) & (np.arange(360) < 260)
    found_left, found_right = split_sides(joined)
    assert not (found_left & found_right).any()
    assert np.array_equal(found_left | found_right, joined)
    assert found_left[left].all()
    assert found_right[right].all()


def test_nothing_is_split_into_nothing() -> None:
    left, right = split_sides(np.zeros((10, 10), dtype=bool))
    assert not left.any()
    assert not right.any()


def test_tidy_drops_specks_and_fills_holes() -> None:
    mask = np.zeros((50, 50), dtype=bool)
    mask[10:40, 10:30] = True
    wanted = mask.copy()
    mask[20:25, 15:20] = False
    mask[2:4, 45:48] = True
    assert np.array_equal(tidy(mask), wanted)


def test_fields_do_not_overlap_and_keep_to_the_likelier_side() -> None:
    probabilities = np.zeros((2, 40, 40), dtype=np.float32)
    probabilities[0, 5:35, 2:22] = 0.9
    probabilities[1, 5:35, 18:38] = 0.8
    fields = find_fields(probabilities)
    assert not (fields.left & fields.right).any()
    assert fields.left[10, 20]
    assert fields.right[10, 30]
    assert 0.8 < fields.confidence < 0.9


def test_no_lungs_have_no_confidence() -> None:
    fields = find_fields(np.full((2, 20, 20), 0.3, dtype=np.float32))
    assert fields.confidence == 0
    assert not fields.left.any()
