"""Fetching studies from archives that nobody here wrote."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.dispatch.judge import Judge
from node.query.asker import Asker
from node.query.errands import Errands
from node.query.fetch import Fetcher
from node.query.find import instances_of
from node.query.matches import studies_with
from node.store.clock import SystemClock
from node.store.errors import OverreadError, Permanent
from node.store.peers import Archive
from node.store.records import Wanted
from node.store.settings import dump_settings
from node.store.sources import Source
from node.store_scu import StoreScu
from tests.integration.dimse_node import DimseNode, dimse_node, files
from tests.integration.node_under_test import OVERREAD
from tests.integration.orthanc_peer import answers, free_port, running_orthanc, until


def fetcher(node: DimseNode) -> Fetcher:
    return Fetcher(node.settings, node.catalog.intake, node.catalog.commitments)


def here(node: DimseNode, study: str = "1.2.3") -> int:
    view = node.catalog.views.study(study)
    return view.instances if view else 0


@contextmanager
def running_dcmqrscp(folder: Path, overread_port: int) -> Iterator[Archive]:
    """dcmtk's archive, with AE title QR, that sends to OVERREAD."""
    if not Path("/usr/bin/dcmqrscp").exists():
        pytest.skip("needs the Debian package dcmtk")
    port = free_port()
    store = folder / "qr"
    store.mkdir(parents=True)
    config = folder / "dcmqrscp.cfg"
    config.write_text(
        f"""NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
overread = (OVERREAD, 127.0.0.1, {overread_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QR {store} RW (100, 1024mb) ANY
AETable END
"""
    )
    with (folder / "dcmqrscp.log").open("ab") as log:
        process = subprocess.Popen(
            ["/usr/bin/dcmqrscp", "-c", str(config)], stdout=log, stderr=log, env={**os.environ, "TCP_NODELAY": "1"}
        )
    try:
        until(lambda: answers(port))
        yield Archive(name="qr", ae_title="QR", host="127.0.0.1", port=port)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def overread_port(tmp_path: Path) -> int:
    return free_port()


@pytest.mark.peer
@pytest.mark.parametrize("how", ["move", "get"])
def test_from_orthanc(tmp_path: Path, overread_port: int, how: str) -> None:
    paths = files(tmp_path / "f", 1, 2, 3)
    with running_orthanc(tmp_path, overread_port) as orthanc:
        archive = orthanc.archive.model_copy(update={"retrieve": how})
        with dimse_node(tmp_path, registrar=False, port=overread_port, archives=[archive]) as node:
            orthanc.take(*paths, *files(tmp_path / "f", 1, study="1.2.9"))
            node.send(paths[0])
            until(lambda: here(node) == 1)
            fetched = fetcher(node).fetch(archive, "1.2.3")
            assert (fetched.named, fetched.before, fetched.arrived, fetched.whole) == (3, 1, 3, True)
            assert fetched.counts is not None
            assert (fetched.counts.failed, fetched.counts.completed) == (0, 3)
            assert here(node) == 3
            assert here(node, "1.2.9") == 0, "nothing but what was asked for"
            again = fetcher(node).fetch(archive, "1.2.3")
            assert (again.counts, again.whole) == (None, True), "what is here is not fetched again"
            with pytest.raises(Permanent, match="has no instances of study"):
                fetcher(node).fetch(archive, "1.2.77")


@pytest.mark.peer
@pytest.mark.parametrize("how", ["move", "get"])
def test_from_dcmqrscp(tmp_path: Path, overread_port: int, how: str) -> None:
    with running_dcmqrscp(tmp_path, overread_port) as peer:
        archive = peer.model_copy(update={"retrieve": how})
        with dimse_node(tmp_path, registrar=False, port=overread_port, archives=[archive]) as node:
            assert all(verdict.stored for verdict in StoreScu(peer, "SENDER").send(files(tmp_path / "f", 1, 2, 3)))
            assert {len(uids) for uids in instances_of(peer, "OVERREAD", "1.2.3").values()} == {3}
            fetched = fetcher(node).fetch(archive, "1.2.3")
            assert (fetched.named, fetched.arrived, fetched.whole) == (3, 3, True)
            assert here(node) == 3


@pytest.mark.peer
def test_an_archive_that_does_not_know_us_says_what_to_do(tmp_path: Path, overread_port: int) -> None:
    with running_dcmqrscp(tmp_path, overread_port) as peer:
        with dimse_node(tmp_path, registrar=False, port=overread_port, ae_title="STRANGER", archives=[peer]) as node:
            assert all(verdict.stored for verdict in StoreScu(peer, "SENDER").send(files(tmp_path / "f", 1)))
            with pytest.raises(OverreadError, match="does not know AE title STRANGER: register it there"):
                fetcher(node).fetch(peer, "1.2.3")
        with (
            dimse_node(tmp_path / "other", registrar=False, archives=[peer]) as node,
            pytest.raises(OverreadError, match="listener"),
        ):
            fetcher(node).fetch(peer, "1.2.3")  # nobody listens on the port that the archive knows


