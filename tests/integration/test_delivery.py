"""Results reach archives that nobody here wrote, each object once, also when the archive was away."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from node.delivery.breaker import OPENS_AFTER
from node.delivery.courier import Courier
from node.delivery.stow import ACCEPT, ask
from node.delivery.web import client_of
from node.doubles.archive import Archive
from node.store.clock import FakeClock
from node.store.destinations import Destination, FolderDestination, WebDestination
from node.store.settings import Limits, Settings
from node.store.states import DeliveryState
from tests.unit.node.delivery.outbox import MemoryOutbox

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
QUICK = Limits(delivery_first_wait_s=0.2, delivery_longest_wait_s=0.5, drain_s=5)
PEER_ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def made(path: Path, number: int, sop_class: str = SEG, modality: str = "SEG") -> str:
    """A small object of a result's SOP class, as a file; its SOP Instance UID."""
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = sop_class, f"2.25.4711{number}"
    one.StudyInstanceUID, one.SeriesInstanceUID = "2.25.1", f"2.25.2{number}"
    one.Modality, one.PatientID, one.PatientName = modality, "P1", "Test^Delivery"
    one.StudyID = one.StudyDate = one.StudyTime = one.AccessionNumber = ""
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.save_as(path, enforce_file_format=True)
    return str(one.SOPInstanceUID)


def settings_for(*destinations: tuple[str, str, int]) -> Settings:
    return Settings(
        destinations=tuple(
            Destination(name=name, ae_title=title, host="127.0.0.1", port=port) for name, title, port in destinations
        ),
        limits=QUICK,
    )


@contextmanager
def delivering(settings: Settings, outbox: MemoryOutbox) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Courier(settings, outbox, poll_s=0.05).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(words, env=PEER_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(20)


def results(folder: Path, outbox: MemoryOutbox, *destinations: str) -> list[str]:
    """One SEG and one SR for each destination; their UIDs."""
    uids = [made(folder / "seg.dcm", 1), made(folder / "sr.dcm", 2, COMPREHENSIVE_3D_SR, "SR")]
    for destination in destinations:
        outbox.put(folder / "seg.dcm", destination, uids[0], "seg", SEG)
        outbox.put(folder / "sr.dcm", destination, uids[1], "measurements", COMPREHENSIVE_3D_SR)
    return uids


@pytest.mark.peer
def test_orthanc_has_what_was_sent(tmp_path: Path) -> None:
    if not shutil.which("Orthanc", path="/usr/sbin:/usr/bin"):
        pytest.skip("needs the Debian package orthanc")
    port, http = free_port(), free_port()
    config = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomPort": port,
        "HttpPort": http,
        "DicomAet": "ORTHANC",
        "Plugins": [],
        "RemoteAccessAllowed": False,
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(config))
    outbox = MemoryOutbox()
    uids = results(tmp_path, outbox, "orthanc")
    with process("/usr/sbin/Orthanc", str(tmp_path / "orthanc.json")):
        assert until(lambda: answers(port) and answers(http), 60)
        with delivering(settings_for(("orthanc", "ORTHANC", port)), outbox):
            assert until(lambda: all(row.state is DeliveryState.SENT for row in outbox.rows.values()))

        def ask(path: str) -> object:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=10) as answer:
                return json.load(answer)

        there = [ask(f"/instances/{one}/tags?simplify") for one in ask("/instances")]  # type: ignore[attr-defined]
    assert sorted(one["SOPInstanceUID"] for one in there) == sorted(uids)  # type: ignore[index]


