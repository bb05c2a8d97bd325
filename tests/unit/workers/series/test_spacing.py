"""What a distance in a projection image is measured at (PS3.3 section 10.7)."""

from __future__ import annotations

import pytest

from models.image import SpacingKind
from tests import dicom
from workers.series.spacing import projection_spacing


@pytest.mark.parametrize(
    ("values", "expected", "kind"),
    [
        ({}, None, SpacingKind.NONE),
        ({"PixelSpacing": ["0", "0"]}, None, SpacingKind.NONE),
        ({"PixelSpacing": ["0.2"]}, None, SpacingKind.NONE),
        ({"ImagerPixelSpacing": ["0.2", "0.3"]}, (1.0, 0.2, 0.3), SpacingKind.DETECTOR),
        ({"PixelSpacing": ["0.2", "0.3"]}, (1.0, 0.2, 0.3), SpacingKind.DETECTOR),
        (
            {"PixelSpacing": ["0.2", "0.3"], "PixelSpacingCalibrationType": "FIDUCIAL"},
            (1.0, 0.2, 0.3),
            SpacingKind.CALIBRATED,
        ),
        (
            {"PixelSpacing": ["0.2", "0.2"], "PixelSpacingCalibrationType": "GEOMETRY", "ImagerPixelSpacing": ["0.25", "0.25"]},
            (1.0, 0.2, 0.2),
            SpacingKind.CALIBRATED,
        ),
        ({"PixelSpacing": ["0.2", "0.2"], "ImagerPixelSpacing": ["0.25", "0.25"]}, (1.0, 0.2, 0.2), SpacingKind.CALIBRATED),
        ({"PixelSpacing": ["0.2", "0.2"], "ImagerPixelSpacing": ["0.2", "0.2"]}, (1.0, 0.2, 0.2), SpacingKind.DETECTOR),
        ({"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.2", "0.2"]}, (1.0, 0.2, 0.2), SpacingKind.DETECTOR),
    ],
)
def test_spacing_of_radiographs(values: dict, expected, kind: SpacingKind) -> None:
    film = dicom.radiograph()
    for keyword, value in values.items():
        setattr(film, keyword, value)
    assert projection_spacing(film) == (expected, kind)
