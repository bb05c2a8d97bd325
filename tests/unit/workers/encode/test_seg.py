from __future__ import annotations

import io
from typing import Any

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from models.image import Image, SpacingKind
from models.prediction import LabelMap, Segmentation
from tests.unit.workers.encode.samples import (
    FRAME_OF_REFERENCE,
    SERIES,
    affine_of,
    identity,
    manifest,
    multi_frame_of,
    radiograph,
    slices_of,
    volume,
)
from workers.encode.case import Case
from workers.encode.grid import grid_of
from workers.encode.patient import patient_and_study
from workers.encode.seg import segmentations
from workers.encode.segments import outlines

AXIAL = ((1, 0, 0), (0, 1, 0))
SAGITTAL = ((0, 1, 0), (0, 0, -1))
CORONAL = ((1, 0, 0), (0, 0, -1))
OBLIQUE = ((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8))
FLIPPED = ((-1, 0, 0), (0, 1, 0))
KEYS = ("bone", "right_lung", "body")


def made(image: Image, sources: list[Dataset], answer: Segmentation | LabelMap) -> Dataset:
    """The SEG as a receiver reads it from its bytes."""
    slices, rows, columns = image.array.shape[:3]
    found = outlines(answer, manifest(), (slices, rows, columns))
    case = Case(sources, patient_and_study(sources), manifest(), identity())
    (seg,) = segmentations(found, grid_of(image, sources, identity()), case)
    return dcmread(io.BytesIO(seg.content()))


def random_masks(shape: tuple[int, int, int], seed: int) -> dict[str, NDArray[np.bool_]]:
    generator = np.random.default_rng(seed)
    masks = {key: generator.random(shape) < 0.3 for key in KEYS}
    masks["bone"][0] = False
    masks["bone"][-1, 0, 0] = True
    masks["body"][0, 0, 0] = masks["right_lung"][0, 0, 0] = True
    return masks


@settings(deadline=None, max_examples=40)
@given(
    orientation=st.sampled_from([AXIAL, SAGITTAL, CORONAL, OBLIQUE, FLIPPED]),
    spacing_mm=st.tuples(*[st.floats(min_value=0.3, max_value=8)] * 3),
    shape=st.tuples(st.integers(2, 5), st.integers(1, 9), st.integers(1, 9)),
    upwards=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_every_voxel_is_read_back_in_its_place(
    orientation: Any, spacing_mm: tuple[float, float, float], shape: tuple[int, int, int], upwards: bool, seed: int
) -> None:
    normal = np.cross(*np.asarray(orientation, dtype=float))
    affine = affine_of(orientation, spacing_mm, step=tuple(normal if upwards else -normal))
    image = volume(affine, shape)
    masks = random_masks(shape, seed)

    read = highdicom.seg.Segmentation.from_dataset(made(image, slices_of(image), Segmentation(masks)))

    for number, key in enumerate(KEYS, start=1):
        geometry = highdicom.VolumeGeometry(affine, shape, "PATIENT", FRAME_OF_REFERENCE)
        back = read.get_volume(segment_numbers=[number], combine_segments=True, relabel=True, allow_missing_positions=True)
        aligned = back.match_geometry(geometry, tol=0.01).array
        assert np.array_equal(aligned.astype(bool), masks[key]), key


def test_frames_without_a_pixel_are_left_out() -> None:
    image = volume(affine_of(), (4, 3, 5))
    mask = np.zeros((4, 3, 5), dtype=bool)
    mask[1, 2, 3] = mask[3, 0, 0] = True

    seg = made(image, slices_of(image), Segmentation({"bone": mask}))

    assert seg.NumberOfFrames == 2
    assert np.array_equal(seg.pixel_array.astype(bool), mask[[1, 3]])
    assert [frame.FrameContentSequence[0].DimensionIndexValues for frame in seg.PerFrameFunctionalGroupsSequence] == [
        [1, 1],
        [1, 2],
    ]
    used = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in seg.PerFrameFunctionalGroupsSequence]
    assert [source.ReferencedSOPInstanceUID for source in used] == [f"{SERIES}.2", f"{SERIES}.4"]
    series = seg.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == SERIES
    assert len(series.ReferencedInstanceSequence) == 4, "every image that was read, outlined or not"


def test_a_label_map_gives_the_same_object_as_its_masks() -> None:
    image = volume(affine_of(), (3, 5, 7))
    labels = np.random.default_rng(1).integers(0, 4, (3, 5, 7)).astype(np.uint8)
    masks = {key: labels == value for value, key in enumerate(KEYS, start=1)}

    assert made(image, slices_of(image), LabelMap(labels, KEYS)) == made(image, slices_of(image), Segmentation(masks))


def test_frames_refer_to_the_frames_of_a_multi_frame_source() -> None:
    image = volume(affine_of(), (3, 4, 5))
    mask = np.ones((3, 4, 5), dtype=bool)

    seg = made(image, [multi_frame_of(image, [2, 0, 1])], Segmentation({"bone": mask}))

    used = [frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in seg.PerFrameFunctionalGroupsSequence]
    assert [source.ReferencedFrameNumber for source in used] == [2, 3, 1]
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 1


