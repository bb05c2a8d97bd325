import numpy as np
import pytest

from models.runtimes.short_axis import Answer
from models.runtimes.ventricle_shape import ellipse, judge


def _disc(radius: float, stretch: float = 1.0) -> np.ndarray:
    rows, columns = np.ogrid[:96, :96]
    return ((rows - 48) / stretch) ** 2 + ((columns - 48) * stretch) ** 2 < radius**2


def _answer(cavity: np.ndarray, within: np.ndarray, sure: float = 0.95, spread: float = 0.02) -> Answer:
    return Answer(np.stack([cavity * sure, within * sure]).astype(np.float32), spread)


def test_a_ring_looks_as_it_should() -> None:
    look = judge(_answer(_disc(15), _disc(22)), _disc(15), _disc(22))
    assert look is not None
    assert look.usual


@pytest.mark.parametrize(
    ("cavity", "within", "changes", "words"),
    [
        (_disc(15), _disc(22), {"sure": 0.6}, "not sure"),
        (_disc(15), _disc(22), {"spread": 0.5}, "do not agree on its size"),
        (_disc(15, 1.7), _disc(30, 1.7), {}, "times as long as wide"),
        (_disc(15), _disc(15), {}, "no wall around it"),
        (_disc(15) & ~np.roll(_disc(12), 12, 1), _disc(22), {}, "not smooth"),
    ],
)
def test_what_is_unusual_is_said(cavity: np.ndarray, within: np.ndarray, changes: dict[str, float], words: str) -> None:
    look = judge(_answer(cavity, within, **changes), cavity, within)
    assert look is not None
    assert not look.usual
    assert words in look.fault


def test_few_pixels_have_no_shape() -> None:
    assert judge(_answer(_disc(3), _disc(8)), _disc(3), _disc(8)) is None
    assert judge(None, _disc(15), _disc(22)) is None


def test_an_ellipse_fills_its_ellipse() -> None:
    filled, long = ellipse(_disc(16, 1.3))
    assert filled == pytest.approx(1, abs=0.03)
    assert long == pytest.approx(1.69, abs=0.05)
