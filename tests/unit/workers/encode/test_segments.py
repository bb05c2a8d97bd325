from __future__ import annotations

import numpy as np
import pytest

from models.image import SpacingKind
from models.prediction import LabelMap, Segmentation
from node.store.errors import Permanent
from tests.unit.workers.encode.samples import STRUCTURES, identity, manifest
from workers.encode.segments import Outlines, cielab, outlines, segment_item, tracking_id

SHAPE = (2, 3, 4)


def mask(*pixels: int) -> np.ndarray:
    array = np.zeros(SHAPE, dtype=bool)
    array.flat[list(pixels)] = True
    return array


def whole(found: Outlines) -> dict[str, list[int]]:
    """Flat indices of the pixels of each found structure."""
    pixels = {}
    for structure, box, part in found.parts():
        array = np.zeros(SHAPE, dtype=bool)
        array[box] = part
        pixels[structure.key] = np.flatnonzero(array).tolist()
    return pixels


def test_what_is_empty_or_named_absent_was_looked_for_in_vain() -> None:
    found = outlines(Segmentation({"body": mask(1, 2), "bone": mask()}, absent=("right_lung",)), manifest(), SHAPE)

    assert [structure.key for structure in found.found] == ["body"]
    assert [structure.key for structure in found.absent] == ["bone", "right_lung"]
    assert whole(found) == {"body": [1, 2]}


def test_what_a_model_did_not_look_for_is_neither_found_nor_absent() -> None:
    found = outlines(Segmentation({"body": mask(1)}), manifest(), SHAPE)

    assert found.absent == ()


def test_segments_follow_the_manifest_not_the_answer() -> None:
    found = outlines(Segmentation({"body": mask(1), "bone": mask(2)}), manifest(), SHAPE)

    assert [structure.key for structure in found.found] == ["bone", "body"]


def test_a_label_map_says_the_same_as_masks() -> None:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels.flat[[1, 2]] = 2
    labels.flat[3] = 1

    found = outlines(LabelMap(labels, ("body", "bone", "right_lung")), manifest(), SHAPE)

    assert whole(found) == {"bone": [1, 2], "body": [3]}
    assert list(whole(found)) == ["bone", "body"]
    assert found.presence.tolist() == [[True, False], [True, False]]
    assert np.flatnonzero(found.plane(1, 0)).tolist() == [1, 2]
    assert [structure.key for structure in found.absent] == ["right_lung"]
    assert not found.overlap


@pytest.mark.parametrize(("pixels", "overlap"), [((3, 4), False), ((2, 3), True)])
def test_overlap_is_seen(pixels: tuple[int, ...], overlap: bool) -> None:
    assert outlines(Segmentation({"bone": mask(1, 2), "body": mask(*pixels)}), manifest(), SHAPE).overlap is overlap


@pytest.mark.parametrize(
    "answer",
    [
        Segmentation({"liver": mask(1)}),
        Segmentation({}, absent=("liver",)),
        Segmentation({"bone": np.ones((2, 3, 5), dtype=bool)}),
        LabelMap(np.full(SHAPE, 3, dtype=np.uint8), ("bone", "body")),
        LabelMap(np.ones((1, 3, 4), dtype=np.uint8), ("bone",)),
    ],
)
def test_an_answer_that_does_not_fit_the_manifest_or_the_image_is_a_defect(answer: Segmentation | LabelMap) -> None:
    with pytest.raises(Permanent, match="sample-model"):
        outlines(answer, manifest(), SHAPE)


@pytest.mark.parametrize(
    ("color", "lab"),
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        # sRGB primaries in CIELab relative to D50, as colour tables give them
        ((255, 0, 0), (54.29, 80.80, 69.89)),
        ((0, 255, 0), (87.82, -79.27, 80.99)),
        ((0, 0, 255), (29.57, 68.30, -112.03)),
    ],
)
def test_colours_are_those_of_the_standards_scale(color: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    scaled = [lab[0] / 100 * 65535, (lab[1] + 128) / 255 * 65535, (lab[2] + 128) / 255 * 65535]

    assert np.allclose(cielab(color), scaled, atol=30)


def test_a_segment_says_what_it_is_and_who_drew_it() -> None:
    model = manifest()

    item = segment_item(2, model.structure("right_lung"), model, identity(), SpacingKind.PATIENT)

    kind = item.SegmentedPropertyTypeCodeSequence[0]
    assert (item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType) == (2, "Right lung", "AUTOMATIC")
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("39607008", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert item.SegmentedPropertyCategoryCodeSequence[0].CodeValue == STRUCTURES[1]["category"][1]
    assert item.AnatomicRegionSequence[0].CodeMeaning == "Chest"
    assert item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert model.fingerprint in item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert item.TrackingUID == identity().tracking_uid("right_lung")
    assert "SegmentDescription" not in item


def test_a_threshold_model_is_not_called_intelligent() -> None:
    model = manifest(algorithm={"family": "threshold"})

    item = segment_item(1, model.structure("bone"), model, identity(), SpacingKind.PATIENT)

    assert item.SegmentationAlgorithmIdentificationSequence[0].AlgorithmFamilyCodeSequence[0].CodeValue != "123110"


@pytest.mark.parametrize("kind", list(SpacingKind))
def test_distances_that_are_not_in_the_patient_are_marked(kind: SpacingKind) -> None:
    model = manifest()

    item = segment_item(1, model.structure("bone"), model, identity(), kind)

    marked = kind is not SpacingKind.PATIENT
    assert ("SegmentDescription" in item) is marked
    assert (item.TrackingID != "Bone") is marked
    assert item.TrackingID == tracking_id(model.structure("bone"), kind)
