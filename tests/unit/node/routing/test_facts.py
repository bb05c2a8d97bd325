"""Facts are read from headers; absent ones are empty, never guessed."""

from __future__ import annotations

import json

from pydicom.dataset import Dataset

from node.routing.facts import FACTS, read_keywords
from tests import dicom


def test_facts_of_a_ct() -> None:
    facts = read_keywords(dicom.ct_series(slices=1)[0])
    assert facts["modality"] == facts["Modality"] == "CT"
    assert facts["ImageType"] == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert (facts["rows"], facts["columns"], facts["frames"]) == (16, 12, 1)
    assert (facts["RescaleIntercept"], facts["rescaled"], facts["colour"], facts["contrast"]) == (-1024, True, False, False)


def test_absent_is_empty() -> None:
    facts = read_keywords(Dataset())
    assert facts["SeriesDescription"] == ""
    assert facts["ImageType"] == []
    assert facts["KVP"] is None
    assert facts["body_part"] == facts["view"] == facts["modality"] == ""


def test_facts_are_json_and_in_the_table() -> None:
    facts = read_keywords(dicom.radiograph())
    assert json.loads(json.dumps(facts)) == facts
    assert facts.keys() <= FACTS.keys()


def test_body_part_and_view_come_from_codes_where_the_plain_ones_are_absent() -> None:
    film = dicom.radiograph(view="", body_part="")
    region, view = Dataset(), Dataset()
    region.CodeMeaning, view.CodeMeaning = "Chest", "postero-anterior"
    film.AnatomicRegionSequence, film.ViewCodeSequence = [region], [view]
    facts = read_keywords(film)
    assert (facts["body_part"], facts["view"]) == ("CHEST", "POSTERO-ANTERIOR")


def test_contrast_needs_an_agent() -> None:
    dataset = dicom.ct_series(slices=1)[0]
    dataset.ContrastBolusAgent = "NONE"
    assert read_keywords(dataset)["contrast"] is False
    dataset.ContrastBolusAgent = "ISOVUE"
    assert read_keywords(dataset)["contrast"] is True


def test_an_enhanced_object_states_its_values_in_functional_groups() -> None:
    facts = read_keywords(dicom.enhanced())
    assert (facts["RescaleIntercept"], facts["RescaleType"], facts["slice_thickness_mm"], facts["frames"]) == (-1024, "HU", 3, 4)
    assert facts["rescaled"] is True
