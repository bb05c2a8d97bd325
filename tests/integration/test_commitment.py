"""Telling a scanner that its images are safe, and asking an archive whether they are."""

from __future__ import annotations

import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from node.store.peers import Archive
from node.store.sources import Source
from tests.certificates import Authority
from tests.integration.dimse_node import DimseNode, dimse_node, files, limits
from tests.integration.orthanc_peer import Orthanc, free_port, running_orthanc, until

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
MODEL, INSTANCE = str(StorageCommitmentPushModel), str(StorageCommitmentPushModelInstance)


def request(*uids: str, transaction: str | None = None, sop_class: str = CT) -> Dataset:
    made = Dataset()
    made.TransactionUID = transaction or generate_uid()
    made.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        made.ReferencedSOPSequence.append(item)
    return made


def said(report: Dataset) -> tuple[str, list[str], dict[str, int]]:
    good = [str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence", [])]
    bad = {str(item.ReferencedSOPInstanceUID): int(item.FailureReason) for item in report.get("FailedSOPSequence", [])}
    return str(report.TransactionUID), good, bad


class Scanner:
    """A scripted requestor made with pynetdicom: asks, and takes reports on its association or on its own port."""

    def __init__(self, ae_title: str = "CT_1", answers: tuple[int, ...] = ()) -> None:
        self.ae = AE(ae_title)
        self.ae.add_requested_context(MODEL)
        self.ae.add_supported_context(MODEL, scu_role=True, scp_role=True)
        self.same: list[tuple[int, tuple[str, list[str], dict[str, int]]]] = []
        self.new: list[tuple[int, tuple[str, list[str], dict[str, int]]]] = []
        self.answers = list(answers)
        self.server: Any = None

    def listen(self, port: int = 0, tls: ssl.SSLContext | None = None) -> int:
        handlers: Any = [(evt.EVT_N_EVENT_REPORT, self._take, [self.new])]
        self.server = self.ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=tls)
        return int(self.server.server_address[1])

    def _take(self, event: Any, where: list[Any]) -> tuple[int, None]:
        where.append((int(event.event_type), said(event.event_information)))
        return (self.answers.pop(0) if self.answers else 0), None

    @contextmanager
    def associated(self, port: int) -> Iterator[Association]:
        made = self.ae.associate(
            "127.0.0.1", port, ae_title="OVERREAD", evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take, [self.same])]
        )
        assert made.is_established
        yield made
        if made.is_established:
            made.release()

    def ask(self, port: int, wanted: Dataset) -> int:
        """Ask and release at once; the status."""
        with self.associated(port) as association:
            return int(association.send_n_action(wanted, 1, MODEL, INSTANCE)[0].Status)

    def close(self) -> None:
        self.ae.shutdown()


@pytest.fixture
def scanner() -> Iterator[Scanner]:
    made = Scanner()
    yield made
    made.close()


def source(commitment: str = "node", port: int | None = None, ae_title: str = "CT_1") -> Source:
    return Source(ae_title=ae_title, commitment=commitment, report_to=f"127.0.0.1:{port}" if port else None)


def uid(number: int) -> str:
    return f"1.2.3.4.{number}"


def test_it_is_off_unless_said_otherwise_and_what_is_named_counts_all_the_same(tmp_path: Path, scanner: Scanner) -> None:
    with dimse_node(tmp_path) as node:
        node.send(*files(tmp_path / "f", 1))
        assert scanner.ask(node.listener.port, request(uid(1), uid(2))) == 0x0124
        (signal,) = until(lambda: node.catalog.signals.about("1.2.3"))
        assert signal.series == {"": {uid(1), uid(2)}}


def test_a_report_on_the_association_of_its_request(tmp_path: Path, scanner: Scanner) -> None:
    """Scripted requestor (pynetdicom), which has no port of its own for reports."""
    with dimse_node(tmp_path, sources=[source()]) as node:
        with scanner.associated(node.listener.port) as association:
            node.send(*files(tmp_path / "f", 1, 2))
            wanted = request(uid(1), uid(2))
            assert association.send_n_action(wanted, 1, MODEL, INSTANCE)[0].Status == 0
            until(lambda: scanner.same)
            another = request(uid(2))
            assert association.send_n_action(another, 1, MODEL, INSTANCE)[0].Status == 0, "the association goes on"
            until(lambda: len(scanner.same) == 2)
        assert scanner.same == [
            (1, (wanted.TransactionUID, [uid(1), uid(2)], {})),
            (1, (another.TransactionUID, [uid(2)], {})),
        ]
        until(lambda: sum(event.startswith("commitment reported") for event in node.events()) == 2)


