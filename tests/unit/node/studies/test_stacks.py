"""Series are split into stacks: the whole list of DESIGN, each with its expected parts."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from node.studies.header import read_headers
from node.studies.stack import Stack
from node.studies.stacks import split_study
from tests import dicom


def split(datasets: list[FileDataset], folder: Path) -> dict[str, Stack]:
    """Stacks by their key, the series UID left out."""
    stacks = split_study(read_headers(dicom.stored(datasets, folder), folder))
    return {key.split("#")[1]: stack for key, stack in stacks} if len({s.series_uid for _, s in stacks}) == 1 else dict(stacks)


def sizes(stacks: dict[str, Stack]) -> list[int]:
    return [len(stack.frames) for stack in stacks.values()]


def numbers(stack: Stack) -> list[int | None]:
    return [frame.header.number for frame in stack.frames]


def with_values(datasets: list[FileDataset], **values: object) -> list[FileDataset]:
    for dataset in datasets:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    return datasets


def repeated(count: int, slices: int = 4, **options: object) -> list[list[FileDataset]]:
    """The same positions `count` times with other pixels, numbered on."""
    return [dicom.mr_series(slices=slices, first_number=1 + turn * slices, **options) for turn in range(count)]


def test_a_plain_series_is_one_stack_in_slice_order(tmp_path: Path) -> None:
    datasets = dicom.ct_series(slices=6, step=(0, 0, -5))
    random.Random(3).shuffle(datasets)
    stacks = split(datasets, tmp_path)
    assert list(stacks) == ["1"]
    assert numbers(stacks["1"]) == [6, 5, 4, 3, 2, 1]
    assert (stacks["1"].part, stacks["1"].fault, stacks["1"].localizer) == ("", "", False)
    assert stacks["1"].grid is not None
    assert stacks["1"].grid.spacing_mm == pytest.approx((5, 0.8, 0.7))


def test_localizers_stand_apart_from_the_volume(tmp_path: Path) -> None:
    stacks = split([*dicom.localizers(), *dicom.ct_series(first_number=3, slices=4)], tmp_path)
    assert sizes(stacks) == [1, 1, 4]
    assert [stack.localizer for stack in stacks.values()] == [True, True, False]


def test_a_scout_that_does_not_say_so_is_known_by_its_plane(tmp_path: Path) -> None:
    scout = dicom.ct_series(slices=1, orientation=dicom.CORONAL)
    stacks = split([*scout, *dicom.ct_series(first_number=2, slices=4)], tmp_path)
    assert [stack.localizer for stack in stacks.values()] == [True, False]


def test_scouts_do_not_make_a_localizer_of_the_volume_between_them(tmp_path: Path) -> None:
    scouts = [
        *dicom.ct_series(slices=1, orientation=dicom.CORONAL),
        *dicom.ct_series(slices=1, orientation=dicom.SAGITTAL, first_number=2),
    ]
    stacks = split([*scouts, *dicom.ct_series(first_number=3, slices=12)], tmp_path)
    assert [stack.localizer for stack in stacks.values()] == [True, True, False]


def test_three_crossing_planes_are_a_localizer(tmp_path: Path) -> None:
    planes = (dicom.AXIAL, dicom.SAGITTAL, dicom.CORONAL)
    datasets = [
        one
        for turn, plane in enumerate(planes)
        for one in dicom.mr_series(slices=3, orientation=plane, first_number=1 + 3 * turn)
    ]
    stacks = split(datasets, tmp_path)
    assert sizes(stacks) == [3, 3, 3]
    assert all(stack.localizer for stack in stacks.values())


def test_mixed_orientations_are_two_stacks(tmp_path: Path) -> None:
    stacks = split([*dicom.ct_series(slices=4), *dicom.ct_series(slices=5, orientation=dicom.SAGITTAL, first_number=5)], tmp_path)
    assert sizes(stacks) == [4, 5]
    assert not any(stack.fault or stack.localizer for stack in stacks.values())


def test_echoes_are_told_apart(tmp_path: Path) -> None:
    first, second = repeated(2)
    with_values(second, EchoTime="80", EchoNumbers="2")
    stacks = split([*first, *second], tmp_path)
    assert [(stack.part, len(stack.frames)) for stack in stacks.values()] == [("echo 1", 4), ("echo 2", 4)]
    assert not any(stack.fault for stack in stacks.values())


def test_an_echo_is_split_off_even_where_no_position_is_doubled(tmp_path: Path) -> None:
    low = dicom.mr_series(slices=3)
    high = with_values(dicom.mr_series(slices=3, first_number=4, origin=(-10, -20, 45)), EchoTime="80")
    assert [stack.part for stack in split([*low, *high], tmp_path).values()] == ["echo time 12 ms", "echo time 80 ms"]


def test_b_values_and_directions_are_told_apart(tmp_path: Path) -> None:
    zero, one, two = repeated(3)
    with_values(zero, DiffusionBValue=0.0)
    with_values(one, DiffusionBValue=1000.0, DiffusionGradientOrientation=[1.0, 0.0, 0.0])
    with_values(two, DiffusionBValue=1000.0, DiffusionGradientOrientation=[0.0, 1.0, 0.0])
    stacks = split([*zero, *one, *two], tmp_path)
    assert [stack.part for stack in stacks.values()] == [
        "b-value 0 s/mm2",
        "b-value 1000 s/mm2, diffusion direction 1.0 0.0 0.0",
        "b-value 1000 s/mm2, diffusion direction 0.0 1.0 0.0",
    ]


def test_cardiac_phases_are_ranked_where_trigger_times_differ_from_slice_to_slice(tmp_path: Path) -> None:
    phases = repeated(3)
    for phase, datasets in enumerate(phases):
        for index, dataset in enumerate(datasets):
            dataset.TriggerTime = f"{phase * 100 + index * 7 + 1}"
    stacks = split([one for datasets in phases for one in datasets], tmp_path)
    assert [stack.part for stack in stacks.values()] == ["trigger time no. 1", "trigger time no. 2", "trigger time no. 3"]
    assert numbers(stacks["2"]) == [5, 6, 7, 8]


def test_trigger_times_alone_do_not_tear_a_volume_apart(tmp_path: Path) -> None:
    datasets = dicom.mr_series(slices=5)
    for index, dataset in enumerate(datasets):
        dataset.TriggerTime = f"{index * 31}"
        dataset.AcquisitionTime = f"1200{index:02d}"
        dataset.AcquisitionNumber = index + 1
    assert sizes(split(datasets, tmp_path)) == [5]


def test_time_points_are_told_apart_by_acquisition_time(tmp_path: Path) -> None:
    early, late = repeated(2)
    with_values(early, AcquisitionTime="120000")
    with_values(late, AcquisitionTime="120130")
    stacks = split([*early, *late], tmp_path)
    assert [(stack.part, len(stack.frames)) for stack in stacks.values()] == [
        ("acquisition time 120000", 4),
        ("acquisition time 120130", 4),
    ]


def test_magnitude_and_phase_are_told_apart_by_image_type(tmp_path: Path) -> None:
    magnitude, phase = repeated(2)
    with_values(phase, ImageType=["ORIGINAL", "PRIMARY", "P", "SE"])
    assert sizes(split([*magnitude, *phase], tmp_path)) == [4, 4]


def test_sizes_and_spacings_make_stacks_of_their_own(tmp_path: Path) -> None:
    datasets = [
        *dicom.ct_series(slices=3),
        *dicom.ct_series(slices=3, shape=(8, 8), first_number=4),
        *dicom.ct_series(slices=3, spacing=(5, 0.4, 0.4), first_number=7),
    ]
    assert sizes(split(datasets, tmp_path)) == [3, 3, 3]


def test_two_slabs_side_by_side_are_two_stacks(tmp_path: Path) -> None:
    left = dicom.mr_series(slices=3, origin=(-150, 0, 0))
    right = dicom.mr_series(slices=3, origin=(20, 0, 0), first_number=4)
    stacks = split([*left, *right], tmp_path)
    assert sizes(stacks) == [3, 3]
    assert not any(stack.fault for stack in stacks.values())


def test_a_doubled_slice_with_other_pixels_is_refused_by_position(tmp_path: Path) -> None:
    datasets = dicom.ct_series(slices=5)
    twin = dicom.ct_series(slices=1, first_number=6, origin=(-10, -20, 40))
    twin[0].ContentTime = "120000"
    stacks = split([*datasets, *twin], tmp_path)
    assert sizes(stacks) == [6]
    assert stacks["1"].code == "doubled-slice"
    assert "position 40.00 mm holds 2 different images" in stacks["1"].fault
    assert datasets[2].SOPInstanceUID in stacks["1"].fault
    assert twin[0].SOPInstanceUID in stacks["1"].fault


def test_a_single_repeated_slice_is_no_time_point(tmp_path: Path) -> None:
    datasets = with_values(dicom.ct_series(slices=5), AcquisitionTime="120000")
    twin = with_values(dicom.ct_series(slices=1, first_number=6, origin=(-10, -20, 40)), AcquisitionTime="120500")
    assert split([*datasets, *twin], tmp_path)["1"].code == "doubled-slice"


def test_an_identical_copy_is_left_out_with_a_note(tmp_path: Path) -> None:
    datasets = dicom.ct_series(slices=5)
    copy = dicom.ct_series(slices=1, first_number=6, origin=(-10, -20, 40), pixels=lambda _: datasets[2].pixel_array)
    copy[0].ContentTime = "130000"
    stacks = split([*datasets, *copy], tmp_path)
    assert sizes(stacks) == [5]
    assert numbers(stacks["1"]) == [1, 2, 3, 4, 5]
    assert stacks["1"].notes == ("identical copies of images were left out: 1",)


def test_blank_images_of_two_phases_are_no_copies(tmp_path: Path) -> None:
    phases = repeated(2, pixels=lambda _: np.zeros((4, 4), np.uint16))
    for phase, datasets in enumerate(phases):
        with_values(datasets, TemporalPositionIdentifier=phase + 1)
    assert sizes(split([*phases[0], *phases[1]], tmp_path)) == [4, 4]


def test_a_missing_slice_is_a_fault_of_the_stack(tmp_path: Path) -> None:
    datasets = dicom.ct_series(slices=20)
    del datasets[7]
    stack = split(datasets, tmp_path)["1"]
    assert stack.code == "missing-slice"
    assert "19 of 20" in stack.fault
    assert datasets[6].SOPInstanceUID in stack.fault


def test_one_image_without_a_place_spoils_its_stack(tmp_path: Path) -> None:
    datasets = dicom.ct_series(slices=5)
    del datasets[4].ImagePositionPatient
    stacks = split(datasets, tmp_path)
    assert sizes(stacks) == [5]
    assert stacks["1"].code == "no-position"


@pytest.mark.parametrize(
    ("keyword", "code"), [("FrameOfReferenceUID", "no-frame-of-reference"), ("PixelSpacing", "no-pixel-spacing")]
)
def test_what_a_volume_needs_is_missed_by_name(tmp_path: Path, keyword: str, code: str) -> None:
    datasets = dicom.ct_series(slices=2)
    for dataset in datasets:
        delattr(dataset, keyword)
    assert split(datasets, tmp_path)["1"].code == code


def test_projection_images_are_one_stack_each(tmp_path: Path) -> None:
    films = [dicom.radiograph(series="films", number=number) for number in (1, 2)]
    stacks = split([*films], tmp_path)
    assert sizes(stacks) == [1, 1]
    assert all(stack.grid is None and not stack.fault for stack in stacks.values())


def test_enhanced_objects_make_stacks_of_their_own(tmp_path: Path) -> None:
    stacks = split([dicom.enhanced(number=1), dicom.enhanced(number=2, order=[3, 1, 2, 0])], tmp_path)
    assert sizes(stacks) == [4, 4]
    assert [frame.index for frame in stacks["2"].frames] == [3, 1, 2, 0]


def test_echoes_inside_an_enhanced_object_are_told_apart(tmp_path: Path) -> None:
    stacks = split([dicom.enhanced(modality="MR", echo_times=(10, 80))], tmp_path)
    assert [(stack.part, [frame.index for frame in stack.frames]) for stack in stacks.values()] == [
        ("echo time 10 ms", [0, 1, 2, 3]),
        ("echo time 80 ms", [4, 5, 6, 7]),
    ]


def test_objects_without_pixels_are_kept_apart(tmp_path: Path) -> None:
    stack = next(iter(split([dicom.report(number=1), dicom.report(number=2)], tmp_path).values()))
    assert (stack.code, len(stack.frames)) == ("no-pixel-data", 2)
    assert stack.fault == "no pixel data: stored, not analysed"


def test_an_unreadable_file_does_not_stop_the_others(tmp_path: Path) -> None:
    rows = dicom.stored(dicom.ct_series(slices=3), tmp_path)
    (tmp_path / rows[2].arrival.path).write_bytes(b"not DICOM at all")
    codes = [(stack.code, len(stack.frames)) for _, stack in split_study(read_headers(rows, tmp_path))]
    assert sorted(codes) == [("", 2), ("unreadable", 1)]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_keys_and_order_do_not_depend_on_the_order_of_arrival(tmp_path: Path, seed: int) -> None:
    first, second = repeated(2, slices=3)
    with_values(second, EchoTime="80", EchoNumbers="2")
    rows = dicom.stored([*dicom.localizers(series="scout"), *first, *second, dicom.report()], tmp_path)
    expected = [
        (key, [frame.slice.name for frame in stack.frames if frame.header.slices])
        for key, stack in split_study(read_headers(rows, tmp_path))
    ]
    random.Random(seed).shuffle(rows)
    again = [
        (key, [frame.slice.name for frame in stack.frames if frame.header.slices])
        for key, stack in split_study(read_headers(rows, tmp_path))
    ]
    assert again == expected
