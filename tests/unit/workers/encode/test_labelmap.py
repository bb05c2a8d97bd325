"""Label map segmentations, read back by highdicom and pydicom."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import highdicom
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from models.image import SpacingKind
from models.prediction import LabelMap, Prediction, Rating, Segmentation
from node.store.destinations import FolderDestination
from tests.unit.workers.encode.samples import STRUCTURES, affine_of, identity, manifest, radiograph, slices_of, volume
from workers.encode.encode import EncodedObject, encode

SHAPE = (3, 6, 5)
EXTRAS = ("labelmap", "labelmap-measurements")


def made(answer: Any, shape: tuple[int, int, int] = SHAPE, **changes: Any) -> tuple[EncodedObject, ...]:
    image = volume(affine_of(), shape)
    said = answer if isinstance(answer, Prediction) else Prediction(answer)
    return encode(said, image, slices_of(image), manifest(**changes), identity(), extras=EXTRAS)


def datasets(objects: tuple[EncodedObject, ...], kind: str) -> list[Dataset]:
    return [dcmread(BytesIO(one.content)) for one in objects if one.kind == kind]


def masks_of(objects: tuple[EncodedObject, ...], shape: tuple[int, int, int] = SHAPE) -> dict[str, np.ndarray]:
    """Each structure by name, from all label maps of a set, each frame at the slice whose image it names."""
    found = {}
    for seg in datasets(objects, "labelmap"):
        pixels = seg.pixel_array.reshape(-1, *shape[1:])
        for item in seg.SegmentSequence[:-1]:
            mask = np.zeros(shape, dtype=bool)
            for frame, group in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
                named = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
                mask[int(named.rpartition(".")[2]) - 1] = frame == item.SegmentNumber
            found[item.SegmentLabel] = mask
    return found


@settings(deadline=None, max_examples=40)
@given(arrays(bool, (3, *SHAPE)).filter(lambda masks: bool(masks.any(axis=(1, 2, 3)).all())))
def test_whatever_overlaps_is_read_back_as_it_was(masks: np.ndarray) -> None:
    keys = ("bone", "right_lung", "body")
    objects = made(Segmentation(dict(zip(keys, masks, strict=True))))
    read = masks_of(objects)
    assert sorted(read) == ["Body", "Bone", "Right lung"]
    for key, mask in zip(("Bone", "Right lung", "Body"), masks, strict=True):
        assert np.array_equal(read[key], mask), key


def test_structures_that_do_not_overlap_share_one_object() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[0, 1:3], labels[2, 2:4] = 1, 3
    (seg,) = datasets(made(LabelMap(labels, ("bone", "right_lung", "body"))), "labelmap")

    assert seg.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert seg.file_meta.TransferSyntaxUID == RLELossless
    assert (seg.SegmentationType, seg.SegmentsOverlap, seg.PhotometricInterpretation) == ("LABELMAP", "NO", "MONOCHROME2")
    assert [(item.SegmentNumber, item.SegmentLabel) for item in seg.SegmentSequence] == [
        (1, "Bone"),
        (2, "Body"),
        (0, "Background"),
    ]
    assert seg.NumberOfFrames == 2  # nothing is on the second slice
    assert np.array_equal(seg.pixel_array, np.where(labels == 3, 2, labels)[[0, 2]])
    groups = seg.PerFrameFunctionalGroupsSequence
    assert [group.FrameContentSequence[0].DimensionIndexValues for group in groups] == [1, 2]
    assert not any("SegmentIdentificationSequence" in group for group in groups)
    assert [item.DimensionDescriptionLabel for item in seg.DimensionIndexSequence] == ["Image Position (Patient)"]


def test_highdicom_reads_the_segments() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[0, 1:3], labels[1, 2:4] = 1, 3
    objects = made(LabelMap(labels, ("bone", "right_lung", "body")))
    seg = highdicom.seg.segread(BytesIO(next(one.content for one in objects if one.kind == "labelmap")))
    assert [seg.get_segment_description(number).segment_label for number in (1, 2)] == ["Bone", "Body"]
    uids = [f"{identity().stack_key[:-2]}.{number}" for number in (1, 2, 3)]
    pixels = seg.get_pixels_by_source_instance(uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True)
    assert np.array_equal(pixels[..., 0], labels == 1)
    assert np.array_equal(pixels[..., 1], labels == 3)


def test_more_segments_than_eight_bits_hold() -> None:
    structures = [{**STRUCTURES[0], "key": f"s{number}", "name": f"Structure {number}"} for number in range(300)]
    labels = np.arange(1, 301, dtype=np.uint16).reshape(1, 15, 20)
    objects = made(
        LabelMap(labels, tuple(f"s{number}" for number in range(300))), (1, 15, 20), structures=structures, findings=[]
    )
    (seg,) = datasets(objects, "labelmap")
    assert (seg.BitsAllocated, seg.BitsStored, seg.HighBit) == (16, 16, 15)
    assert np.array_equal(seg.pixel_array, labels[0])


def test_measurements_beside_a_label_map_are_tied_to_it_by_their_tracking_uids() -> None:
    masks = {"bone": np.ones(SHAPE, dtype=bool), "body": np.ones(SHAPE, dtype=bool)}
    objects = made(Prediction(Segmentation(masks), (Rating("pneumonia", 0.9),)))
    segments = [item.TrackingUID for seg in datasets(objects, "labelmap") for item in seg.SegmentSequence[:-1]]
    binary, labelled = datasets(objects, "measurements"), datasets(objects, "labelmap-measurements")

    assert len(binary) == len(labelled) == 2
    assert {one.SOPInstanceUID for one in binary}.isdisjoint(one.SOPInstanceUID for one in labelled)
    tracked = [
        item.UID
        for group in labelled[0].ContentSequence[-1].ContentSequence
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "112040"
    ]
    assert tracked == segments
    evidence = str(labelled[0].CurrentRequestedProcedureEvidenceSequence)
    assert all(seg.SOPInstanceUID in evidence for seg in datasets(objects, "labelmap"))
    assert not any(seg.SOPInstanceUID in evidence for seg in datasets(objects, "seg"))


def test_a_film_keeps_its_plane() -> None:
    image, source = radiograph(SpacingKind.DETECTOR, (7, 9))
    mask = np.zeros(image.array.shape, dtype=bool)
    mask[0, 2:4, 3:8] = True
    objects = encode(Prediction(Segmentation({"bone": mask})), image, [source], manifest(), identity(), extras=EXTRAS)
    (seg,), (binary,) = datasets(objects, "labelmap"), datasets(objects, "seg")
    assert np.array_equal(seg.pixel_array, mask[0])
    for keyword in ("FrameOfReferenceUID", "SharedFunctionalGroupsSequence", "PatientOrientation"):
        assert seg[keyword].value == binary[keyword].value


@pytest.mark.parametrize(
    ("settings_of", "wanted"),
    [
        ({"seg": "labelmap"}, ("labelmap", "labelmap-measurements", "report")),
        ({}, ("seg", "measurements", "report")),
        ({"seg": "labelmap", "kinds": ("report", "seg")}, ("report", "labelmap")),
    ],
)
def test_a_destination_gets_one_sort_of_segmentation(settings_of: dict[str, Any], wanted: tuple[str, ...], tmp_path: Any) -> None:
    assert FolderDestination(name="a", folder=tmp_path, **settings_of).wanted == wanted
