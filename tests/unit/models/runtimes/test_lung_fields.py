import numpy as np
import pytest
import torch

from models.manifest import library_folder
from models.runtimes.film import Letterbox, window
from models.runtimes.lung_fields import CONTRAST, SIZE, Look, LungFinder, find_fields, show, split_sides, tidy
from tests.unit.models.phantom import chest, lung_masks

WEIGHTS = library_folder() / "cxr-lungs" / "cxr-lungs.safetensors"


def _shown(film: np.ndarray, look: Look) -> torch.Tensor:
    box = Letterbox(film.shape[0], film.shape[1], SIZE)
    return show(box.shrink(window(film)), box, look)


def test_an_evened_film_has_one_contrast_whatever_its_exposure() -> None:
    film = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)
    across = np.linspace(0, 1, SIZE, dtype=np.float32)
    uneven = film * (0.2 + 0.8 * across) + 6 * across
    shown = _shown(uneven, Look.EVENED)[0, 0].numpy()
    for half in (shown[:, : SIZE // 2], shown[:, SIZE // 2 :]):
        assert half.mean() == pytest.approx(0.5, abs=0.05)
        assert half.std() == pytest.approx(CONTRAST, rel=0.5)


def test_looks_leave_the_margin_of_the_square_alone() -> None:
    film = chest(400, 200)
    for look in Look:
        shown = _shown(film, look)
        assert shown.shape == (1, 1, SIZE, SIZE)
        assert float(shown.min()) >= 0
        assert float(shown.max()) <= 1
        assert not shown[..., : SIZE // 4].any()
        assert not shown[..., -SIZE // 4 :].any()


def test_a_brightened_film_is_brighter_between_black_and_white() -> None:
    windowed, brightened = (_shown(chest(), look) for look in (Look.WINDOWED, Look.BRIGHTENED))
    between = (windowed > 0.05) & (windowed < 0.95)
    assert (brightened > windowed)[between].all()


def test_fields_are_the_mean_of_the_looks_and_the_kind_is_that_of_the_windowed_film() -> None:
    film = chest()
    looks = (Look.WINDOWED, Look.EVENED, Look.BRIGHTENED)
    windowed, evened, brightened = (LungFinder(WEIGHTS, looks=(look,)).answer(film) for look in looks)
    assert np.abs(windowed.probabilities - evened.probabilities).max() > 0.05
    both = LungFinder(WEIGHTS, looks=(Look.BRIGHTENED, Look.EVENED)).answer(film)
    assert both.probabilities == pytest.approx((evened.probabilities + brightened.probabilities) / 2, abs=1e-5)
    assert windowed.kinds == pytest.approx(both.kinds, abs=1e-6)
    assert LungFinder(WEIGHTS).answer(film).probabilities == pytest.approx(windowed.probabilities, abs=1e-6)


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
