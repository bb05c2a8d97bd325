"""Border and background are left, and nothing of the middle."""

import numpy as np
import pytest

from models.image import Image, SpacingKind
from models.training.request import Only
from models.training.shortcuts import show_only


def drawn(middle: float, channels: tuple[int, ...] = ()) -> Image:
    array = np.random.default_rng(0).integers(0, 50, (2, 64, 96, *channels)).astype(np.float32)
    array[:, 8:-8, 12:-12] += middle
    return Image(array, None, None, SpacingKind.NONE)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize(("only", "rows", "columns"), [(Only.BORDER, 2, 3), (Only.BACKGROUND, 8, 12)])
def test_nothing_of_the_middle_is_left(channels: tuple[int, ...], only: Only, rows: int, columns: int) -> None:
    dark, bright = (show_only(drawn(middle, channels), only).array for middle in (0, 150))
    np.testing.assert_array_equal(dark, bright)
    whole = drawn(0, channels).array
    frame = np.ones((64, 96), bool)
    frame[rows:-rows, columns:-columns] = False
    np.testing.assert_array_equal(dark[:, frame], whole[:, frame])
    assert np.ptp(dark[:, ~frame], axis=1).max() == 0


def test_all_is_all() -> None:
    image = drawn(9)
    assert show_only(image, Only.ALL) is image