@pytest.mark.peer
def test_the_command_and_keys_that_are_not_safe(tmp_path: Path, overread_port: int) -> None:
    with running_orthanc(tmp_path, overread_port) as orthanc:
        archive = orthanc.archive.model_copy(update={"retrieve": "get"})
        orthanc.take(*files(tmp_path / "f", 1, AccessionNumber="A1", PatientBirthDate="19500101"))
        orthanc.take(*files(tmp_path / "f", 1, study="1.2.4", AccessionNumber="A2", PatientBirthDate="19500101"))
        orthanc.take(*files(tmp_path / "f", 1, study="1.2.5", AccessionNumber="A2", PatientID="4712"))
        with dimse_node(tmp_path, registrar=False, port=overread_port, archives=[archive]) as node:
            settings = tmp_path / "settings.json"
            dump_settings(node.settings, settings)

            def run(*arguments: str) -> tuple[int, str]:
                command = [*OVERREAD, "fetch", "--config", str(settings), "--from", "orthanc", *arguments]
                done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
                return done.returncode, done.stdout + done.stderr

            code, said = run("--accession", "A1")
            assert (code, here(node)) == (0, 1), said
            assert "orthanc has 1 instances of 1.2.3, 0 were here; it sent 1, 0 failed; all are here now" in said
            code, said = run("--patient", "4711")
            assert (code, here(node, "1.2.4")) == (0, 1), said
            assert "more than one patient" in run("--accession", "A2")[1]
            assert "wildcards" in run("--patient", "47*")[1]
            assert "name one of" in run()[1]
            code, said = run("--study", "1.2.77")
            assert code == 1
            assert "has no instances" in said
            assert here(node, "1.2.5") == 0
        assert [match.study_uid for match in studies_with(archive, "OVERREAD", {"PatientID": "4711"})] == ["1.2.3", "1.2.4"]


@pytest.mark.peer
@pytest.mark.parametrize("peer", ["orthanc", "dcmqrscp"])
def test_a_study_is_complete_when_all_is_here_that_the_archive_has_of_it(tmp_path: Path, overread_port: int, peer: str) -> None:
    paths = files(tmp_path / "f", 1, 2, 3)
    running = running_orthanc if peer == "orthanc" else running_dcmqrscp
    with running(tmp_path, overread_port) as other:
        archive = other if isinstance(other, Archive) else other.archive
        assert all(verdict.stored for verdict in StoreScu(archive, "SENDER").send(paths))
        sources = [Source(ae_title="CT_1", archive=archive.name)]
        with dimse_node(tmp_path, registrar=False, port=overread_port, archives=[archive], sources=sources, quiet_s=0.01) as node:
            worklist, signals = node.catalog.worklist, node.catalog.signals
            judge = Judge(worklist, signals, node.settings, SystemClock())
            asker = Asker(node.settings, judge, worklist, signals)

            def complete() -> list[str]:
                judge.due()
                asker.look()
                return [due.evidence for due in judge.due()]

            node.send(*paths[:2])
            until(lambda: here(node) == 2)
            until(
                lambda: complete() == [] and "names 3 instances, 1 of them not here" in node.catalog.views.study("1.2.3").evidence
            )
            node.send(paths[2])
            (evidence,) = until(complete)
            assert f"archive {archive.name} names 3 instances, all here" in evidence


@pytest.mark.peer
def test_priors_from_orthanc(tmp_path: Path, overread_port: int) -> None:
    born = {"PatientBirthDate": "19500101"}
    now = files(tmp_path / "f", 1, StudyDate="20260301", **born)
    with running_orthanc(tmp_path, overread_port) as orthanc:
        orthanc.take(*now, *files(tmp_path / "f", 1, 2, study="1.2.4", StudyDate="20250301", **born))
        orthanc.take(*files(tmp_path / "f", 1, study="1.2.5", StudyDate="20240301", **born))
        orthanc.take(*files(tmp_path / "f", 1, study="1.2.6", StudyDate="20250401", PatientID="4712", **born))
        archive = orthanc.archive
        with dimse_node(tmp_path, registrar=False, port=overread_port, archives=[archive], quiet_s=0.01) as node:
            node.send(*now)
            until(lambda: here(node) == 1)
            errands = Errands(node.settings, node.catalog.fetches, fetcher(node).fetch)
            node.catalog.fetches.want("1.2.3", Wanted.PRIORS, archive.name, 1)
            assert errands.work()
            assert (here(node, "1.2.4"), here(node, "1.2.5"), here(node, "1.2.6")) == (2, 0, 0)
            judge = Judge(node.catalog.worklist, node.catalog.signals, node.settings, SystemClock())
            due = until(lambda: {one.study_uid: one.prior_of for one in judge.due()} if len(judge.due()) == 2 else {})
            assert due == {"1.2.3": "", "1.2.4": "1.2.3"}
            events = node.catalog.views.study("1.2.3").events
            assert any(kind == "fetched" and "1.2.4 (2 of 2 instances)" in detail for _, kind, detail in events)
