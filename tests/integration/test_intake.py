"""dcmtk's senders against the listener with a real catalog behind it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from node.listener.listener import Listener
from node.store.catalog.catalog import Catalog, open_catalog
from node.store.peers import Peer
from node.store.settings import Limits, Settings
from node.store.states import StudyState
from node.store_scu import StoreScu
from tests.unit.node.listener.encoded import EXPLICIT, image, write

STORESCU = "/usr/bin/storescu"
ECHOSCU = "/usr/bin/echoscu"

pytestmark = [pytest.mark.peer, pytest.mark.skipif(not Path(STORESCU).exists(), reason="needs the Debian package dcmtk")]


@dataclass
class Intake:
    listener: Listener
    catalog: Catalog

    def send(self, *files: Path, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [
            STORESCU,
            *options,
            "-aet",
            "MODALITY",
            "-aec",
            "ANYTHING",
            "127.0.0.1",
            str(self.listener.port),
            *map(str, files),
        ]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    def files(self) -> list[Path]:
        return sorted((self.listener.spool.root / "in").rglob("*.dcm"))

    def known(self, study_uid: str) -> int:
        study = self.catalog.views.study(study_uid)
        return study.instances if study else 0


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    settings = Settings(data=tmp_path / "data", host="127.0.0.1", port=0, limits=Limits(disk_reserve_mb=0))
    catalog = open_catalog(settings)
    listener = Listener(settings, catalog.intake)
    listener.start()
    yield Intake(listener, catalog)
    listener.stop(drain_s=1)
    catalog.close()


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_echo(intake: Intake) -> None:
    subprocess.run([ECHOSCU, "127.0.0.1", str(intake.listener.port)], check=True, timeout=30)


@pytest.mark.parametrize(
    ("name", "option", "syntax"),
    [
        ("CT_small.dcm", "-xe", "1.2.840.10008.1.2.1"),
        ("CT_small.dcm", "-xi", "1.2.840.10008.1.2"),
        ("CT_small.dcm", "-xb", "1.2.840.10008.1.2.1"),
        ("CT_small.dcm", "-xd", "1.2.840.10008.1.2.1.99"),
        ("MR_small_RLE.dcm", "-xr", "1.2.840.10008.1.2.5"),
        ("MR_small_jp2klossless.dcm", "-xv", "1.2.840.10008.1.2.4.90"),
        ("MR_small_jpeg_ls_lossless.dcm", "-xt", "1.2.840.10008.1.2.4.80"),
        ("JPEG-lossy.dcm", "-xx", "1.2.840.10008.1.2.4.51"),
        ("SC_rgb_jpeg_dcmtk.dcm", "-xy", "1.2.840.10008.1.2.4.50"),
    ],
)
def test_dcmtk_in_many_syntaxes(intake: Intake, name: str, option: str, syntax: str) -> None:
    done = intake.send(sample(name), options=("-R", option))
    assert done.returncode == 0, done.stderr
    [path] = intake.files()
    stored, source = pydicom.dcmread(path), pydicom.dcmread(sample(name))
    assert stored.file_meta.TransferSyntaxUID == syntax
    assert (stored.file_meta.SourceApplicationEntityTitle, stored.file_meta["ReceivingApplicationEntityTitle"].value) == (
        "MODALITY",
        "ANYTHING",
    )
    assert stored.SOPInstanceUID == source.SOPInstanceUID
    if source.file_meta.TransferSyntaxUID.is_compressed:
        assert stored.PixelData == source.PixelData, "compressed pixels are stored as received"
    else:
        assert (stored.pixel_array == source.pixel_array).all()
    assert eventually(lambda: intake.known(str(source.StudyInstanceUID)) == 1)


def test_a_study_becomes_known_and_its_association_is_closed(intake: Intake, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    files = [write(tmp_path / "study", image(number), EXPLICIT) for number in range(1, 31)]
    assert intake.send(*files).returncode == 0
    assert eventually(lambda: intake.known("1.2.3") == 30)
    study = intake.catalog.views.study("1.2.3")
    assert study
    assert (study.state, study.calling_ae, study.series, study.modalities) == (StudyState.RECEIVING, "MODALITY", 1, ("CT",))
    assert eventually(lambda: [study.study_uid for study in intake.catalog.worklist.receiving()] == ["1.2.3"])


def test_a_private_sop_class(intake: Intake, tmp_path: Path) -> None:
    made = image()
    made.SOPClassUID = pydicom.uid.UID("1.3.12.2.1107.5.9.1")
    done = subprocess.run(
        ["/usr/bin/dcmsend", "-aet", "MODALITY", "127.0.0.1", str(intake.listener.port), str(write(tmp_path, made))],
        check=False,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = intake.files()
    assert pydicom.dcmread(path).SOPClassUID == "1.3.12.2.1107.5.9.1"


def test_one_bad_file_among_good_ones(intake: Intake, tmp_path: Path) -> None:
    bad = image(2)
    bad.StudyInstanceUID = ""
    files = [write(tmp_path, image(1)), write(tmp_path, bad), write(tmp_path, image(3))]
    done = intake.send(*files, options=("-nh", "-v"))
    assert "DataSetDoesNotMatchSOPClass" in done.stderr
    assert [path.name for path in intake.files()] == ["1.2.3.4.1.dcm", "1.2.3.4.3.dcm"]


def test_an_association_that_is_aborted_keeps_what_was_acknowledged(intake: Intake, tmp_path: Path) -> None:
    files = [write(tmp_path, image(number), EXPLICIT) for number in range(1, 4)]
    done = intake.send(*files, options=("--abort",))
    assert done.returncode == 0
    assert eventually(lambda: intake.known("1.2.3") == len(intake.files()) == 3)


def test_a_sender_killed_in_mid_study_leaves_only_whole_objects(intake: Intake, tmp_path: Path) -> None:
    files = [write(tmp_path, image(number, pixels=bytes(400_000)), EXPLICIT) for number in range(1, 101)]
    command = [STORESCU, "-v", "127.0.0.1", str(intake.listener.port), *map(str, files)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, "TCP_NODELAY": "1"}
    ) as sender:
        assert sender.stderr
        acknowledged = 0
        for line in sender.stderr:
            acknowledged += "Received Store Response" in line
            if acknowledged == 20:
                break
        sender.kill()
    assert eventually(lambda: intake.listener.open_connections == 0)
    kept = intake.files()
    assert len(kept) >= 20
    assert all(pydicom.dcmread(path).PixelData == bytes(400_000) for path in kept)
    assert list((intake.listener.spool.root / "tmp").rglob("*.part")) == []
    assert eventually(lambda: intake.known("1.2.3") == len(kept))


@pytest.mark.shared
def test_real_studies_arrive_whole(intake: Intake, shared: Path) -> None:
    sources = [path for path in sorted((shared / "data" / "dicom" / "ct_3slice").iterdir()) if path.is_file()]
    sources += [path for path in sorted((shared / "data" / "dicom" / "cr_chest").iterdir()) if path.is_file()]
    peer = Peer(ae_title="OVERREAD", host="127.0.0.1", port=intake.listener.port)
    assert all(verdict.stored for verdict in StoreScu(peer, "MODALITY").send(sources))
    kept = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in intake.files()}
    assert kept == {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in sources}
