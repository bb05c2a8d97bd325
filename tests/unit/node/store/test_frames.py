"""Frames of single-frame and enhanced objects have their own place."""

from __future__ import annotations

import pytest

from node.store.frames import frame_count, is_cross_sectional, is_enhanced, read_slices
from tests import dicom


def test_a_slice_says_where_it_lies() -> None:
    one = read_slices(dicom.ct_series(slices=2)[1], "instance 2")[0]
    assert one.plane is not None
    assert one.plane.position_mm == (-10.0, -20.0, 35.0)
    assert (one.pixel_spacing_mm, one.thickness_mm, one.rows, one.columns) == ((0.8, 0.7), 5.0, 16, 12)
    assert one.frame_of_reference_uid


def test_frames_of_an_enhanced_object_lie_where_their_groups_say() -> None:
    dataset = dicom.enhanced(order=[2, 0, 3, 1])
    slices = read_slices(dataset, "instance 7")
    assert is_enhanced(dataset)
    assert frame_count(dataset) == 4
    assert [one.plane.position_mm[2] for one in slices if one.plane] == [15.0, 9.0, 18.0, 12.0]
    assert slices[1].name == "frame 2 of instance 7"
    assert slices[0].pixel_spacing_mm == (0.9, 0.6)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (dicom.ct_series(slices=1)[0], True),
        (dicom.enhanced(), True),
        (dicom.radiograph(), False),
        (dicom.photograph(), False),
        (dicom.cine(), False),
    ],
)
def test_what_is_a_slice_of_the_patient(dataset, expected: bool) -> None:
    assert is_cross_sectional(dataset) is expected


def test_a_ct_that_lost_its_position_is_still_a_slice() -> None:
    dataset = dicom.ct_series(slices=1)[0]
    del dataset.ImagePositionPatient
    assert is_cross_sectional(dataset)
    one = read_slices(dataset, "instance 1")[0]
    assert one.plane is None
    assert "Image Position" in one.fault


@pytest.mark.parametrize("spacing", [["0", "0"], ["-1", "1"], ["1"]])
def test_a_spacing_that_is_not_positive_is_none(spacing: list[str]) -> None:
    dataset = dicom.ct_series(slices=1)[0]
    dataset.PixelSpacing = spacing
    assert read_slices(dataset, "x")[0].pixel_spacing_mm is None


def test_a_volume_of_an_angiography_system_has_a_place() -> None:
    dataset = dicom.enhanced()
    dataset.Modality = "XA"
    assert is_cross_sectional(dataset)


def test_a_radiograph_has_no_place_even_if_it_states_one() -> None:
    dataset = dicom.radiograph(modality="DX")
    dicom.place(dataset, (0, 0, 0))
    assert not is_cross_sectional(dataset)
