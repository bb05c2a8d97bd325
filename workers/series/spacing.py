"""What a distance in a projection image is measured at: in the patient, at the detector, or not at all (PS3.3 section 10.7)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from models.image import SpacingKind
from node.store.attributes import numbers, text


def projection_spacing(dataset: Dataset) -> tuple[tuple[float, float, float] | None, SpacingKind]:
    """Read the spacing of an image without a place in the patient.

    Pixel Spacing is calibrated where a calibration type is stated, or where it differs from Imager Pixel Spacing. A Pixel Spacing
    that says neither counts as measured at the detector, which Imager Pixel Spacing always is. Zeros, as some radiographs have
    them, are no spacing.

    Returns
    -------
    tuple
        ``(1.0, between rows, between columns)`` in mm or None, and what it is measured at.
    """
    pixel, imager = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    if pixel is not None:
        stated = text(dataset, "PixelSpacingCalibrationType").upper() in {"GEOMETRY", "FIDUCIAL"}
        differs = imager is not None and any(abs(a - b) > 1e-3 * b for a, b in zip(pixel, imager, strict=True))
        return (1.0, *pixel), SpacingKind.CALIBRATED if stated or differs else SpacingKind.DETECTOR
    if imager is not None:
        return (1.0, *imager), SpacingKind.DETECTOR
    return None, SpacingKind.NONE


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    values = numbers(dataset, keyword)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None
