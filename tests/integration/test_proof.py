"""What a destination keeps of what it was sent: its commitment, and whether it can be found there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.doubles.archive import Archive
from node.store.destinations import Destination
from node.store.states import DeliveryState
from tests.integration.orthanc_peer import Orthanc, until
from tests.integration.sending import orthanc_beside, sending
from tests.integration.test_commitment import VNA
from tests.story import STUDY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.commitment.ask.REPORT_WAIT_S", 0.5)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[tuple[Orthanc, int]]:
    """One that reports to the port of a listener to come."""
    with orthanc_beside(tmp_path) as peer:
        yield peer


def keeping(peer: Orthanc) -> Destination:
    return Destination(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=peer.port, commit=True, find=True)


@pytest.mark.peer
def test_orthanc_commits_over_an_association_of_its_own_and_then_finds(tmp_path: Path, orthanc: tuple[Orthanc, int]) -> None:
    peer, port = orthanc
    with sending(tmp_path / "node", keeping(peer), port) as sent:
        sent.deliver()
        assert [one.proof for one in sent.story.study().deliveries] == ["not proven yet"] * 2
        until(lambda: sent.prove() == ["found"] * 2)
        kinds = sent.story.kinds()
        assert (kinds.count("committed"), kinds.count("found")) == (2, 2)
        assert kinds.index("delivered") < kinds.index("committed") < kinds.index("found")


@pytest.mark.peer
def test_an_archive_that_said_success_and_forgot_is_found_out_and_gets_it_again(
    tmp_path: Path, orthanc: tuple[Orthanc, int]
) -> None:
    peer, port = orthanc
    with sending(tmp_path / "node", keeping(peer), port) as sent:
        sent.deliver()
        forgotten = sent.story.study().deliveries[0].sop_instance_uid
        (found,) = peer.post("/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": forgotten}})
        peer.delete(f"/instances/{found}")

        def outcome() -> bool:
            sent.story.clock.advance(5)
            return set(sent.prove()) == {"not proven", "found"}

        until(outcome)
        lost = next(one for one in sent.story.study().deliveries if one.proof == "not proven")
        assert lost.sop_instance_uid == forgotten
        assert lost.state is DeliveryState.SENT
        assert "the destination did not commit it" in lost.proof_reason
        assert "not proven" in sent.story.kinds()
        assert sent.story.catalog.outbox.send_again(STUDY) == 1
        sent.deliver()
        until(lambda: sent.prove() == ["found"] * 2)


def test_a_report_on_the_association_of_the_request_proves_at_once(tmp_path: Path) -> None:
    """Scripted archive (pynetdicom): Orthanc knows the other way only."""
    with Archive(tmp_path / "store", ae_title="VNA") as store:
        destination = Destination(name="pacs", ae_title="VNA", host="127.0.0.1", port=store.port, commit=True)
        with sending(tmp_path, destination) as sent:
            sent.deliver()
            uids = {one.sop_instance_uid for one in sent.story.study().deliveries}
            archive = VNA(has=uids)
            try:
                asked = destination.model_copy(update={"port": archive.port})
                reporting = threading.Thread(target=lambda: (until(lambda: archive.pending), archive.report()))
                reporting.start()
                sent.ask(asked)
                reporting.join(60)
                proven = sent.prove()
            finally:
                archive.ae.shutdown()
            assert proven == ["committed"] * 2


def test_one_that_cannot_commit_is_named_and_one_that_is_away_is_asked_for_days(tmp_path: Path) -> None:
    with Archive(tmp_path / "store", ae_title="VNA") as store:
        destination = Destination(name="pacs", ae_title="VNA", host="127.0.0.1", port=store.port, commit=True)
        with sending(tmp_path, destination) as sent:
            sent.deliver()
            away = destination.model_copy(update={"port": 9})
            for _ in range(20):
                sent.ask(away)
                sent.story.clock.advance(3600)
            assert [one.proof for one in sent.story.study().deliveries] == ["not proven yet"] * 2
            assert sent.prove() == ["not proven"] * 2, "this archive offers no storage commitment: asking again is no use"
            assert "does not accept SOP class 1.2.840.10008.1.20.1" in sent.story.study().deliveries[0].proof_reason