@pytest.mark.peer
def test_a_web_archive_and_a_folder_have_what_was_sent(tmp_path: Path) -> None:
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if not shutil.which("Orthanc", path="/usr/sbin:/usr/bin") or not plugin.exists():
        pytest.skip("needs the Debian packages orthanc and orthanc-dicomweb")
    http, share = free_port(), tmp_path / "share"
    share.mkdir()
    (tmp_path / "password").write_text("secret\n")
    config = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomPort": free_port(),
        "HttpPort": http,
        "Plugins": [str(plugin)],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"overread": "secret"},
        "DicomWeb": {"Enable": True},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(config))
    web = WebDestination(
        name="web", url=f"http://127.0.0.1:{http}/dicom-web", user="overread", password_file=tmp_path / "password"
    )
    outbox = MemoryOutbox()
    uids = results(tmp_path, outbox, "web", "share")
    with process("/usr/sbin/Orthanc", str(tmp_path / "orthanc.json")):
        assert until(lambda: answers(http), 60)
        assert until(lambda: not ask(web, 10.0), 60)
        settings = Settings(destinations=(web, FolderDestination(name="share", folder=share)), limits=QUICK)
        with delivering(settings, outbox):
            assert until(lambda: all(row.state is DeliveryState.SENT for row in outbox.rows.values()))
        with client_of(web, ACCEPT) as client:
            there = [one["00080018"]["Value"][0] for one in client.get(f"{web.url}/instances").json()]
    assert sorted(there) == sorted(uids)
    assert sorted(path.stem for path in share.rglob("*.dcm")) == sorted(uids)


@pytest.mark.peer
def test_storescp_that_was_down_gets_everything_once_it_is_back(tmp_path: Path) -> None:
    if not Path("/usr/bin/storescp").exists():
        pytest.skip("needs the Debian package dcmtk")
    port, inbox, outbox = free_port(), tmp_path / "inbox", MemoryOutbox()
    inbox.mkdir()
    with Archive(tmp_path / "archive") as archive:
        uids = results(tmp_path, outbox, "down", "up")
        down = [number for number, row in outbox.rows.items() if row.item.destination == "down"]
        with delivering(settings_for(("down", "STORESCP", port), ("up", "ARCHIVE", archive.port)), outbox):
            assert until(lambda: len(archive.stores()) == 2)
            assert until(lambda: all(len(outbox.rows[number].reasons) >= 2 for number in down))
            assert all(outbox.state(number) is not DeliveryState.SENT for number in down)
            assert "cannot be reached" in outbox.rows[down[0]].reasons[0]
            with process("/usr/bin/storescp", "+uf", "-od", str(inbox), str(port)):
                assert until(lambda: all(outbox.state(number) is DeliveryState.SENT for number in down))
    received = sorted(str(dcmread(path).SOPInstanceUID) for path in inbox.iterdir())
    assert received == sorted(uids)
    assert [store.sop_instance_uid for store in archive.stores()] == uids


def test_one_that_is_down_is_said_to_be_for_the_reason_that_its_sender_gives(tmp_path: Path) -> None:
    outbox = MemoryOutbox(FakeClock())
    results(tmp_path, outbox, "down")
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))  # nobody listens: connections are refused, and nobody else gets the port
        settings = settings_for(("down", "PACS", hole.getsockname()[1]))
        way = Courier(settings, outbox, clock=outbox.clock).errand(settings.destinations[0])
        for _ in range(OPENS_AFTER):
            assert way.deliver(threading.Event()) == 2
            outbox.clock.advance(1)
    assert "cannot be reached (Connection refused)" in outbox.breakers.down["down"].reason


def test_statuses_of_a_real_association(tmp_path: Path) -> None:
    outbox = MemoryOutbox()
    results(tmp_path, outbox, "archive")
    with (
        Archive(tmp_path / "archive", answers=(0xA700, 0xC000)) as archive,
        delivering(settings_for(("archive", "ARCHIVE", archive.port)), outbox),
    ):
        assert until(lambda: outbox.state(1) is DeliveryState.SENT)
        assert outbox.state(2) is DeliveryState.FAILED
    assert "A700" in outbox.rows[1].reasons[0]
    assert "C000" in outbox.rows[2].reasons[0]


def test_bytes_arrive_as_they_lie_in_the_spool(tmp_path: Path) -> None:
    outbox = MemoryOutbox()
    uids = results(tmp_path, outbox, "archive")
    with (
        Archive(tmp_path / "archive") as archive,
        delivering(settings_for(("archive", "ARCHIVE", archive.port)), outbox),
    ):
        assert until(lambda: all(row.state is DeliveryState.SENT for row in outbox.rows.values()))
    sent, received = dcmread(tmp_path / "seg.dcm"), dcmread(tmp_path / "archive" / f"{uids[0]}.dcm")
    assert received == sent
    assert {store.calling_ae for store in archive.stores()} == {"OVERREAD"}
