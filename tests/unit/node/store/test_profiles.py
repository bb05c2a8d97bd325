from __future__ import annotations

import pytest
from pydantic import ValidationError

from node.store.destinations import FhirDestination, FolderDestination, Hl7Destination
from node.store.profiles import language_of, taken


def test_what_holds_text_is_wanted_in_the_language_of_the_destination() -> None:
    german = FolderDestination(name="a", folder="/a", profile="ohif", language="de")
    english = FolderDestination(name="b", folder="/b", kinds=("report",))

    assert set(german.wanted) == {"seg", "findings", "report.de", "capture.de"}
    assert english.wanted == ("report",)
    assert [language_of(kind) for kind in ("report.de", "report", "seg")] == ["de", "en", "en"]


def test_each_destination_takes_its_language_and_english_where_that_was_not_made() -> None:
    made = {"seg", "report", "report.de"}

    assert taken({"seg", "report.de"}, made) == {"seg", "report.de"}
    assert taken({"report"}, made) == {"report"}
    assert taken({"seg", "report.fr"}, made) == {"seg", "report"}


def test_who_is_told_by_messages_gets_one_kind_in_its_language() -> None:
    assert Hl7Destination.model_validate({"name": "ris", "mllp": "h:2575", "language": "es"}).wanted == ("hl7.es",)
    assert FhirDestination(name="ehr", fhir="https://fhir/r4/").wanted == ("fhir",)
    for header in ("A|B", "A^B", "A\rB", "A\\B"):
        with pytest.raises(ValidationError):
            Hl7Destination.model_validate({"name": "ris", "mllp": "h:2575", "receiving_facility": header})
    with pytest.raises(ValidationError):
        Hl7Destination.model_validate({"name": "ris", "mllp": "h:2575", "kinds": ["seg"]})
    with pytest.raises(ValidationError):
        FhirDestination(name="ehr", fhir="ftp://fhir")