def test_a_report_on_a_new_association_with_reasons_for_each_failure(
    tmp_path: Path, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.commitment.registrar.LEDGER_LAG_S", 0.5)
    port = scanner.listen()
    with dimse_node(tmp_path, sources=[source(port=port)]) as node:
        node.send(*files(tmp_path / "f", 1, 2, 3))
        (node.settings.spool / "in/1.2.3/1.2.3.4/1.2.3.4.3.dcm").unlink()
        wanted = request(uid(1), uid(3), uid(9))
        wanted.ReferencedSOPSequence.append(request(uid(2), sop_class=MR).ReferencedSOPSequence[0])
        assert scanner.ask(node.listener.port, wanted) == 0
        until(lambda: scanner.new)
        transaction, good, bad = scanner.new[0][1]
        assert (scanner.new[0][0], transaction) == (2, wanted.TransactionUID)
        assert good == [uid(1)]
        assert bad == {uid(3): 0x0112, uid(9): 0x0112, uid(2): 0x0119}


def test_a_report_over_tls_to_a_scanner_that_demands_a_certificate(tmp_path: Path, scanner: Scanner) -> None:
    authority, stranger = Authority(tmp_path, "hospital"), Authority(tmp_path, "elsewhere")
    scanners, ours = authority.issue("localhost", file="scanner"), authority.issue("ai.hospital.example", file="ours")
    taking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    taking.verify_mode = ssl.CERT_REQUIRED
    taking.load_cert_chain(scanners.certificate, scanners.key)
    port = scanner.listen(tls=taking)
    endpoint = {"host": "localhost", "port": port, "tls": True, "certificate": ours.certificate, "key": ours.key}

    def sources(ca: Path) -> list[dict[str, object]]:
        return [{"ae_title": "CT_1", "commitment": "node", "report_to": {**endpoint, "ca": ca}}]

    with dimse_node(tmp_path, sources=sources(stranger.ca)) as node:
        node.send(*files(tmp_path / "f", 1))
        assert scanner.ask(node.listener.port, request(uid(1))) == 0
        until(lambda: "not signed by a CA" in reason_of(node))
        assert scanner.new == [], "nothing is said to somebody whom we do not trust"
    with dimse_node(tmp_path, sources=sources(authority.ca)) as node:
        until(lambda: scanner.new)
        assert scanner.new[0][1][1:] == ([uid(1)], {})
        until(lambda: any(event.startswith("commitment reported") for event in node.events()))


def reason_of(node: DimseNode) -> str:
    """Why the one request to commit waits."""
    with closing(sqlite3.connect(node.settings.data / "catalog.sqlite")) as database:
        return str(database.execute("SELECT reason FROM commitments").fetchone()[0])


def test_a_repeat_is_reported_again_and_another_request_of_the_same_uid_fails(tmp_path: Path, scanner: Scanner) -> None:
    port = scanner.listen()
    with dimse_node(tmp_path, sources=[source(port=port)]) as node:
        node.send(*files(tmp_path / "f", 1, 2))
        wanted = request(uid(1), transaction="1.9.9")
        for count in (1, 2):
            assert scanner.ask(node.listener.port, wanted) == 0
            until(lambda: len(scanner.new) == count)  # noqa: B023 - waited for here
        assert scanner.ask(node.listener.port, request(uid(1), uid(2), transaction="1.9.9")) == 0
        until(lambda: len(scanner.new) == 3)
        assert [report for _, report in scanner.new] == [
            ("1.9.9", [uid(1)], {}),
            ("1.9.9", [uid(1)], {}),
            ("1.9.9", [], {uid(1): 0x0131, uid(2): 0x0131}),
        ]


def test_a_scanner_that_is_off_gets_its_report_when_it_is_back_over_a_restart_too(tmp_path: Path, scanner: Scanner) -> None:
    port = free_port()
    settings = {"sources": [source(port=port)]}
    with dimse_node(tmp_path, **settings) as node:
        node.send(*files(tmp_path / "f", 1))
        assert scanner.ask(node.listener.port, request(uid(1))) == 0
        until(lambda: any("decided" in event for event in node.events()))
    scanner.answers = [0x0110]
    scanner.listen(port)
    with dimse_node(tmp_path, **settings) as node:
        until(lambda: len(scanner.new) == 2)
        assert scanner.new[0] == scanner.new[1], "what was not taken is brought again"
        until(lambda: any(event.startswith("commitment reported") for event in node.events()))


def test_requests_that_are_not_right(tmp_path: Path, scanner: Scanner) -> None:
    nameless = request(uid(1))
    del nameless.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    with dimse_node(tmp_path, sources=[source()]) as node, scanner.associated(node.listener.port) as association:
        statuses = [
            association.send_n_action(request(uid(1)), 2, MODEL, INSTANCE)[0].Status,
            association.send_n_action(request(uid(1)), 1, MODEL, "1.2.3")[0].Status,
            association.send_n_action(request(), 1, MODEL, INSTANCE)[0].Status,
            association.send_n_action(nameless, 1, MODEL, INSTANCE)[0].Status,
        ]
        assert statuses == [0x0123, 0x0112, 0x0115, 0x0115]


def test_reports_of_archives_that_were_not_asked_change_nothing(tmp_path: Path) -> None:
    """Scripted archive (pynetdicom), SCP on an association of its own."""
    archives = [Archive(name="vna", ae_title="VNA", host="127.0.0.1", port=free_port())]
    with dimse_node(tmp_path, registrar=False, archives=archives) as node:
        node.catalog.commitments.asking("1.9.1", "vna")
        statuses = []
        for title, transaction, event in (("VNA", "1.9.2", 1), ("OTHER", "1.9.1", 1), ("VNA", "1.9.1", 7), ("VNA", "1.9.1", 1)):
            ae = AE(title)
            ae.add_requested_context(MODEL)
            role = build_role(MODEL, scu_role=False, scp_role=True)
            association = ae.associate("127.0.0.1", node.listener.port, ae_title="OVERREAD", ext_neg=[role])
            assert association.accepted_contexts[0].as_scp, "the roles are accepted"
            statuses.append(
                association.send_n_event_report(request(uid(1), transaction=transaction), event, MODEL, INSTANCE)[0].Status
            )
            association.release()
        assert statuses == [0x0115, 0x0124, 0x0113, 0x0000]
        asked = node.catalog.commitments.asked("1.9.1")
        assert asked is not None
        assert asked.outcome == {uid(1): 0}


class VNA:
    """A scripted archive (pynetdicom): commits what it is told to, and reports on the association of the request."""

    def __init__(self, has: set[str]) -> None:
        self.has = has
        self.requests: list[list[str]] = []
        self.ae = AE("VNA")
        self.ae.add_supported_context(MODEL)
        self.server = self.ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, self._asked)])
        self.pending: list[tuple[Any, Dataset]] = []

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def _asked(self, event: Any) -> tuple[int, None]:
        wanted = event.action_information
        named = [str(item.ReferencedSOPInstanceUID) for item in wanted.ReferencedSOPSequence]
        self.requests.append(named)
        report = Dataset()
        report.TransactionUID = wanted.TransactionUID
        report.ReferencedSOPSequence = [
            item for item in wanted.ReferencedSOPSequence if item.ReferencedSOPInstanceUID in self.has
        ]
        failed = [item for item in wanted.ReferencedSOPSequence if item.ReferencedSOPInstanceUID not in self.has]
        for item in failed:
            item.FailureReason = 0x0112
        if failed:
            report.FailedSOPSequence = failed
        self.pending.append((event.assoc, report))
        return 0, None

    def report(self) -> None:
        """Bring the oldest report, over the association of its request."""
        association, report = self.pending.pop(0)
        kind = 2 if "FailedSOPSequence" in report else 1
        assert association.send_n_event_report(report, kind, MODEL, INSTANCE)[0].Status == 0


