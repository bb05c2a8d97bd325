import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.training.metrics import (
    bootstrap_interval,
    calibration_by_chance,
    classification,
    dice,
    expected_calibration_error,
    recalls,
    roc_auc,
    segmentation,
)


def test_dice_by_hand() -> None:
    a, b = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    assert dice(a, b) == 1
    a[0, :3] = True
    assert dice(a, b) == 0
    b[0, 1:4] = True
    assert dice(a, b) == pytest.approx(2 / 3)


def test_probabilities_that_keep_their_word_have_no_calibration_error() -> None:
    probabilities = np.repeat([0.1, 0.5, 0.9], 100)
    labels = np.concatenate([np.arange(100) < 10, np.arange(100) < 50, np.arange(100) < 90])
    assert expected_calibration_error(labels, probabilities, bins=3) == pytest.approx(0)
    assert expected_calibration_error(labels, np.full(300, 0.9), bins=1) == pytest.approx(0.4)


def test_few_rows_show_an_error_of_calibration_where_there_is_none() -> None:
    random = np.random.default_rng(3)
    few, many = random.random(150), random.random(15_000)
    mean, (low, high) = calibration_by_chance(few)
    assert 0.04 < mean < 0.12
    assert low < mean < high
    assert calibration_by_chance(many)[0] == pytest.approx(mean / 10, rel=0.2)
    assert calibration_by_chance(np.repeat([0.0, 1.0], 75)) == (0, (0, 0))
    figures = classification(random.random(150) < few, few, [str(index) for index in range(150)], 0.5, None)
    assert figures["calibration_error_by_chance"] == mean
    assert low < figures["expected_calibration_error"] < high  # type: ignore[operator]


def test_an_interval_over_patients_is_wider_than_over_films() -> None:
    random = np.random.default_rng(0)
    values = np.repeat(random.normal(size=20), 10)
    mean = lambda rows: float(values[rows].mean())  # noqa: E731
    by_patient = bootstrap_interval(mean, [str(index // 10) for index in range(200)])
    by_film = bootstrap_interval(mean, [str(index) for index in range(200)])
    assert by_patient[0] < by_film[0] < values.mean() < by_film[1] < by_patient[1]


def test_figures_of_a_finding() -> None:
    random = np.random.default_rng(1)
    labels = random.random(200) < 0.5
    probabilities = np.clip(labels * 0.6 + random.random(200) * 0.4, 0, 1)
    figures = classification(labels, probabilities, [str(index) for index in range(200)], 0.5, (0.35, 0.5))
    assert figures["auroc"] == 1
    assert figures["balanced_accuracy"] == 1
    assert figures["n"] == 200
    assert figures["n_positive"] == labels.sum()
    assert figures["unsure_share"] == pytest.approx(((probabilities > 0.35) & (probabilities < 0.5)).mean())
    guess = classification(labels, random.random(200), [str(index) for index in range(200)], 0.5, None)
    low, high = guess["auroc_ci"]  # type: ignore[misc]
    assert low < 0.5 < high


def test_figures_of_an_outline() -> None:
    scores = np.linspace(0.8, 1.0, 21)
    figures = segmentation(scores, [str(index) for index in range(21)])
    assert figures["dice"] == pytest.approx(0.9)
    assert figures["dice_min"] == pytest.approx(0.8)
    assert figures["dice_p05"] == pytest.approx(0.81)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=4, max_size=60))
def test_figures_are_those_of_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra train")
    labels, scores = np.array([label for label, _ in rows]), np.array([score / 10 for _, score in rows])
    if not 0 < labels.sum() < labels.size:
        assert np.isnan(roc_auc(labels, scores))
        return
    assert roc_auc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert sum(recalls(labels, scores >= 0.5)) / 2 == pytest.approx(metrics.balanced_accuracy_score(labels, scores >= 0.5))
