import numpy as np
import pytest

from models.training.calibration import SURE, WIDEST_BAND, fit_platt, unsure_band
from models.training.metrics import expected_calibration_error


def _drawn(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn with the logistic of twice the logit less one."""
    random = np.random.default_rng(0)
    logits = random.normal(size=count)
    return random.random(count) < 1 / (1 + np.exp(-(2 * logits - 1))), logits


def test_platt_finds_what_labels_were_drawn_with() -> None:
    labels, logits = _drawn()
    platt = fit_platt(labels, logits)
    assert platt.slope == pytest.approx(2, abs=0.2)
    assert platt.offset == pytest.approx(-1, abs=0.15)
    assert expected_calibration_error(labels, platt.probability(logits)) < 0.03


def test_platt_stays_finite_where_classes_part_cleanly() -> None:
    platt = fit_platt(np.array([False] * 20 + [True] * 20), np.array([-1.0] * 20 + [1.0] * 20))
    assert 0.9 < platt.probability(np.array([1.0]))[0] < 0.99


def test_calls_outside_the_band_are_as_right_as_promised() -> None:
    labels, logits = _drawn()
    probabilities = fit_platt(labels, 3 * logits).probability(3 * logits)
    low, high = unsure_band(labels, probabilities)
    assert low < 0.5 < high
    outside = (probabilities < low) | (probabilities > high)
    right = (probabilities >= 0.5) == labels
    assert right[outside].mean() >= SURE - 0.01 or (~outside).mean() >= WIDEST_BAND - 0.02


def test_a_hopeless_classifier_does_not_call_everything_unsure() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random(1000)
    low, high = unsure_band(random.random(1000) < 0.5, probabilities)
    assert ((probabilities > low) & (probabilities < high)).mean() <= WIDEST_BAND + 0.03
