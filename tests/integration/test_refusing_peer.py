"""An archive that nobody here wrote refuses segmentations at negotiation: pictures follow, and a person sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from typer.testing import CliRunner

from node.commands.studies import study
from node.store.destinations import Destination
from node.store.settings import dump_settings
from tests.integration.encoded_results import deliver, due, encoded
from tests.integration.storescp_peer import storescp
from tests.story import STUDY

pytestmark = pytest.mark.peer

EXPLICIT = (str(ExplicitVRLittleEndian),)
SEG_REFUSED = "does not accept SOP class 1.2.840.10008.5.1.4.1.1.66.4: allow it there"


@pytest.mark.parametrize(
    "says", [{"kinds": ("seg", "report"), "instead": {"seg": "capture"}}, {"profile": "dcm4chee", "kinds": ("seg", "report")}]
)
def test_pictures_arrive_where_segmentations_are_refused(tmp_path: Path, says: dict[str, object]) -> None:
    takes = {str(SecondaryCaptureImageStorage): EXPLICIT, str(BasicTextSRStorage): EXPLICIT}
    objects = encoded("capture")
    with storescp(tmp_path / "inbox", takes) as port:
        pacs = {"name": "pacs", "ae_title": "STORESCP", "host": "127.0.0.1", "port": port, **says}
        with due(tmp_path / "data", Destination.model_validate(pacs), objects) as story:
            deliver(story)
            view = story.study()
            dump_settings(story.settings, tmp_path / "overread.json")
    arrived = {str(dcmread(path).SOPInstanceUID) for path in (tmp_path / "inbox").iterdir()}
    assert arrived == {one.sop_instance_uid for one in objects if one.kind in {"capture", "report"}}
    fates = sorted((one.kind, str(one.state)) for one in view.deliveries)
    assert fates == [("capture", "sent"), ("capture", "sent"), ("report", "sent"), ("seg", "failed")]
    (refused,) = [one.reason for one in view.deliveries if one.kind == "seg"]
    assert refused.endswith(SEG_REFUSED)
    shown = CliRunner().invoke(study, [STUDY, "--config", str(tmp_path / "overread.json")], env={"COLUMNS": "200"})
    assert "capture to pacs, for seg" in shown.output
    assert "sent instead" in shown.output


def test_nothing_follows_where_it_is_taken(tmp_path: Path) -> None:
    objects = encoded("capture")
    takes = {one.sop_class_uid: EXPLICIT for one in objects}
    with storescp(tmp_path / "inbox", takes) as port:
        pacs = Destination(
            name="pacs", ae_title="STORESCP", host="127.0.0.1", port=port, kinds=("seg", "report"), instead={"seg": "capture"}
        )
        with due(tmp_path / "data", pacs, objects) as story:
            deliver(story)
            assert sorted((one.kind, str(one.state)) for one in story.study().deliveries) == [("report", "sent"), ("seg", "sent")]
