from __future__ import annotations

import numpy as np

from models.prediction import Segmentation
from tests.unit.workers.encode.samples import manifest
from workers.encode.key_slices import key_slices
from workers.encode.segments import outlines


def slices(masks: dict[str, np.ndarray], most: int) -> tuple[int, ...]:
    shape = next(iter(masks.values())).shape
    return key_slices(outlines(Segmentation(masks), manifest(), (shape[0], shape[1], shape[2])), most)


def test_the_largest_slice_of_each_structure_comes_first() -> None:
    bone = np.zeros((20, 8, 8), dtype=bool)
    bone[4:9, 0, 0] = True
    bone[6, :4, :4] = True
    body = np.zeros((20, 8, 8), dtype=bool)
    body[2:18, 0, 0] = True
    body[12, :, :] = True

    assert slices({"bone": bone, "body": body}, 2) == (6, 12)


def test_what_room_is_left_is_spread_over_the_extent() -> None:
    bone = np.zeros((30, 4, 4), dtype=bool)
    bone[5:26, 0, 0] = True
    bone[15, :2, :2] = True

    assert slices({"bone": bone}, 3) == (5, 15, 25)


def test_slices_without_an_outline_are_never_chosen() -> None:
    bone = np.zeros((30, 4, 4), dtype=bool)
    bone[[3, 20], 0, 0] = True

    assert slices({"bone": bone}, 8) == (3, 20)
