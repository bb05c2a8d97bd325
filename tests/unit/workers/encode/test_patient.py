from __future__ import annotations

from typing import Any

import pytest
from pydicom import config

from node.store.errors import Refused
from tests.unit.workers.encode.samples import patient
from workers.encode.patient import OPTIONAL, REQUIRED, patient_and_study


def test_patient_and_study_are_carried_over_as_they_are() -> None:
    source = patient(
        TimezoneOffsetFromUTC="+0100", PatientAge="056Y", PatientWeight="61.2350", SeriesDescription="not of the study"
    )

    copied = patient_and_study([source, source])

    assert copied.dropped == ()
    assert {element.keyword for element in copied.attributes} <= {"SpecificCharacterSet", *REQUIRED, *OPTIONAL}
    for element in copied.attributes:
        assert element == source[element.tag], element.keyword
    assert "TimezoneOffsetFromUTC" in copied.attributes


@pytest.mark.parametrize("keyword", sorted(set(REQUIRED) - {"StudyInstanceUID"}))
def test_what_must_be_present_is_there_even_if_the_source_has_lost_it(keyword: str) -> None:
    source = patient()
    del source[keyword]

    copied = patient_and_study([source])

    assert keyword in copied.attributes
    assert not copied.attributes[keyword].value
    assert copied.dropped == ()


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "female"),
        ("PatientBirthDate", "02.01.1970"),
        ("PatientAge", "62"),
        ("StudyTime", "noon"),
        ("StudyID", "far too long for it"),
    ],
)
def test_an_illegal_value_is_left_out_and_named_without_it(keyword: str, value: str) -> None:
    with config.disable_value_validation():
        source = patient(**{keyword: value})

    copied = patient_and_study([source])

    assert copied.dropped == (keyword,)
    assert not copied.attributes.get(keyword)
    assert (keyword in copied.attributes) == (keyword in REQUIRED)


def test_what_an_archive_matches_by_is_kept_even_if_illegal() -> None:
    long = {"PatientID": "P" * 70, "AccessionNumber": "A" * 20}
    with config.disable_value_validation():
        source = patient(**long)

    copied = patient_and_study([source])

    assert {keyword: copied.attributes[keyword].value for keyword in long} == long
    assert copied.dropped == ()


@pytest.mark.parametrize(
    "other",
    [{"PatientID": "P-18"}, {"StudyInstanceUID": "1.2.3"}, {"SeriesInstanceUID": "1.2.3"}, {"FrameOfReferenceUID": "1.2.3"}],
)
def test_two_patients_studies_or_series_are_never_mixed(other: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        patient_and_study([patient(), patient(**other)])

    assert refused.value.code == "mixed-sources"
    assert "P-18" not in refused.value.reason


def test_a_source_without_a_study_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        patient_and_study([patient(StudyInstanceUID="")])

    assert refused.value.code == "no-study"


def test_no_source_is_refused() -> None:
    with pytest.raises(Refused):
        patient_and_study([])
