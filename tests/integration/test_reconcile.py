"""Whose study is it? Results are held where the destination says: somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.store.destinations import Destination
from node.store.states import DeliveryState
from tests.integration.dimse_node import files
from tests.integration.orthanc_peer import Orthanc
from tests.integration.sending import Sent, orthanc_beside, sending
from tests.story import STUDY

pytestmark = pytest.mark.peer


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc_beside(tmp_path) as (peer, _):
        yield peer


def asked_first(peer: Orthanc) -> Destination:
    return Destination(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=peer.port, reconcile=True)


def states(sent: Sent) -> list[DeliveryState]:
    return [one.state for one in sent.story.study().deliveries]


@pytest.mark.parametrize(
    ("there", "differs"),
    [({"PatientID": "OTHER"}, "Patient ID"), ({"AccessionNumber": "A-2"}, "Accession Number")],
)
def test_results_are_held_until_a_person_has_looked(
    tmp_path: Path, orthanc: Orthanc, there: dict[str, str], differs: str
) -> None:
    ours = {"PatientID": "P1", "AccessionNumber": "A-1"}
    orthanc.take(*files(tmp_path / "theirs", 7, study=STUDY, **{**ours, **there}))
    with sending(tmp_path / "node", asked_first(orthanc), **ours) as sent:
        sent.deliver()
        assert states(sent) == [DeliveryState.HELD] * 2
        reason = sent.story.study().deliveries[0].reason
        assert f"under another {differs}" in reason
        assert not {"OTHER", "P1", "A-1", "A-2"} & set(reason.split()), "no patient data"
        assert sent.story.kinds().count("delivery held") == 2
        assert sent.story.catalog.outbox.send_again(STUDY) == 2
        sent.deliver()
        assert states(sent) == [DeliveryState.HELD] * 2, "nothing has changed there"
        assert sent.story.catalog.outbox.send_again(STUDY, release=True) == 2
        sent.deliver()
        assert states(sent) == [DeliveryState.SENT] * 2


@pytest.mark.parametrize("there", [None, {"AccessionNumber": ""}, {}])
def test_results_go_where_nothing_differs_or_nothing_is_known(
    tmp_path: Path, orthanc: Orthanc, there: dict[str, str] | None
) -> None:
    ours = {"PatientID": "P1", "AccessionNumber": "A-1"}
    if there is not None:
        orthanc.take(*files(tmp_path / "theirs", 7, study=STUDY, **{**ours, **there}))
    with sending(tmp_path / "node", asked_first(orthanc), **ours) as sent:
        sent.deliver()
        assert states(sent) == [DeliveryState.SENT] * 2


def test_what_cannot_be_asked_waits(tmp_path: Path, orthanc: Orthanc) -> None:
    away = asked_first(orthanc).model_copy(update={"port": 9})
    with sending(tmp_path / "node", away) as sent:
        sent.deliver()
        assert states(sent) == [DeliveryState.DUE] * 2