def test_one_slice() -> None:
    image = volume(affine_of(), (1, 6, 5))
    mask = np.eye(6, 5, dtype=bool)[None]

    seg = made(image, slices_of(image), Segmentation({"body": mask}))

    assert np.array_equal(seg.pixel_array.astype(bool), mask[0])
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == 3
    assert "SpacingBetweenSlices" not in measures


@pytest.mark.parametrize(
    ("kind", "spacing", "remark"),
    [
        (SpacingKind.DETECTOR, [0.2, 0.25], "detector"),
        (SpacingKind.CALIBRATED, [0.2, 0.25], "calibrated"),
        (SpacingKind.NONE, [1, 1], "pixels"),
    ],
)
def test_a_radiograph_is_outlined_on_a_plane_of_its_own(kind: SpacingKind, spacing: list[float], remark: str) -> None:
    image, source = radiograph(kind)
    mask = np.zeros(image.array.shape, dtype=bool)
    mask[0, 3:9, 2:7] = True

    seg = made(image, [source], Segmentation({"right_lung": mask}))

    shared = seg.SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == spacing
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient == [0, 0, 0]
    assert seg.PatientOrientation == ["L", "F"]
    assert remark in seg.ContentDescription
    assert remark in seg.SegmentSequence[0].SegmentDescription
    assert np.array_equal(seg.pixel_array.astype(bool), mask[0])


def test_an_illegal_patient_orientation_is_not_copied() -> None:
    image, source = radiograph()
    source.PatientOrientation = ["L", "XX"]

    seg = made(image, [source], Segmentation({"bone": np.ones(image.array.shape, dtype=bool)}))

    assert not seg.PatientOrientation


def test_lossy_compression_of_the_source_is_told() -> None:
    image, source = radiograph()
    source.LossyImageCompression, source.LossyImageCompressionMethod = "01", "ISO_10918_1"
    answer = Segmentation({"bone": np.ones(image.array.shape, dtype=bool)})

    seg = made(image, [source], answer)
    del source.LossyImageCompression

    assert (seg.LossyImageCompression, seg.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert made(image, [source], answer).LossyImageCompression == "00"


def test_who_made_it_and_when() -> None:
    image = volume(affine_of(), (2, 3, 4))
    sources = slices_of(image, TimezoneOffsetFromUTC="+0200")

    seg = made(image, sources, Segmentation({"bone": np.ones((2, 3, 4), dtype=bool)}))

    assert (seg.Manufacturer, seg.ManufacturerModelName, seg.SoftwareVersions) == ("Overread", "sample-model", "1.2.3")
    assert seg.DeviceSerialNumber == manifest().fingerprint[:16]
    made_by = f"Processing Algorithm: Sample model, device UID {identity().device_uid}"
    assert seg.ContributingEquipmentSequence[0].ContributionDescription == made_by
    assert (seg.ContentDate, seg.ContentTime) == ("20260304", "070607"), "the study is two hours east of Greenwich"
    assert seg.SeriesDescription == "Overread sample-model: Bone"


def test_a_long_list_of_structures_is_cut_to_what_a_series_description_holds() -> None:
    names = [
        {**structure, "name": structure["key"] + " of a very long name"} for structure in manifest().model_dump()["structures"]
    ]
    model = manifest(structures=names)
    image = volume(affine_of(), (2, 3, 4))
    sources = slices_of(image)
    masks = {key: np.ones((2, 3, 4), dtype=bool) for key in KEYS}
    case = Case(sources, patient_and_study(sources), model, identity())

    (seg,) = segmentations(outlines(Segmentation(masks), model, (2, 3, 4)), grid_of(image, sources, identity()), case)

    assert len(seg.dataset.SeriesDescription) <= 64
    assert seg.dataset.SeriesDescription.endswith("...")


def test_structures_that_would_make_one_object_too_large_go_into_several() -> None:
    image = volume(affine_of(), (4, 8, 8))
    sources = slices_of(image)
    masks = random_masks((4, 8, 8), 1)
    found = outlines(Segmentation(masks), manifest(), (4, 8, 8))
    case = Case(sources, patient_and_study(sources), manifest(), identity())

    parts = segmentations(found, grid_of(image, sources, identity()), case, most_bytes=8 * 8 // 8 * 7)

    read = [dcmread(io.BytesIO(part.content())) for part in parts]
    assert [[item.SegmentLabel for item in seg.SegmentSequence] for seg in read] == [["Bone", "Right lung"], ["Body"]]
    assert [seg.InstanceNumber for seg in read] == [1, 2]
    assert len({seg.SOPInstanceUID for seg in read}) == 2
    assert len({(seg.SeriesInstanceUID, seg.SeriesDescription) for seg in read}) == 1
    shown = np.concatenate([masks[key][masks[key].any(axis=(1, 2))] for key in KEYS])
    pixels = [np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")[: seg.NumberOfFrames * 64] for seg in read]
    assert np.array_equal(np.concatenate(pixels).reshape(-1, 8, 8), shown)
