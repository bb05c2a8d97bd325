"""How well a model's probabilities keep their word, in a sentence."""

from __future__ import annotations

from typing import Final

from models.labels import CalibratedOn, Calibration
from workers.encode.language import Speech, message

NOT_MEASURED: Final = message("Calibration not measured.")
_MEASURED: Final = {
    CalibratedOn.UNSEEN: message(
        "Calibration: expected error {error} (95 % {low} to {high}) in {bins} bins on {n} images not learned from ({images})."
    ),
    CalibratedOn.FOLDS: message(
        "Calibration: expected error {error} (95 % {low} to {high}) in {bins} bins on {n} images in cross-validation ({images})."
    ),
}


def calibration_in_words(calibration: Calibration | None, speech: Speech) -> str:
    """One sentence beside a probability; None: that it was not measured."""
    if calibration is None:
        return speech.say(NOT_MEASURED)
    low, high = calibration.interval
    return speech.say(
        _MEASURED[calibration.measured_on],
        error=speech.fixed(calibration.error, 2),
        low=speech.fixed(low, 2),
        high=speech.fixed(high, 2),
        bins=calibration.bins,
        n=calibration.n,
        images=calibration.images,
    )
