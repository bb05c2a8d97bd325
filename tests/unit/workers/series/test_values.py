"""Stored values become values with a meaning."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from node.store.errors import Refused
from tests import dicom
from workers.series.values import Conversion, conversion_of, has_rescale

STORED = np.array([[0, 1], [2000, 4095]], dtype=np.uint16)


def film(**values: object) -> Dataset:
    dataset = dicom.radiograph(STORED)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_slope_and_intercept_are_applied() -> None:
    assert np.array_equal(Conversion(2.0, -3.0).apply(STORED), STORED * 2.0 - 3)
    assert STORED[0, 0] == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, STORED),
        ({"PhotometricInterpretation": "MONOCHROME1"}, 4095 - STORED.astype(float)),
        ({"PresentationLUTShape": "INVERSE"}, 4095 - STORED.astype(float)),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, 4095 - STORED.astype(float)),
        (
            {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": "2", "RescaleIntercept": "10"},
            (4095 - STORED.astype(float)) * 2 + 10,
        ),
    ],
)
def test_brighter_is_higher_in_projections(values: dict, expected: np.ndarray) -> None:
    assert np.array_equal(conversion_of(film(**values), 0, projection=True).apply(STORED), expected)


def test_signed_values_are_mirrored_about_the_middle() -> None:
    dataset = film(PhotometricInterpretation="MONOCHROME1", PixelRepresentation=1)
    turned = conversion_of(dataset, 0, projection=True).apply(np.array([[-2048, 2047]], dtype=np.int16))
    assert turned.tolist() == [[2047, -2048]]


def test_a_modality_lut_goes_before_all(tmp_path) -> None:
    lut = Dataset()
    lut.LUTDescriptor, lut.ModalityLUTType = [4, 0, 16], "US"
    lut.LUTData = [10, 20, 30, 65535]
    dataset = film(ModalityLUTSequence=[lut])
    assert has_rescale(dataset, 0)
    converted = conversion_of(dataset, 0, projection=False).apply(np.array([[0, 1], [2, 3]], dtype=np.uint16))
    assert converted.tolist() == [[10, 20], [30, 65535]]


def test_a_slope_of_zero_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        conversion_of(film(RescaleSlope="0", RescaleIntercept="0"), 0, projection=False)
    assert caught.value.code == "bad-rescale"


def test_half_a_rescale_is_none() -> None:
    dataset = film(RescaleSlope="2")
    assert not has_rescale(dataset, 0)
    assert conversion_of(dataset, 0, projection=False) == Conversion()


def test_frames_of_enhanced_objects_have_their_own_rescale() -> None:
    dataset = dicom.enhanced()
    own = Dataset()
    own.RescaleSlope, own.RescaleIntercept = "3", "7"
    dataset.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence = [own]
    assert conversion_of(dataset, 0, projection=False) == Conversion(1.0, -1024.0)
    assert conversion_of(dataset, 1, projection=False) == Conversion(3.0, 7.0)
