"""Each check finds what is wrong, says what to do, and is content with what is right."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.association import AssociationLost, AssociationRejectedForNow
from node.check.decoders import DECODERS, check_decoders
from node.check.disk import check_disk
from node.check.peers import check_archives, check_destinations, check_own_port, check_requestors
from node.check.services import check_catalog, check_page, check_queue
from node.check.verdict import Checked, Level
from node.doubles.archive import Archive
from node.store.destinations import Destination, FhirDestination, Hl7Destination
from node.store.endpoint import Endpoint
from node.store.peers import Archive as ArchivePeer
from node.store.peers import Peer
from node.store.settings import Limits, Settings
from tests.unit.node.delivery.test_fhir import serving

LOOPBACK = "127.0.0.1"


def only(found: Iterator[Checked]) -> Checked:
    (one,) = found
    return one


@contextlib.contextmanager
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        yield int(listening.getsockname()[1])


def free() -> int:
    with taken() as port:
        return port


def to(port: int, name: str = "archive", title: str = "ARCHIVE") -> Destination:
    return Destination(name=name, ae_title=title, host=LOOPBACK, port=port)


def test_destinations_are_asked_and_the_one_that_is_away_is_a_fault(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        here, away = check_destinations(Settings(destinations=(to(archive.port), to(free(), "away"))))
    assert (here.level, here.says) == (Level.OK, "answers C-ECHO from OVERREAD")
    assert away.level is Level.FAULT
    assert "cannot be reached" in away.says
    assert "OVERREAD" in away.to_do


def test_archives_are_asked_too(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        asked = ArchivePeer(name="vna", ae_title="ARCHIVE", host=LOOPBACK, port=archive.port)
        away = asked.model_copy(update={"name": "gone", "port": free()})
        found = list(check_archives(Settings(archives=(asked, away))))
    assert [(one.part, one.level) for one in found] == [("archive", Level.OK), ("archive", Level.FAULT)]


def test_no_destination_is_worth_a_note() -> None:
    one = only(check_destinations(Settings()))
    assert one.level is Level.NOTE
    assert "--to" in one.to_do


def test_own_port_free_ours_or_anothers(tmp_path: Path) -> None:
    assert only(check_own_port(Settings(host=LOOPBACK, port=free()))).level is Level.OK
    with Archive(tmp_path, ae_title="OVERREAD") as ours:
        running = only(check_own_port(Settings(host=LOOPBACK, port=ours.port)))
    assert running.level is Level.OK
    assert "this node runs" in running.says
    with taken() as port:
        other = only(check_own_port(Settings(host=LOOPBACK, port=port), lambda *_: 1))
    assert other.level is Level.FAULT
    assert str(port) in other.to_do


def test_address_that_is_not_ours() -> None:
    one = only(check_own_port(Settings(host="192.0.2.1", port=11112)))
    assert one.level is Level.FAULT
    assert "EADDRNOTAVAIL" in one.says


def test_decoders_of_this_installation_are_all_there() -> None:
    found = list(check_decoders())
    assert [one.subject for one in found[: len(DECODERS)]] == [name for _, name, _, _ in DECODERS]
    assert {one.level for one in found[: len(DECODERS)]} == {Level.OK}


def test_missing_decoder_names_the_package() -> None:
    found = {one.subject: one for one in check_decoders(lambda uid: () if uid.endswith(".4.70") else ("pydicom", "pillow"))}
    lossless = found["JPEG Lossless, first-order prediction"]
    assert (lossless.level, lossless.to_do) == (Level.FAULT, "pip install python-gdcm")
    assert found["JPEG 2000"].level is Level.NOTE
    assert found["JPEG Extended with 12 bits"].level is Level.NOTE
    assert found["RLE Lossless"].level is Level.OK


def test_disk_with_and_without_room(tmp_path: Path) -> None:
    roomy = only(check_disk(Settings(data=tmp_path / "not" / "yet", limits=Limits(disk_reserve_mb=1))))
    assert roomy.level is Level.OK
    full = only(check_disk(Settings(data=tmp_path, limits=Limits(disk_reserve_mb=10**9))))
    assert full.level is Level.FAULT
    assert "A700" in full.says


def test_network_file_system_is_no_place_for_sqlite(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n/dev/sdb /other xfs rw 0 0\n")
    settings = Settings(data=tmp_path / "data", limits=Limits(disk_reserve_mb=0))
    faults = [one for one in check_disk(settings, mounts) if one.level is Level.FAULT]
    assert ["nfs4" in one.says for one in faults] == [True]
    elsewhere = settings.model_copy(update={"catalog_url": "postgresql+psycopg://somewhere"})
    assert not [one for one in check_disk(elsewhere, mounts) if one.level is Level.FAULT]


def test_catalog_not_made_made_and_broken(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    assert "not made yet" in only(check_catalog(settings)).says
    assert not settings.data.exists()
    settings.data.mkdir()
    answers, retention = check_catalog(settings)
    assert answers.says == "answers, 0 studies"
    assert retention.part == "retention"
    broken = settings.model_copy(update={"catalog_url": "sqlite:////proc/nowhere/catalog.sqlite"})
    assert only(check_catalog(broken)).level is Level.FAULT


def test_queue_embedded_or_away() -> None:
    assert only(check_queue(Settings())).level is Level.OK
    away = only(check_queue(Settings(queue_url=f"redis://{LOOPBACK}:{free()}/0")))
    assert away.level is Level.FAULT
    assert "queue_url" in away.to_do


class Answering(http.server.BaseHTTPRequestHandler):
    body = b""
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "body", "level"),
    [
        (200, b'{"ok":true,"faults":{}}', Level.OK),
        (503, b'{"ok":false,"faults":{"disk":"full"}}', Level.FAULT),
        (200, b"another program", Level.FAULT),
    ],
)
def test_page_address_in_use(status: int, body: bytes, level: Level) -> None:
    handler = type("Handler", (Answering,), {"status": status, "body": body})
    with http.server.HTTPServer((LOOPBACK, 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        found = only(check_page(Settings(http=f"{LOOPBACK}:{server.server_port}")))
        server.shutdown()
    assert found.level is level


def test_page_address_free_wrong_or_open_to_all() -> None:
    assert only(check_page(Settings(http=f"{LOOPBACK}:{free()}"))).level is Level.OK
    assert only(check_page(Settings(http="somewhere"))).level is Level.FAULT
    levels = [one.level for one in check_page(Settings(http=f"0.0.0.0:{free()}"))]
    assert levels == [Level.OK, Level.NOTE]


def test_a_node_that_is_full_still_is_a_node() -> None:
    def full(peer: Peer, calling_ae: str, timeout_s: float) -> int:
        raise AssociationRejectedForNow("it has as many associations as it allows: try later")

    with taken() as port:
        one = only(check_own_port(Settings(host=LOOPBACK, port=port), full))
    assert one.level is Level.NOTE
    assert "as many associations as it allows" in one.says


def test_who_takes_reports_need_not_answer() -> None:
    def away(peer: Peer, calling_ae: str, timeout_s: float) -> int:
        raise AssociationLost(f"{peer} cannot be reached")

    sources = [
        {"ae_title": "CT_1", "commitment": "node", "report_to": "10.0.0.7:104"},
        {"ae_title": "CT_2", "report_to": "10.0.0.8:104"},
        {"ae_title": "MR_*", "commitment": "node", "report_to": "10.0.0.9:104"},
    ]
    settings = Settings.model_validate({"sources": sources})
    one = only(check_requestors(settings, away))
    assert (one.level, one.subject) == (Level.NOTE, "CT_1@10.0.0.7:104")
    assert only(check_requestors(settings, lambda *_: 0)).level is Level.OK


def test_an_interface_that_takes_a_connection_is_fine_and_one_that_is_not_there_is_told() -> None:
    with taken() as port:
        ris = Hl7Destination(name="ris", mllp=Endpoint(host=LOOPBACK, port=port))
        found = only(check_destinations(Settings(destinations=(ris,))))
        assert (found.level, found.subject) == (Level.OK, f"ris (mllp://{LOOPBACK}:{port})")
    with socket.socket() as deaf:
        deaf.bind((LOOPBACK, 0))
        away = Hl7Destination(name="ris", mllp=Endpoint(host=LOOPBACK, port=deaf.getsockname()[1]))
        assert "cannot be reached" in only(check_destinations(Settings(destinations=(away,)))).says


def test_a_fhir_server_is_asked_for_its_version() -> None:
    with serving() as server:
        ehr = FhirDestination(name="ehr", fhir=server.url)
        assert only(check_destinations(Settings(destinations=(ehr,)))).level is Level.OK
        wrong = FhirDestination(name="ehr", fhir=f"{server.url}/elsewhere")
        assert only(check_destinations(Settings(destinations=(wrong,)))).level is Level.FAULT
