import numpy as np
import pytest

from models.training.deletion import delete, deletion_area, rivals


def test_the_highest_ranked_part_is_blurred_and_nothing_else() -> None:
    image = np.random.default_rng(0).random((60, 60)).astype(np.float32)
    ranking = np.zeros_like(image)
    ranking[:6] = 1
    deleted = delete(image, ranking, 0.1)
    assert (deleted[6:] == image[6:]).all()
    assert deleted[:6].std() < 0.2 * image[:6].std()


def test_only_what_lies_within_is_taken_away() -> None:
    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    within = np.zeros(image.shape, dtype=bool)
    within[20:, 20:] = True
    deleted = delete(image, image, 1.0, within)
    assert (deleted[~within] == image[~within]).all()
    assert (deleted[within] != image[within]).all()


def test_a_ranking_that_knows_beats_those_that_do_not() -> None:
    image = np.random.default_rng(1).random((64, 64)).astype(np.float32) * 0.2
    image[40:50, 10:20] += 0.8

    def rate(shown: np.ndarray) -> float:
        return float(shown[40:50, 10:20].mean())

    known = np.zeros_like(image)
    known[38:52, 8:22] = 1
    others = rivals(image, 14, seed=3)
    assert set(others) == {"random", "edges"}
    assert deletion_area(rate, image, known) < deletion_area(rate, image, others["random"])


def test_rivals_are_as_coarse_as_the_map_and_the_same_again() -> None:
    image = np.random.default_rng(2).random((100, 80)).astype(np.float32)
    first, second = rivals(image, 10, seed=5), rivals(image, 10, seed=5)
    for name, ranking in first.items():
        assert ranking.shape == image.shape
        assert (ranking == second[name]).all()
        assert np.abs(np.diff(ranking, axis=0)).max() < 0.3 * np.ptp(ranking)
    assert rivals(image, 10, seed=6)["random"][0, 0] != pytest.approx(first["random"][0, 0])
