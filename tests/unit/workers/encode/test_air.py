"""The `air` profile, demand by demand of the IHE profile AI Results."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import (
    Comprehensive3DSRStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SegmentationStorage,
)

from models.image import Image, Region, SpacingKind
from models.prediction import HeatMap, Located, Prediction, Rating, Segmentation
from node.store.destinations import FolderDestination
from tests.unit.workers.encode.samples import affine_of, identity, manifest, patient, radiograph, slices_of, volume
from workers.encode.encode import encode

WANTED = FolderDestination(name="air", folder=Path("/nowhere"), profile="air").wanted
SHAPE = (4, 14, 12)


def sent(image: Image, sources: list[Dataset], **changes: str) -> list[Dataset]:
    """What a destination with the profile is sent of an answer that has something of everything."""
    mask = np.zeros(image.array.shape[:3], dtype=bool)
    mask[..., 3:9, 2:10] = True
    said = Prediction(
        Segmentation({"bone": mask}, absent=("body",)),
        (Rating("pneumonia", 0.9),),
        heat_maps=(HeatMap("pneumonia", np.full(mask.shape, 0.5, np.float32), "HiResCAM"),),
        located=(Located("pneumonia", 0.9, 0, Region(5.0, 6.0, 2.0)),),
    )
    made = encode(said, image, sources, manifest(), identity(**changes), extras=WANTED)
    return [dcmread(BytesIO(one.content)) for one in made if one.kind in WANTED]


def ct(**changes: str) -> list[Dataset]:
    image = volume(affine_of(), SHAPE)
    return sent(image, slices_of(image), **changes)


def film(**changes: str) -> list[Dataset]:
    image, source = radiograph(SpacingKind.DETECTOR, (24, 20))
    return sent(image, [source], **changes)


SETS = {"ct": ct, "film": film}


@pytest.fixture(scope="module", params=SETS)
def objects(request: pytest.FixtureRequest) -> list[Dataset]:
    made: list[Dataset] = SETS[request.param]()
    return made


def reports(objects: list[Dataset]) -> list[Dataset]:
    return [one for one in objects if one.SOPClassUID == Comprehensive3DSRStorage]


def items(document: Dataset) -> Iterator[Dataset]:
    for item in document.get("ContentSequence") or []:
        yield item
        yield from items(item)


def named(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""


def test_only_objects_that_are_allowed_are_sent(objects: list[Dataset]) -> None:
    allowed = {Comprehensive3DSRStorage, SegmentationStorage, ParametricMapStorage, KeyObjectSelectionDocumentStorage}
    assert {one.SOPClassUID for one in objects} == allowed


def test_findings_are_in_a_comprehensive_3d_sr_of_tid_1500(objects: list[Dataset]) -> None:
    assert reports(objects)
    for one in reports(objects):
        assert (named(one), one.ContentTemplateSequence[0].TemplateIdentifier) == ("126000", "1500")
    answers = [
        (item.ConceptNameCodeSequence[0].CodeMeaning, item.ConceptCodeSequence[0].CodeMeaning)
        for one in reports(objects)
        for evaluations in items(one)
        if named(evaluations) == "C0034375"
        for item in evaluations.ContentSequence
    ]
    assert answers == [("Pneumonia", "Present")]


def test_the_procedure_reported_is_an_imaging_procedure_of_cid_100(objects: list[Dataset]) -> None:
    allowed = {
        (scheme, value)
        for scheme, held in concepts.items()
        for values in held.values()
        for value, (_, contexts) in values.items()
        if 100 in contexts
    }
    for one in reports(objects):
        (procedure,) = (item for item in items(one) if named(item) == "121058")
        code = procedure.ConceptCodeSequence[0]
        assert (code.CodingSchemeDesignator, code.CodeValue) in allowed


def test_the_algorithm_is_contributing_equipment(objects: list[Dataset]) -> None:
    for one in objects:
        (equipment,) = one.ContributingEquipmentSequence
        assert equipment.Manufacturer == "Overread"
        assert (equipment.ManufacturerModelName, equipment.SoftwareVersions) == ("sample-model", "1.2.3")
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert equipment.ContributionDescription == f"Processing Algorithm: Sample model, device UID {identity().device_uid}"
        assert identity().fingerprint.startswith(equipment.DeviceSerialNumber)


@pytest.mark.parametrize("make", SETS.values(), ids=SETS)
def test_a_retrained_model_is_another_device(make: object) -> None:
    before, after = (
        {one.ContributingEquipmentSequence[0].ContributionDescription for one in make(fingerprint=mark * 64)}  # type: ignore[operator]
        for mark in ("a", "b")
    )
    assert len(before) == len(after) == 1
    assert before.isdisjoint(after)


def test_every_group_and_segment_is_tracked(objects: list[Dataset]) -> None:
    groups = [item for one in reports(objects) for item in items(one) if named(item) == "125007"]
    assert groups
    for group in groups:
        tracked = {named(item): item for item in group.ContentSequence}
        assert tracked["112039"].TextValue
        assert tracked["112040"].UID.startswith("2.25.")
    for one in objects:
        for segment in one.get("SegmentSequence") or []:
            assert segment.TrackingID
            assert segment.TrackingUID.startswith("2.25.")


def test_results_belong_to_the_study_that_they_describe(objects: list[Dataset]) -> None:
    source = patient()
    for one in objects:
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyID", "StudyDate"):
            assert str(one[keyword].value) == str(source[keyword].value)
        assert one.SeriesInstanceUID != source.SeriesInstanceUID


def test_references_lead_to_what_the_destination_has(objects: list[Dataset]) -> None:
    """A report refers to images of the study, and to a segmentation that is sent with it."""
    sent_uids = {str(one.SOPInstanceUID) for one in objects}
    for one in reports(objects):
        for item in items(one):
            for reference in item.get("ReferencedSOPSequence") or []:
                if reference.ReferencedSOPClassUID == SegmentationStorage:
                    assert reference.ReferencedSOPInstanceUID in sent_uids


def test_the_observer_is_the_device_and_nobody_has_verified(objects: list[Dataset]) -> None:
    for one in reports(objects):
        assert (one.VerificationFlag, one.PreliminaryFlag, one.CompletionFlag) == ("UNVERIFIED", "PRELIMINARY", "COMPLETE")
        (observer,) = (item for item in items(one) if named(item) == "121005")
        assert observer.ConceptCodeSequence[0].CodeValue == "121007"
        (device,) = (item for item in items(one) if named(item) == "121012")
        assert str(device.UID) == identity().device_uid


def test_the_conformance_statement_names_what_is_sent(objects: list[Dataset]) -> None:
    statement = (Path(__file__).parents[4] / "docs" / "conformance.md").read_text(encoding="utf-8")
    for one in objects:
        assert f"`{one.SOPClassUID}`" in statement
