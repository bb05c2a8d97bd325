import numpy as np
import pytest

from models.training.deletion import blurred, deletion_area, marked, rivals


def test_the_highest_ranked_part_is_marked_and_nothing_else() -> None:
    ranking = np.arange(3600, dtype=np.float32).reshape(60, 60)
    assert np.array_equal(marked(ranking, 0.1), ranking >= 3600 - 360)
    assert marked(np.zeros((60, 60), dtype=np.float32), 0.1).sum() == 360


def test_only_what_lies_within_is_marked() -> None:
    ranking = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    within = np.zeros(ranking.shape, dtype=bool)
    within[20:, 20:] = True
    assert np.array_equal(marked(ranking, 1.0, within), within)
    assert marked(ranking, 0.5, within).sum() == 200
    assert not marked(ranking, 0.5, within)[~within].any()


def test_blurred_places_keep_their_grey_and_lose_their_detail() -> None:
    image = np.random.default_rng(0).random((60, 60)).astype(np.float32)
    gone = np.zeros(image.shape, dtype=bool)
    gone[:6] = True
    replaced = blurred(image, gone)
    assert (replaced[6:] == image[6:]).all()
    assert replaced[:6].std() < 0.2 * image[:6].std()
    assert replaced[:6].mean() == pytest.approx(image[:6].mean(), abs=0.1)


def test_a_ranking_that_knows_beats_those_that_do_not() -> None:
    image = np.random.default_rng(1).random((64, 64)).astype(np.float32) * 0.2
    image[40:50, 10:20] += 0.8

    def rate(gone: np.ndarray) -> float:
        return float(blurred(image, gone)[40:50, 10:20].mean())

    known = np.zeros_like(image)
    known[38:52, 8:22] = 1
    others = rivals(image, 14, seed=3)
    assert set(others) == {"random", "edges"}
    assert deletion_area(rate, known) < deletion_area(rate, others["random"])


def test_rivals_are_as_coarse_as_the_map_and_the_same_again() -> None:
    image = np.random.default_rng(2).random((100, 80)).astype(np.float32)
    first, second = rivals(image, 10, seed=5), rivals(image, 10, seed=5)
    for name, ranking in first.items():
        assert ranking.shape == image.shape
        assert (ranking == second[name]).all()
        assert np.abs(np.diff(ranking, axis=0)).max() < 0.3 * np.ptp(ranking)
    assert rivals(image, 10, seed=6)["random"][0, 0] != pytest.approx(first["random"][0, 0])