def test_an_archive_decides_and_reports_on_the_association_that_asked_it(tmp_path: Path, scanner: Scanner) -> None:
    """Scripted archive and scripted requestor (pynetdicom): nothing is said to the scanner before the archive has said it."""
    archive = VNA(has={uid(1)})
    archives = [Archive(name="vna", ae_title="VNA", host="127.0.0.1", port=archive.port)]
    port = scanner.listen()
    with dimse_node(tmp_path, sources=[source("archive:vna", port)], archives=archives) as node:
        node.send(*files(tmp_path / "f", 1, 2))
        assert scanner.ask(node.listener.port, request(uid(1), uid(2))) == 0
        until(lambda: archive.pending)
        archive.has.add(uid(2))
        archive.report()
        until(lambda: archive.pending)
        assert scanner.new == [], "one instance was not committed yet: the archive is asked again"
        archive.report()
        until(lambda: scanner.new)
        assert scanner.new[0][0] == 1
        assert scanner.new[0][1][1:] == ([uid(1), uid(2)], {})
    archive.ae.shutdown()


def test_what_an_archive_never_gets_is_reported_as_failed(tmp_path: Path, scanner: Scanner) -> None:
    archive = VNA(has=set())
    archives = [Archive(name="vna", ae_title="VNA", host="127.0.0.1", port=archive.port)]
    port = scanner.listen()
    with dimse_node(
        tmp_path, sources=[source("archive:vna", port)], archives=archives, limits=limits(commitment_wait_s=0.1)
    ) as node:
        node.send(*files(tmp_path / "f", 1))
        assert scanner.ask(node.listener.port, request(uid(1))) == 0
        until(lambda: archive.pending)
        archive.report()
        until(lambda: scanner.new)
        assert scanner.new[0][1][1:] == ([], {uid(1): 0x0112}), "though this node has it"
    archive.ae.shutdown()


