from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom import Dataset, dcmread

from models.image import SpacingKind
from models.prediction import Prediction, Rating, Segmentation
from tests.unit.workers.encode.samples import SERIES, affine_of, identity, manifest, radiograph, slices_of, volume
from workers.encode.encode import EncodedObject, encode

SHAPE = (3, 4, 5)


def objects(prediction: Prediction, *, image: Any = None, sources: Any = None, **changes: Any) -> tuple[EncodedObject, ...]:
    image = volume(affine_of(), SHAPE) if image is None else image
    return encode(prediction, image, sources or slices_of(image), manifest(**changes), identity())


def document(made: tuple[EncodedObject, ...], kind: str, at: int = 0) -> Dataset:
    return dcmread(io.BytesIO([one.content for one in made if one.kind == kind][at]))


def sentences(item: Dataset) -> list[str]:
    """All texts of a report in the order in which they are read."""
    found = [item.TextValue] if item.get("ValueType") == "TEXT" else []
    for inner in item.get("ContentSequence", []):
        found += sentences(inner)
    return found


def block(*place: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[place] = True
    return mask


VOLUME = Prediction(Segmentation({"bone": block(slice(0, 2)), "right_lung": block(slice(2, 3))}, absent=("body",)))


def test_measurements_are_read_back_with_their_segment() -> None:
    made = objects(VOLUME)
    seg = document(made, "seg")

    report = srread(io.BytesIO(next(one.content for one in made if one.kind == "measurements"))).content
    groups = report.get_volumetric_roi_measurement_groups()

    assert isinstance(report, MeasurementReport)
    assert len(groups) == 2
    for number, group in enumerate(groups, start=1):
        segment = seg.SegmentSequence[number - 1]
        assert group.tracking_uid == segment.TrackingUID
        assert group.tracking_identifier == segment.TrackingID
        assert group.finding_type.value == segment.SegmentedPropertyTypeCodeSequence[0].CodeValue
        reference = group.referenced_segment[0].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == number
    voxel_ml = 3.0 * 0.8 * 0.7 / 1000
    values = [[(item.name.meaning, item.value, item.unit.value) for item in group.get_measurements()] for group in groups]
    assert values[0][0] == ("Volume", pytest.approx(40 * voxel_ml), "ml")
    assert values[1][1] == ("Attenuation Coefficient", pytest.approx(np.arange(40, 60).mean()), "[hnsf'U]")


def test_a_measured_side_is_coded() -> None:
    groups = srread(io.BytesIO(objects(VOLUME)[1].content)).content.get_volumetric_roi_measurement_groups()

    assert groups[0].finding_sites == []
    site = groups[1].finding_sites[0]
    assert (site.value.meaning, site.laterality.meaning) == ("Chest", "Right")


@pytest.mark.parametrize(
    ("kind", "unit", "where"),
    [
        (SpacingKind.DETECTOR, "mm2", "at the detector plane"),
        (SpacingKind.CALIBRATED, "mm2", "calibrated"),
        (SpacingKind.NONE, "{pixels}", "in pixels"),
    ],
)
def test_an_area_on_a_film_says_what_it_is_measured_at(kind: SpacingKind, unit: str, where: str) -> None:
    image, source = radiograph(kind)
    prediction = Prediction(Segmentation({"bone": np.ones(image.array.shape, dtype=bool)}))

    made = objects(prediction, image=image, sources=[source])
    groups = srread(io.BytesIO(made[1].content)).content.get_planar_roi_measurement_groups()

    area, *diameters = groups[0].get_measurements()
    assert [(one.name.meaning, one.unit.value) for one in diameters] == ([] if unit == "{pixels}" else [("Long Axis", "mm")])
    assert (area.name.meaning, area.unit.value) == ("Area", unit)
    assert where in groups[0].tracking_identifier
    told = " ".join(sentences(document(made, "report")))
    assert ("mm2" in told) is (unit == "mm2")
    assert ("detector" in told) is (kind is SpacingKind.DETECTOR)


RATED = [
    (0.93, "present", "likely", ["Present"]),
    (0.5, "unsure", "", ["Indeterminate"]),
    (0.02, "absent", "very unlikely", ["Absent"]),
]


@pytest.mark.parametrize(("probability", "verdict", "words", "coded"), RATED)
def test_a_finding_is_told_and_coded(probability: float, verdict: str, words: str, coded: list[str]) -> None:
    made = objects(Prediction(ratings=(Rating("pneumonia", probability, 0.04),)))

    assert [one.kind for one in made] == ["measurements", "report"]
    told = " ".join(sentences(document(made, "report")))
    assert f"Pneumonia: {verdict}. Probability {probability:.2f}" in told
    assert words in told
    assert "present from 0.50, as unsure from 0.40 to 0.60" in told
    assert "variants of the image 0.04" in told
    answers = document(made, "measurements").ContentSequence[-1].ContentSequence
    assert [answer.ConceptCodeSequence[0].CodeMeaning for answer in answers] == coded
    assert [answer.ConceptNameCodeSequence[0].CodeMeaning for answer in answers] == ["Pneumonia"]


@pytest.mark.parametrize(("probability", "verdict", "words", "coded"), RATED)
def test_only_what_is_there_is_coded_as_a_finding(probability: float, verdict: str, words: str, coded: list[str]) -> None:
    report = document(objects(Prediction(ratings=(Rating("pneumonia", probability),))), "report")

    findings = [section for section in report.ContentSequence if section.ConceptNameCodeSequence[0].CodeMeaning == "Findings"]
    coded_ones = [item for item in findings[0].ContentSequence if item.ValueType == "CODE"]
    assert len(coded_ones) == (verdict == "present")


@pytest.mark.parametrize(
    ("probability", "urgent", "language", "expected"),
    [
        (0.93, ["pneumonia"], "", "URGENT by the settings of this installation: Pneumonia."),
        (0.93, ["sample-model/pneumo*"], ".de", "DRINGEND nach den Einstellungen dieser Installation: Pneumonie."),
        (0.55, ["pneumonia"], "", "URGENT by the settings of this installation: Pneumonia."),
        (0.45, ["pneumonia"], "", None),
        (0.02, ["pneumonia"], "", None),
        (0.93, ["other-model/pneumonia"], "", None),
        (0.93, [], "", None),
    ],
)
def test_the_first_sentence_says_what_is_urgent(
    probability: float, urgent: list[str], language: str, expected: str | None
) -> None:
    image = volume(affine_of(), SHAPE)
    prediction = Prediction(ratings=(Rating("pneumonia", probability),))
    kind = f"report{language}"
    made = encode(prediction, image, slices_of(image), manifest(), identity(), extras=[kind], urgent=urgent)
    said = sentences(document(made, kind))
    marked = [sentence for sentence in said if sentence.startswith(("URGENT", "DRINGEND"))]
    assert marked == ([expected] if expected else [])
    assert not marked or said[said.index(marked[0]) + 1].startswith(("AI RESULT", "KI-ERGEBNIS")), "it comes first"


def test_probabilities_are_numbers_in_percent() -> None:
    made = objects(Prediction(ratings=(Rating("pneumonia", 0.8769),)))

    groups = srread(io.BytesIO(made[0].content)).content.get_image_measurement_groups()

    (number,) = groups[0].get_measurements()
    assert (number.name.meaning, number.value, number.unit.value) == ("Probability", 87.7, "%")
    assert groups[0].tracking_identifier == "Pneumonia"


def test_regions_and_ratings_do_not_share_a_document() -> None:
    made = objects(Prediction(VOLUME.segmentation, (Rating("pneumonia", 0.9),)))

    assert [one.kind for one in made] == ["seg", "measurements", "measurements", "report"]
    assert made[1].sop_instance_uid != made[2].sop_instance_uid
    assert made[1].series_uid == made[2].series_uid
    assert [document(made, "measurements", at).InstanceNumber for at in (0, 1)] == [1, 2]


def test_the_report_tells_what_was_found_not_found_and_not_looked_at() -> None:
    prediction = Prediction(VOLUME.segmentation, notes=("Bone cut off at the edge.",))

    told = sentences(document(objects(prediction), "report"))

    text = " ".join(told)
    assert "AI RESULT. Preliminary, not verified by a physician." in told
    assert "Bone: volume 0.0672 ml" in text
    assert "Looked for and not found in this image: Body." in told
    assert "Bone cut off at the edge." in told
    assert "Read: CT series 3 (Body 3.0), 3 images. Other series of the study were not read by this model." in told
    assert "Looked for: Pneumonia, Bone, Right lung, Body." in text
    assert "Intended use: Testing." in told
    assert manifest().warning in told
    assert "sample-model 1.2.3" in text


def test_an_answer_that_found_nothing_is_still_an_answer() -> None:
    empty = Prediction(Segmentation({"bone": block(slice(0, 0))}, absent=("right_lung", "body")))

    made = objects(empty)

    assert [one.kind for one in made] == ["report"]
    assert "Looked for and not found in this image: Bone, Right lung, Body." in sentences(document(made, "report"))


def test_what_could_not_be_carried_over_is_named_without_its_value() -> None:
    image = volume(affine_of(), SHAPE)
    sources = slices_of(image)
    for source in sources:
        source.PatientSex = "F"
        source.add_new("PatientAge", "LO", "sixty")
        source["PatientAge"].VR = "AS"

    told = " ".join(sentences(document(objects(VOLUME, image=image, sources=sources), "report")))

    assert "not legal: PatientAge" in told
    assert "sixty" not in told


@pytest.mark.parametrize("kind", ["measurements", "report"])
def test_documents_are_preliminary_unverified_and_list_their_evidence(kind: str) -> None:
    made = objects(VOLUME)
    report = document(made, kind)

    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    listed = {
        (series.SeriesInstanceUID, item.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    outlined = {(made[0].series_uid, made[0].sop_instance_uid)} if kind == "measurements" else set()  # texts go where no SEG does
    assert listed == {(SERIES, f"{SERIES}.{number}") for number in (1, 2, 3)} | outlined
    assert identity().device_uid in str(report)
