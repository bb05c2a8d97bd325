from __future__ import annotations

import json
from typing import Any

import numpy as np
from fhir.resources.R4B.bundle import Bundle
from pydicom.dataset import Dataset

from models.prediction import Prediction, Rating, Segmentation
from tests.unit.workers.encode.samples import CALIBRATION, affine_of, identity, manifest, slices_of, volume
from workers.encode.encode import encode


def message(kind: str = "fhir", **source: Any) -> bytes:
    image = volume(affine_of(), (3, 4, 5))
    answer = Prediction(
        Segmentation({"right_lung": np.ones((3, 4, 5), dtype=bool)}, absent=("bone",)),
        (Rating("pneumonia", 0.93, None, CALIBRATION),),
    )
    made = encode(answer, image, slices_of(image, **source), manifest(), identity(), extras=(kind,))
    return bytes(next(one.content for one in made if one.kind == kind))


def parsed(content: bytes) -> tuple[Any, list[Any]]:
    """Report and observations, as a parser that is not ours reads them."""
    bundle = Bundle.model_validate_json(content)
    resources = [entry.resource for entry in bundle.entry]
    assert bundle.type == "transaction"
    assert [one.get_resource_type() for one in resources] == ["Observation"] * (len(resources) - 1) + ["DiagnosticReport"]
    return resources[-1], resources[:-1]


def test_the_report_is_preliminary_and_names_patient_study_and_order() -> None:
    report, observations = parsed(message())

    assert report.status == "preliminary"
    assert {one.status for one in observations} == {"preliminary"}
    assert report.subject.identifier.value == "P-17"
    assert (report.imagingStudy[0].identifier.system, report.imagingStudy[0].identifier.value) == (
        "urn:dicom:uid",
        f"urn:oid:{identity().study_uid}",
    )
    assert report.basedOn[0].identifier.value == "A-99"
    assert str(report.effectiveDateTime) == "2026-03-04"
    assert report.issued.isoformat() == "2026-03-04T05:06:07+00:00"
    assert report.conclusionCode[0].coding[0].code == "233604007"
    urls = [entry["fullUrl"] for entry in json.loads(message())["entry"]]
    assert [one.reference for one in report.result] == urls[:-1]


def test_observations_have_codes_units_and_answers() -> None:
    _, observations = parsed(message())
    by_code = {one.code.coding[0].code: one for one in observations if one.code.coding}

    answer, volume_, share = by_code["233604007"], by_code["118565006"], by_code["122157"]
    assert answer.valueCodeableConcept.coding[0].code == "52101004"
    assert (float(volume_.valueQuantity.value), volume_.valueQuantity.code, volume_.valueQuantity.system) == (
        0.1008,
        "ml",
        "http://unitsofmeasure.org",
    )
    assert (volume_.code.text, volume_.bodySite.text, volume_.component[0].valueCodeableConcept.text) == (
        "Right lung, volume",
        "Chest",
        "Right",
    )
    assert float(share.valueQuantity.value) == 93.0
    assert [len(one.note) for one in (answer, volume_, share)] == [1, 1, 2]
    assert share.note[1].text.startswith("Calibration: expected error 0.10 (95 % 0.07 to 0.17) in 10 bins on 151 images")
    methods = {one.method.text for one in observations if one.method}
    assert methods == {"Mean", "Standard Deviation", "Minimum", "Maximum"}
    assert not any(one.interpretation for one in observations)  # no model states what is normal


def test_conclusion_and_names_are_in_the_language_of_the_destination() -> None:
    report, observations = parsed(message("fhir.es"))

    assert report.language == "es"
    assert "no verificado por un médico" in report.conclusion
    assert "Pulmón derecho, volumen" in [one.code.text for one in observations]
    assert observations[0].valueCodeableConcept.text == "presente"
    assert observations[0].valueCodeableConcept.coding[0].display == "Present"


def test_each_resource_is_created_only_where_its_identifier_is_not_there() -> None:
    entries = json.loads(message())["entry"]
    asked = [entry["request"]["ifNoneExist"] for entry in entries]

    assert len(set(asked)) == len(entries)
    for entry, query in zip(entries, asked, strict=True):
        identifier = entry["resource"]["identifier"][0]
        assert query == f"identifier={identifier['system']}|{identifier['value']}"
    assert message() == message()


def test_the_issuer_of_the_id_is_its_system_where_it_is_stated() -> None:
    qualifier = Dataset()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = "1.2.3.4", "ISO"
    report, _ = parsed(message(IssuerOfPatientIDQualifiersSequence=[qualifier], IssuerOfPatientID="HOSPITAL"))

    assert (report.subject.identifier.system, report.subject.identifier.assigner.display) == ("urn:oid:1.2.3.4", "HOSPITAL")


def test_what_the_images_do_not_say_is_left_out() -> None:
    report, _ = parsed(message(PatientID="", PatientName="", AccessionNumber="", StudyDate=""))

    assert report.subject is None
    assert report.basedOn is None
    assert report.effectiveDateTime is None
