from __future__ import annotations

import pytest
from pydantic import ValidationError

from node.store.destinations import FhirDestination, FolderDestination, Hl7Destination
from node.store.profiles import language_of, taken, usual


def test_what_holds_text_is_wanted_in_the_language_of_the_destination() -> None:
    german = FolderDestination(name="a", folder="/a", profile="ohif", language="de")
    english = FolderDestination(name="b", folder="/b", kinds=("report",))

    assert set(german.wanted) == {"fractional", "findings", "report.de", "capture.de"}
    assert english.wanted == ("report",)
    assert [language_of(kind) for kind in ("report.de", "report", "seg")] == ["de", "en", "en"]


def test_each_destination_takes_its_language_and_english_where_that_was_not_made() -> None:
    made = {"seg", "report", "report.de"}

    assert taken({"seg", "report.de"}, made) == {"seg", "report.de"}
    assert taken({"report"}, made) == {"report"}
    assert taken({"seg", "report.fr"}, made) == {"seg", "report"}


def test_viewers_that_lose_their_way_in_binary_ones_get_segmentations_of_bytes() -> None:
    orthanc, plain = FolderDestination(name="a", folder="/a", profile="orthanc"), FolderDestination(name="b", folder="/b")
    told = FolderDestination(name="c", folder="/c", profile="ohif", seg="binary", kinds=("seg", "rejection"))

    assert orthanc.wanted == ("fractional", "fractional-measurements", "findings", "report")
    assert plain.wanted == ("seg", "measurements", "report")
    assert told.wanted == ("seg", "rejected-seg")


def test_the_usual_stands_for_what_was_not_made() -> None:
    assert taken({"fractional", "fractional-measurements", "report.de"}, {"seg", "measurements", "report"}) == {
        "seg",
        "measurements",
        "report",
    }
    assert taken({"fractional", "rejected-fractional"}, {"seg", "fractional", "rejected-seg"}) == {"fractional", "rejected-seg"}
    assert taken({"labelmap"}, {"seg", "fractional"}) == {"seg"}
    assert [usual(kind) for kind in ("seg", "capture.fr", "rejected-labelmap", "rejected-capture")] == [
        "seg",
        "capture",
        "rejected-seg",
        "rejected-capture",
    ]


def test_what_is_refused_is_followed_whichever_way_it_was_written() -> None:
    both = FolderDestination(name="a", folder="/a", profile="orthanc", instead={"seg": "capture"}, language="de")
    assert both.replaced == {"fractional": "capture.de", "seg": "capture.de"}


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
