"""What destinations want first, and how they want it named, as it arrives there."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from node.doubles.archive import Archive
from node.store.destinations import Destination, FolderDestination
from tests.integration.encoded_results import catalog_for, deliver, encoded, publish
from tests.story import STUDY

FOUND = {"key": "pneumonia", "name": "Pneumonia", "probability": 0.9, "verdict": "present", "raised": True}


def test_urgent_results_arrive_before_those_that_waited_longer(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive") as archive:
        pacs = Destination(name="pacs", ae_title="ARCHIVE", host="127.0.0.1", port=archive.port, urgent=("pneumonia",))
        with catalog_for(tmp_path / "data", pacs) as story:
            for study, summary in (("1.2.1", {}), ("1.2.2", {"findings": [FOUND]}), ("1.2.3", {})):
                publish(story, encoded(study=study), "pacs", study=study, summary=summary)
            deliver(story)
        arrived = [store.study_uid for store in archive.stores()]
    assert arrived == ["1.2.2"] * 3 + ["1.2.1"] * 3 + ["1.2.3"] * 3


def test_each_destination_has_series_as_it_names_them(tmp_path: Path) -> None:
    for name in ("own", "named"):
        (tmp_path / name).mkdir()
    own = FolderDestination(name="own", folder=tmp_path / "own")
    says = {"series_number": "9{source:03}{kind}", "series_description": "AI {kind} of {source}"}
    named = FolderDestination.model_validate({"name": "named", "folder": tmp_path / "named", **says})
    with catalog_for(tmp_path / "data", own, named) as story:
        publish(story, (*encoded(), *encoded(naming=named.naming)), "own", "named")
        deliver(story)
        assert {str(one.state) for one in story.study().deliveries} == {"sent"}
    arrived = {
        name: sorted((one.SeriesNumber, one.SeriesDescription) for one in map(dcmread, (tmp_path / name / STUDY).iterdir()))
        for name in ("own", "named")
    }
    assert arrived["named"] == [
        (90031, "AI segmentation of Body 3.0"),
        (90032, "AI measurements of Body 3.0"),
        (90033, "AI report of Body 3.0"),
    ]
    assert ["Overread" in description and 10000 <= number <= 99999 for number, description in arrived["own"]] == [True] * 3
    assert not set(arrived["own"]) & set(arrived["named"])