@pytest.mark.peer
def test_orthanc_asks_and_gets_its_report_on_a_new_association(tmp_path: Path) -> None:
    with dimse_node(tmp_path / "placeholder", registrar=False) as probe:
        overread_port = probe.listener.port
    with running_orthanc(tmp_path, overread_port) as orthanc:
        sources = [source("node", orthanc.port, "ORTHANC")]
        with dimse_node(tmp_path, sources=sources, port=overread_port) as node:
            paths = files(tmp_path / "f", 1, 2)
            node.send(*paths[:1])
            orthanc.take(*paths)
            assert committed(orthanc, uid(1)) == ("Success", {uid(1)}, set())
            node.send(*paths[1:])
            assert committed(orthanc, uid(1), uid(2)) == ("Success", {uid(1), uid(2)}, set())
            wrong = MR
            assert committed(orthanc, uid(1), sop_class=wrong) == ("Failure", set(), {uid(1)})


def committed(orthanc: Orthanc, *uids: str, sop_class: str = CT) -> tuple[str, set[str], set[str]]:
    """Let Orthanc ask; what it says of our report."""
    instances = [{"SOPClassUID": sop_class, "SOPInstanceUID": one} for one in uids]
    asked = orthanc.post("/modalities/overread/storage-commitment", {"DicomInstances": instances})
    path = f"/storage-commitment/{asked['ID']}"
    until(lambda: orthanc.get(path)["Status"] != "Pending")
    report = orthanc.get(path)
    good = {item["SOPInstanceUID"] for item in report["Success"]}
    return report["Status"], good, {item["SOPInstanceUID"] for item in report["Failures"]}


def reports_of_archives(node: DimseNode) -> int:
    """How many reports of archives were taken."""
    with closing(sqlite3.connect(node.settings.data / "catalog.sqlite")) as database:
        return int(database.execute("SELECT count(*) FROM asked_commitments WHERE answered_at IS NOT NULL").fetchone()[0])


@pytest.mark.peer
def test_orthanc_is_the_archive_that_decides_and_reports_on_an_association_of_its_own(tmp_path: Path, scanner: Scanner) -> None:
    with dimse_node(tmp_path / "placeholder", registrar=False) as probe:
        overread_port = probe.listener.port
    scanner_port = scanner.listen()
    with running_orthanc(tmp_path, overread_port) as orthanc:
        settings: dict[str, Any] = {
            "sources": [source("archive:orthanc", scanner_port)],
            "archives": [orthanc.archive],
            "port": overread_port,
            "limits": limits(commitment_wait_s=1e6),
        }
        with dimse_node(tmp_path, **settings) as node:
            paths = files(tmp_path / "f", 1, 2)
            node.send(*paths)
            assert scanner.ask(node.listener.port, request(uid(1), uid(2))) == 0
            until(lambda: reports_of_archives(node))
            assert scanner.new == [], "Orthanc has nothing yet"
            orthanc.take(paths[0])
            orthanc.take(paths[1])
            until(lambda: scanner.new, 90)
            assert scanner.new[0][0] == 1
            assert sorted(scanner.new[0][1][1]) == [uid(1), uid(2)]
