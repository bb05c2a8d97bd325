"""What a destination keeps of what it was sent: its commitment, and whether it can be found there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from node.delivery import stow
from node.delivery.prover import Prover
from node.delivery.qido import missing_of_web
from node.doubles.archive import Archive
from node.store.destinations import Destination, WebDestination
from node.store.states import DeliveryState
from tests.integration.dimse_node import limits
from tests.integration.orthanc_peer import Orthanc, running_orthanc, until
from tests.integration.sending import Sent, orthanc_beside, sending
from tests.integration.test_commitment import VNA
from tests.story import STUDY

WEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


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


@contextmanager
def archive_that_commits(has: set[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[VNA]:
    """Scripted archive (pynetdicom) that reports on the association of the request: Orthanc knows the other way only."""
    monkeypatch.setattr("node.commitment.ask.REPORT_WAIT_S", 60.0)
    archive = VNA(has)
    try:
        yield archive
    finally:
        archive.ae.shutdown()


def asked(sent: Sent, archive: VNA) -> list[str]:
    """One look, at which the archive is asked and reports; what is proven then."""
    sent.story.clock.advance(1)
    reporting = threading.Thread(target=lambda: (until(lambda: archive.pending), archive.report()))
    reporting.start()
    sent.ask(sent.destination.model_copy(update={"port": archive.port}))
    reporting.join(60)
    return [one.proof for one in sent.story.study().deliveries]


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Sent]:
    """Two objects that a destination with ``commit`` has stored."""
    with Archive(tmp_path / "store", ae_title="VNA") as store:
        destination = Destination(name="pacs", ae_title="VNA", host="127.0.0.1", port=store.port, commit=True)
        with sending(tmp_path, destination) as sent:
            sent.deliver()
            yield sent


def uids(sent: Sent) -> set[str]:
    return {one.sop_instance_uid for one in sent.story.study().deliveries}


def away(sent: Sent) -> Destination:
    return sent.destination.model_copy(update={"port": 9})


def test_a_report_on_the_association_of_the_request_proves_at_once(stored: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    with archive_that_commits(uids(stored), monkeypatch) as archive:
        assert asked(stored, archive) == ["committed"] * 2


def test_one_that_was_down_for_long_has_its_time_from_when_it_took_the_request(
    stored: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        stored.ask(away(stored))
        stored.story.clock.advance(3600)
    with archive_that_commits(set(), monkeypatch) as archive:
        assert asked(stored, archive) == ["not proven yet"] * 2, "it has had no time at all"
        stored.story.clock.advance(50)
        assert asked(stored, archive) == ["not proven yet"] * 2
        archive.has |= uids(stored)
        assert asked(stored, archive) == ["committed"] * 2


def test_one_that_takes_longer_to_report_than_we_wait_before_we_ask_anew_proves_all_the_same(
    stored: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report is of one request: asked anew each quarter of an hour, the newest would never be the one reported on."""
    takes = timedelta(minutes=40)
    with archive_that_commits(uids(stored), monkeypatch) as archive:
        monkeypatch.setattr("node.commitment.ask.REPORT_WAIT_S", 0.1)
        destination = stored.destination.model_copy(update={"port": archive.port})
        commitments, clock, reported = stored.story.catalog.commitments, stored.story.clock, dict[str, datetime]()
        while {one.proof for one in stored.story.study().deliveries} != {"committed"}:
            stored.ask(destination)
            for _, report in archive.pending:
                asked_at = reported.setdefault(str(report.TransactionUID), clock.now())
                if clock.now() >= asked_at + takes:  # over an association of its own, which the listener keeps
                    commitments.answered(str(report.TransactionUID), dict.fromkeys(uids(stored), 0))
            clock.advance(60)
            assert len(archive.requests) < 7
    assert len(archive.requests) == 4, "at once, and after 15, 30 and 60 minutes"


