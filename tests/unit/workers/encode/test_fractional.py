"""Segmentations of a byte a pixel, read back by highdicom and pydicom, and where they are made."""

from __future__ import annotations

from io import BytesIO

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless, SegmentationStorage

from models.image import SpacingKind
from models.prediction import LabelMap, Prediction, Rating, Segmentation
from tests.unit.workers.encode.samples import affine_of, identity, manifest, radiograph, slices_of, volume
from workers.encode.case import Case
from workers.encode.encode import EncodedObject, encode
from workers.encode.fractional import fractional_segmentations
from workers.encode.grid import grid_of
from workers.encode.patient import patient_and_study
from workers.encode.segments import outlines

SHAPE = (3, 6, 5)
EXTRAS = ("fractional", "fractional-measurements")


def made(answer: Segmentation | LabelMap, shape: tuple[int, int, int] = SHAPE) -> tuple[EncodedObject, ...]:
    image = volume(affine_of(), shape)
    said = Prediction(answer, (Rating("pneumonia", 0.9),))
    return encode(said, image, slices_of(image), manifest(), identity(), extras=EXTRAS)


def datasets(objects: tuple[EncodedObject, ...], kind: str) -> list[Dataset]:
    return [dcmread(BytesIO(one.content)) for one in objects if one.kind == kind]


@settings(deadline=None, max_examples=40)
@given(arrays(bool, (3, *SHAPE)).filter(lambda masks: bool(masks.any(axis=(1, 2, 3)).all())))
def test_whatever_overlaps_is_in_it_as_it_is_in_the_binary_one(masks: np.ndarray) -> None:
    objects = made(Segmentation(dict(zip(("bone", "right_lung", "body"), masks, strict=True))))
    (fractional,), (binary,) = datasets(objects, "fractional"), datasets(objects, "seg")

    assert np.array_equal(fractional.pixel_array, binary.pixel_array * 255)
    for keyword in ("SegmentSequence", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "SegmentsOverlap"):
        assert fractional[keyword].value == binary[keyword].value


def test_it_is_a_segmentation_that_is_all_or_nothing() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1, 2:4, 1:5] = True
    objects = made(Segmentation({"bone": mask}))
    (seg,) = datasets(objects, "fractional")

    assert (seg.SOPClassUID, seg.file_meta.TransferSyntaxUID) == (SegmentationStorage, RLELossless)
    assert (seg.SegmentationType, seg.SegmentationFractionalType, seg.MaximumFractionalValue) == ("FRACTIONAL", "OCCUPANCY", 255)
    assert (seg.BitsAllocated, seg.BitsStored, seg.HighBit, seg.PixelRepresentation) == (8, 8, 7, 0)
    assert seg.SOPInstanceUID != datasets(objects, "seg")[0].SOPInstanceUID
    read = highdicom.seg.segread(BytesIO(next(one.content for one in objects if one.kind == "fractional")))
    assert np.array_equal(read.get_volume(rescale_fractional=True).array[..., 0], mask[[1]])


@pytest.mark.parametrize(
    ("shape", "slices", "wanted"),
    [
        ((3, 8, 6), 2, False),  # frames of 6 bytes
        ((3, 6, 5), 3, True),  # frames end within a byte
        ((4, 6, 4), 4, False),  # 4 frames of 3 bytes
        ((4, 6, 4), 3, True),  # 9 bytes: padded
        ((4, 4, 5), 4, True),  # 10 bytes, but every other frame begins within one
    ],
)
def test_it_is_made_only_where_binary_frames_are_not_whole_bytes(shape: tuple[int, int, int], slices: int, wanted: bool) -> None:
    mask = np.zeros(shape, dtype=bool)
    mask[:slices, 1:3, 1:3] = True
    kinds = [one.kind for one in made(Segmentation({"bone": mask}), shape)]

    assert kinds.count("fractional") == wanted
    assert kinds.count("fractional-measurements") == 2 * wanted  # of the outline, and of the finding
    assert kinds.count("seg") == 1


def test_measurements_beside_it_refer_to_it() -> None:
    mask = np.ones(SHAPE, dtype=bool)
    objects = made(Segmentation({"bone": mask}))
    (seg,), (binary,) = datasets(objects, "fractional"), datasets(objects, "seg")
    measured, plain = str(datasets(objects, "fractional-measurements")[0]), str(datasets(objects, "measurements")[0])

    assert seg.SOPInstanceUID in measured
    assert binary.SOPInstanceUID not in measured
    assert seg.SOPInstanceUID not in plain


def test_a_film_keeps_its_plane() -> None:
    image, source = radiograph(SpacingKind.DETECTOR, (7, 9))
    mask = np.zeros(image.array.shape, dtype=bool)
    mask[0, 2:4, 3:8] = True
    objects = encode(Prediction(Segmentation({"bone": mask})), image, [source], manifest(), identity(), extras=EXTRAS)
    (seg,), (binary,) = datasets(objects, "fractional"), datasets(objects, "seg")
    assert np.array_equal(seg.pixel_array, mask[0] * np.uint8(255))
    for keyword in ("FrameOfReferenceUID", "SharedFunctionalGroupsSequence", "PatientOrientation"):
        assert seg[keyword].value == binary[keyword].value


def test_it_is_shared_out_over_several_objects_by_the_bytes_of_its_pixels() -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image)
    found = outlines(Segmentation({key: np.ones(SHAPE, dtype=bool) for key in ("bone", "body")}), manifest(), SHAPE)
    case = Case(sources, patient_and_study(sources), manifest(), identity())
    parts = fractional_segmentations(found, grid_of(image, sources, identity()), case, most_bytes=3 * 6 * 5)

    assert [part.segments for part in parts] == [(1,), (2,)]
    assert len({str(part.dataset.SOPInstanceUID) for part in parts}) == 2
