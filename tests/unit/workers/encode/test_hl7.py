from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from models.prediction import Prediction, Rating, Segmentation
from tests.unit.workers.encode.samples import CALIBRATION, affine_of, identity, manifest, radiograph, slices_of, volume
from workers.encode.encode import encode
from workers.encode.hl7 import escaped

MASK = np.ones((3, 4, 5), dtype=bool)


def message(kind: str = "hl7", answer: Prediction | None = None, **source: Any) -> bytes:
    image = volume(affine_of(), (3, 4, 5))
    given = answer or Prediction(Segmentation({"right_lung": MASK}, absent=("bone",)), (Rating("pneumonia", 0.93),))
    made = encode(given, image, slices_of(image, **source), manifest(), identity(), extras=(kind,))
    return bytes(next(one.content for one in made if one.kind == kind))


def parsed(content: bytes) -> Message:
    read = parse_message(content.decode("utf-8"), validation_level=VALIDATION_LEVEL.STRICT)
    assert read.validate()
    return read


def results(content: bytes) -> list[Any]:
    return [group.obx for group in parsed(content).oru_r01_patient_result.oru_r01_order_observation.oru_r01_observation]


def value(result: Any, text: str = "obx_5") -> str:
    return str(getattr(result, text).to_er7())


def test_a_parser_that_is_not_ours_finds_header_patient_and_order() -> None:
    read = parsed(message())
    patient = read.oru_r01_patient_result.oru_r01_patient
    order = read.oru_r01_patient_result.oru_r01_order_observation.obr

    assert (read.msh.msh_9.to_er7(), read.msh.msh_11.to_er7(), read.msh.msh_18.to_er7()) == (
        "ORU^R01^ORU_R01",
        "P",
        "UNICODE UTF-8",
    )
    assert re.fullmatch(r"\d{20}", read.msh.msh_10.to_er7())
    assert (patient.pid.pid_3.pid_3_1.to_er7(), patient.pid.pid_5.pid_5_1.to_er7(), patient.pid.pid_5.pid_5_2.to_er7()) == (
        "P-17",
        "Doe",
        "Jane",
    )
    assert (patient.pid.pid_7.to_er7(), patient.pid.pid_8.to_er7()) == ("19700102", "F")
    assert patient.oru_r01_visit.pv1.pv1_8.to_er7() == "^Roe^Richard"
    assert (order.obr_18.to_er7(), order.obr_25.to_er7(), order.obr_7.to_er7()) == ("A-99", "P", "20260304040506")


def test_numbers_answers_and_sentences_are_results_of_their_own() -> None:
    found = results(message())

    study = found[0]
    assert (value(study, "obx_3"), value(study)) == ("113014^DICOM Study^DCM", f"^{identity().study_uid}^ISO")
    by_code = {value(one, "obx_3").split("^")[0]: one for one in found}
    assert value(by_code["233604007"]) == "52101004^Present^SCT"
    assert (value(by_code["122157"]), value(by_code["122157"], "obx_6")) == ("93", "%^Percent^UCUM")
    assert (value(by_code["118565006"]), value(by_code["118565006"], "obx_6")) == ("0.1008", "ml^milliliter^UCUM")
    assert value(by_code["272741003"]) == "24028007^Right^SCT"
    means = {value(one, "obx_17").split("^")[1] for one in found if value(one, "obx_3").startswith("112031")}
    assert means == {"Mean", "Standard Deviation", "Minimum", "Maximum"}
    assert {value(one, "obx_11") for one in found} == {"P"}
    assert {value(one, "obx_8") for one in found} == {""}  # no model states what is normal
    told = [(value(one, "obx_3"), value(one, "obx_4")) for one in found]
    assert len(told) == len(set(told))


@pytest.mark.parametrize(
    ("kind", "words"),
    [("hl7", "not verified by a physician"), ("hl7.de", "nicht ärztlich geprüft"), ("hl7.fr", "non vérifié par un médecin")],
)
def test_sentences_are_in_the_language_of_the_destination(kind: str, words: str) -> None:
    assert any(words in value(one) for one in results(message(kind)) if value(one, "obx_2") == "TX")


def test_the_sentence_of_a_finding_says_how_far_its_probability_holds() -> None:
    answer = Prediction(ratings=(Rating("pneumonia", 0.93, None, CALIBRATION),))
    # hl7apy, where it is strict, takes texts (TX, up to 65,536 letters) of more than 199 letters for too long: read without it
    lines = [line for given in (answer, None) for line in message(answer=given).decode("utf-8").split("\r")]
    measured, unmeasured = (line.split("|")[5] for line in lines if "Probability 0.93" in line)

    assert measured.endswith("expected error 0.10 (95 % 0.07 to 0.17) in 10 bins on 151 images not learned from (films/val).")
    assert unmeasured.endswith("Calibration not measured.")


def test_names_with_groups_and_delimiters_arrive_as_they_are() -> None:
    read = parsed(
        message(
            SpecificCharacterSet="ISO_IR 192",
            PatientName="Yamada&|~^Tarou^^Dr.^III=山田^太郎=やまだ^たろう",
            IssuerOfPatientID="H|1",
        )
    )
    names = read.oru_r01_patient_result.oru_r01_patient.pid.pid_5

    assert names[0].pid_5_1.to_er7() == "Yamada\\T\\\\F\\\\R\\"
    assert (names[0].pid_5_4.to_er7(), names[0].pid_5_5.to_er7(), names[0].pid_5_8.to_er7()) == ("III", "Dr.", "A")
    assert [(one.pid_5_1.to_er7(), one.pid_5_8.to_er7()) for one in names[1:]] == [("山田", "I"), ("やまだ", "P")]
    assert read.oru_r01_patient_result.oru_r01_patient.pid.pid_3.to_er7() == "P-17^^^H\\F\\1"


def test_what_the_images_do_not_say_is_left_empty() -> None:
    bare = {
        "PatientName": "",
        "PatientBirthDate": "",
        "PatientSex": "",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "StudyTime": "",
    }
    content = message(**bare)

    assert b"\rPV1" not in content
    assert parsed(content).oru_r01_patient_result.oru_r01_order_observation.obr.obr_7.to_er7() == "20260304"


def test_the_same_answer_gives_the_same_message() -> None:
    assert message() == message()
    assert message().split(b"|")[9] != message("hl7.de").split(b"|")[9]


def test_a_film_without_spacing_has_pixels_as_its_unit() -> None:
    from models.image import SpacingKind

    image, source = radiograph(SpacingKind.NONE)
    answer = Prediction(Segmentation({"bone": np.ones(image.array.shape, dtype=bool)}))
    made = encode(answer, image, [source], manifest(), identity(), extras=("hl7",))
    area = next(one for one in results(bytes(made[-1].content)) if value(one, "obx_3").startswith("42798000"))

    assert (value(area), value(area, "obx_6")) == ("120", "{pixels}^pixels^UCUM")


@given(st.text())
def test_no_text_ends_a_field_or_a_segment(text: str) -> None:
    told = escaped(text)

    assert not set(told) & set("|^&~\r\n\x0b\x1c")
    back = re.sub(r"\\([FSTRE])\\", lambda found: dict(zip("FSTRE", "|^&~\\", strict=True))[found[1]], told)
    assert back == " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
