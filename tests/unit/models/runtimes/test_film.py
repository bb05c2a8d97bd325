import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.runtimes.film import Letterbox, reduce, window
from tests.unit.models.phantom import chest


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (16, -1024), (0.01, 5)])
def test_window_forgets_depth_and_offset(scale: float, offset: float) -> None:
    film = chest()
    assert np.allclose(window(film), window(film * np.float32(scale) + np.float32(offset)), atol=1e-3)


def test_window_does_not_let_a_few_hot_pixels_set_the_scale() -> None:
    film = chest()
    hot = film.copy()
    hot[:5, :5] = 65535
    assert np.abs(window(hot) - window(film))[5:, 5:].mean() < 0.02


def test_window_of_nearly_constant_films() -> None:
    constant = np.full((200, 200), 7, dtype=np.float32)
    assert np.array_equal(window(constant), np.full((200, 200), 0.5))
    constant[0, 0] = 8
    assert window(constant)[0, 0] == 1
    assert window(constant)[1, 1] == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(8, 300), st.integers(8, 300))
def test_what_is_shrunk_and_grown_lies_where_it_lay(rows: int, columns: int) -> None:
    box = Letterbox(rows, columns, 64)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    grown = box.grow(torch.cat([box.shrink(y / rows), box.shrink(x / columns)], 1))
    # A pixel of the square is as wide as max / 64 pixels of the film; at edges the filter sees one side only.
    coarse = 1.5 * max(rows, columns) / 64 + 1
    assert np.abs(grown[0] * rows - y).max() <= coarse
    assert np.abs(grown[1] * columns - x).max() <= coarse


def test_the_rest_of_the_square_is_filled() -> None:
    square = Letterbox(100, 50, 64).shrink(np.ones((100, 50), dtype=np.float32), fill=0.25)
    assert square.shape == (1, 1, 64, 64)
    assert torch.equal(square[0, 0, :, :16], torch.full((64, 16), 0.25))
    assert torch.allclose(square[0, 0, :, 16:48], torch.ones(64, 32))
    assert torch.equal(square[0, 0, :, 48:], torch.full((64, 16), 0.25))


def test_large_films_are_averaged_not_sampled() -> None:
    stripes = np.tile(np.array([0, 1], dtype=np.float32), (3000, 1250))
    square = Letterbox(3000, 2500, 192).shrink(stripes)
    assert torch.allclose(square[0, 0, 5:-5, 20:-20], torch.tensor(0.5), atol=0.02)


def test_reduced_films_keep_their_aspect_and_small_ones_their_pixels() -> None:
    film = chest(1000, 800)
    reduced = reduce(film, 320)
    assert reduced.shape == (320, 256)
    assert reduced.mean() == pytest.approx(film.mean(), rel=0.01)
    small = chest(200, 180)
    assert reduce(small, 320) is small