def test_what_it_has_not_after_its_time_is_not_proven_though_it_was_down_meanwhile(
    stored: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    with archive_that_commits(set(), monkeypatch) as archive:
        assert asked(stored, archive) == ["not proven yet"] * 2
        stored.story.clock.advance(1)
        stored.ask(away(stored))
        stored.story.clock.advance(60)
        assert asked(stored, archive) == ["not proven"] * 2
    assert "failure reason 0112" in stored.story.study().deliveries[0].proof_reason


def test_one_that_rejects_us_is_asked_again(stored: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    with archive_that_commits(uids(stored), monkeypatch) as archive:
        archive.ae.require_calling_aet = ["SOMEBODY"]
        stored.ask(stored.destination.model_copy(update={"port": archive.port}))
        (one, _) = stored.story.study().deliveries
        assert (one.proof, "rejected the association" in one.proof_reason) == ("not proven yet", True)
        archive.ae.require_calling_aet = []
        assert asked(stored, archive) == ["committed"] * 2


def test_one_that_is_away_for_as_long_as_a_delivery_is_tried_is_given_up(stored: Sent) -> None:
    few = stored.node.settings.model_copy(update={"limits": limits(delivery_give_up_s=1.0)})
    prover = Prover(few, stored.story.catalog.proofs, stored.story.catalog.commitments, clock=stored.story.clock)
    for _ in range(4):
        assert prover.prove(away(stored)) == 2
        stored.story.clock.advance(1)
    assert prover.prove(away(stored)) == 0
    assert {one.proof for one in stored.story.study().deliveries} == {"not proven"}
    assert "given up after 4 tries" in stored.story.study().deliveries[0].proof_reason


def test_one_that_cannot_commit_is_named_and_one_that_is_away_is_asked_for_days(stored: Sent) -> None:
    for _ in range(20):
        stored.ask(away(stored))
        stored.story.clock.advance(3600)
    assert [one.proof for one in stored.story.study().deliveries] == ["not proven yet"] * 2
    assert stored.prove() == ["not proven"] * 2, "this archive offers no storage commitment: asking again is no use"
    assert "does not accept SOP class 1.2.840.10008.1.20.1" in stored.story.study().deliveries[0].proof_reason


@pytest.mark.peer
def test_a_web_archive_that_said_success_and_forgot_is_found_out_and_gets_it_again(tmp_path: Path) -> None:
    if not WEB_PLUGIN.exists():
        pytest.skip("needs the Debian package orthanc-dicomweb")
    plugins: dict[str, object] = {"Plugins": [str(WEB_PLUGIN)], "DicomWeb": {"Enable": True}}
    with running_orthanc(tmp_path, 11112, **plugins) as peer:
        web = WebDestination(name="web", url=f"http://127.0.0.1:{peer.http}/dicom-web", find=True)
        until(lambda: not stow.ask(web, 10.0))
        with sending(tmp_path / "node", web) as sent:
            sent.deliver()
            assert [one.proof for one in sent.story.study().deliveries] == ["not proven yet"] * 2
            forgotten = sent.story.study().deliveries[0].sop_instance_uid
            (found,) = peer.post("/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": forgotten}})
            peer.delete(f"/instances/{found}")
            assert sorted(sent.prove()) == ["found", "not proven yet"], "it may still be on its way there"
            sent.story.clock.advance(60)
            assert sorted(sent.prove()) == ["found", "not proven"]
            lost = next(one for one in sent.story.study().deliveries if one.proof == "not proven")
            assert (lost.sop_instance_uid, lost.state) == (forgotten, DeliveryState.SENT)
            assert "does not find it" in lost.proof_reason
            assert sent.story.catalog.outbox.send_again(STUDY) == 1
            sent.deliver()
            assert sent.prove() == ["found"] * 2
            assert missing_of_web(web, [("2.25.9", "2.25.9", "2.25.9")]) == {"2.25.9"}
