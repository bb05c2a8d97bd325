import numpy as np
import pytest
from scipy import ndimage

from models.runtimes.lateral_view import MOST_LATERAL, between, looks_lateral, mirrored, uneven
from models.runtimes.lung_fields import SIZE, LungFields


def _ellipse(row: float, column: float, high: float, wide: float) -> np.ndarray:
    rows, columns = np.indices((SIZE, SIZE))
    drawn: np.ndarray = ((rows - row) / high) ** 2 + ((columns - column) / wide) ** 2 < 1
    return drawn


def _fields(left: np.ndarray, right: np.ndarray) -> LungFields:
    return LungFields(left, right & ~left, 0.9)


PAIR = _fields(_ellipse(96, 55, 60, 25), _ellipse(96, 137, 60, 25))


@pytest.mark.parametrize("probability", [0.0, 0.3])
def test_what_lies_between_the_fields_is_measured_and_nothing_else(probability: float) -> None:
    probabilities = np.full((2, SIZE, SIZE), 0.9, dtype=np.float32)
    band = np.zeros((SIZE, SIZE), dtype=bool)
    for row in np.flatnonzero(PAIR.left.any(axis=1)):
        band[row, np.flatnonzero(PAIR.left[row])[-1] + 1 : np.flatnonzero(PAIR.right[row])[0]] = True
    probabilities[:, band] = probability
    assert between(PAIR, probabilities) == pytest.approx(probability)


def test_the_likelier_of_the_two_lungs_counts() -> None:
    probabilities = np.stack([np.full((SIZE, SIZE), 0.1), np.full((SIZE, SIZE), 0.4)]).astype(np.float32)
    assert between(PAIR, probabilities) == pytest.approx(0.4)
    assert between(PAIR, probabilities[::-1]) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("left", "right"),
    [(np.s_[20:150, 20:96], np.s_[20:150, 96:170]), (np.s_[20:80, 20:80], np.s_[90:150, 110:170])],
    ids=["touching", "one below the other"],
)
def test_fields_with_no_place_between_them_are_not_parted(left: tuple[slice, slice], right: tuple[slice, slice]) -> None:
    fields = _fields(np.zeros((SIZE, SIZE), dtype=bool), np.zeros((SIZE, SIZE), dtype=bool))
    fields.left[left] = fields.right[right] = True
    assert between(fields, np.zeros((2, SIZE, SIZE), dtype=np.float32)) == 1


def test_equal_fields_mirror_each_other() -> None:
    assert mirrored(PAIR) > 0.99


@pytest.mark.parametrize("degrees", [-15, 8, 15])
def test_a_turned_film_measures_as_it_would_upright(degrees: float) -> None:
    pair = _fields(_ellipse(96, 55, 60, 25), _ellipse(106, 137, 50, 30))
    sides = (ndimage.rotate(side.astype(np.float32), degrees, reshape=False, order=1) > 0.5 for side in (pair.left, pair.right))
    assert mirrored(_fields(*sides)) == pytest.approx(mirrored(pair), abs=0.02)


def test_fields_of_other_shape_do_not_mirror_each_other() -> None:
    triangle = (
        np.tril(np.ones((SIZE, SIZE), dtype=bool)) & (np.indices((SIZE, SIZE))[1] < 80) & (np.indices((SIZE, SIZE))[0] < 150)
    )
    assert mirrored(_fields(triangle, _ellipse(110, 137, 60, 20))) < 0.77


def test_a_white_lung_beside_a_dark_one_is_uneven() -> None:
    film = np.where(PAIR.left, 0.3, 0.9).astype(np.float32)
    film[PAIR.right] = 0.7
    assert uneven(PAIR, film) == pytest.approx(0.4)
    assert uneven(LungFields(PAIR.right, PAIR.left, 0.9), film) == pytest.approx(0.4)


def test_a_usual_frontal_film_looks_once_as_lateral_as_usual() -> None:
    assert looks_lateral(1 / (1 + 1e-4), 0.037, 0.9, 0.0) == pytest.approx(1, rel=1e-3)


def test_each_sign_adds_to_what_makes_a_lateral_view() -> None:
    usual = looks_lateral(0.9999, 0.04, 0.9, 0.0)
    assert looks_lateral(0.9, 0.04, 0.9, 0.0) > 5 * usual
    assert looks_lateral(0.9999, 0.08, 0.9, 0.0) == pytest.approx(2 * usual)
    assert looks_lateral(0.9999, 0.04, 0.7, 0.0) == pytest.approx(3 * usual)
    assert looks_lateral(0.9999, 0.04, 0.9, 0.15) == pytest.approx(usual / 2)


@pytest.mark.parametrize(
    ("upright", "lung_between", "overlap", "difference", "lateral"),
    [
        (1.0, 0.0, 1.0, 0.0, False),
        (0.30, 0.04, 0.9, 0.0, False),
        (1.0, 0.30, 0.9, 0.0, False),
        (1.0, 0.04, 0.3, 0.0, False),
        (0.95, 0.12, 0.8, 0.3, False),
        (0.95, 0.12, 0.8, 0.02, True),
        (0.50, 0.12, 0.7, 0.1, True),
        (0.25, 0.16, 0.87, 0.05, True),
        (1.0, 0.25, 0.4, 0.0, True),
        (0.0, 0.12, 0.7, 0.0, True),
    ],
)
def test_one_sign_alone_makes_no_lateral_view_and_neither_does_one_white_lung(
    upright: float, lung_between: float, overlap: float, difference: float, lateral: bool
) -> None:
    assert (looks_lateral(upright, lung_between, overlap, difference) > MOST_LATERAL) is lateral
