from __future__ import annotations

import numpy as np

from workers.encode.picture import LONGEST, SHORTEST, Outline, Sheet, draw, windowed

SHEET = Sheet(head=["AI RESULT"], foot=["Image 1 of 3"], edges=("R", "L"))


def image_part(page: np.ndarray, shades: np.ndarray) -> np.ndarray:
    """Where the image lies on the page: the rows that show its lightest column."""
    rows = np.flatnonzero((page[:, page.shape[1] // 2] == shades.max()).all(axis=1))
    return page[rows[0] : rows[-1] + 1]


def test_an_outline_is_drawn_in_its_colour_around_what_it_encloses() -> None:
    shades = np.full((64, 64), 100, dtype=np.uint8)
    mask = np.zeros((64, 64), dtype=bool)
    mask[16:48, 16:48] = True

    page = draw(shades, SHEET, [Outline(mask, (255, 0, 0), "Bone")])

    red = (page == (255, 0, 0)).all(axis=2)
    rows, columns = np.nonzero(red[:, 64:])  # the legend's square lies left of that
    assert (columns.min() + 64, columns.max() + 64) == (16 * 8, 48 * 8 - 1)
    assert rows.max() - rows.min() == 32 * 8 - 1
    middle = (rows.min() + rows.max()) // 2
    assert page[middle, 256].tolist() == [100, 100, 100]
    assert red[:, :64].any()


def test_small_images_grow_and_large_ones_shrink() -> None:
    assert draw(np.zeros((20, 40), np.uint8), SHEET).shape[1] == SHORTEST
    assert draw(np.zeros((1500, 3000), np.uint8), SHEET).shape[1] == LONGEST
    assert draw(np.zeros((30, 3000), np.uint8), SHEET).shape[1] == LONGEST


def test_what_is_round_stays_round() -> None:
    shades = np.full((50, 100), 200, dtype=np.uint8)

    assert image_part(draw(shades, SHEET, pixel_ratio=2.0), shades).shape[0] == SHORTEST


def test_heat_is_seen_where_it_is_and_nowhere_else() -> None:
    shades = np.full((64, 64), 120, dtype=np.uint8)
    heat = np.zeros((64, 64), dtype=np.float32)
    heat[:, 48:] = 1.0

    page = image_part(draw(shades, SHEET, heat=heat), shades)

    assert page[20, 100].tolist() == [120, 120, 120]
    hot = page[20, 450].astype(int)
    assert hot[0] > hot[2] + 30


def test_colour_stays_colour() -> None:
    shades = np.zeros((32, 32, 3), dtype=np.uint8)
    shades[..., 1] = 180

    assert (draw(shades, Sheet(head=["x"]))[260, 256] == (0, 180, 0)).all()


def test_a_long_line_is_broken_and_not_cut() -> None:
    shades = np.zeros((64, 64), dtype=np.uint8)

    assert draw(shades, Sheet(head=["word " * 60])).shape[0] > draw(shades, Sheet(head=["word"])).shape[0] + 40


def test_a_window_is_that_of_the_standard() -> None:
    assert windowed(np.array([-1000.0, -60.0, 39.5, 139.0, 1000.0], np.float32), 40, 200).tolist() == [0, 0, 127, 255, 255]
