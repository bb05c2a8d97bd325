"""The calibration that a manifest states of its findings, beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from models.labels import LONGEST, CalibratedOn, Calibration
from models.manifest import Manifest
from models.manifest_text import inline
from models.training.card import rows_in_words
from models.training.model_folder import as_calibration

LEARNED_FROM: Final = "train"
"""The split whose rows `overread train` reads."""
_PLACES: Final = 4
"""Decimal places that a manifest keeps: one more than a card shows."""


def calibration_of(figures: Mapping[str, Any], images: str, measured_on: CalibratedOn) -> Calibration:
    """The calibration among a finding's figures (`models.training.metrics.classification`), as a manifest states it.

    Parameters
    ----------
    images
        As `models.labels.Calibration.images`.
    """

    def ends(name: str) -> tuple[float, float]:
        low, high = figures[f"{name}_ci"]
        return round(low, _PLACES), round(high, _PLACES)

    return Calibration(
        error=round(figures["expected_calibration_error"], _PLACES),
        interval=ends("expected_calibration_error"),
        bins=figures["calibration_bins"],
        n=figures["n"],
        by_chance=round(figures["calibration_error_by_chance"], _PLACES),
        by_chance_range=ends("calibration_error_by_chance"),
        measured_on=measured_on,
        images=images if len(images) <= LONGEST else images[: LONGEST - 1] + "…",
    )


def to_be_stated(manifest: Manifest, figures: Mapping[str, Any]) -> dict[str, str]:
    """Lines for ``[[findings]]`` of ``model.toml``, by finding, of what `overread evaluate` measured and it does not say yet.

    None where it states the calibration on other images that were not learned from: whoever wrote it chose them.

    Parameters
    ----------
    figures
        Of a labelled folder, as `models.training.evaluation.evaluate` gives them. Those of a part of the images (``view``) are of
        no answer that the model ever gives.
    """
    if "view" in figures or figures["split"] == LEARNED_FROM:
        return {}
    lines = {}
    for finding in manifest.findings:
        if finding.key not in figures["per_label"]:  # a model that outlines too is measured by its outlines
            continue
        measured = calibration_of(figures["per_label"][finding.key], rows_in_words(figures), CalibratedOn.UNSEEN)
        stated = finding.calibration
        chosen = stated is not None and stated.measured_on is CalibratedOn.UNSEEN and stated.images != measured.images
        if stated != measured and not chosen:
            lines[finding.key] = f"calibration = {inline(as_calibration(measured))}"
    return lines
