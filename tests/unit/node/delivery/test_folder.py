from __future__ import annotations

from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from node.delivery.answers import DUPLICATE
from node.delivery.folder import FolderSender


def an_object(folder: Path, comment: str = "", uid: str = "1.2.3.4") -> Path:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = SecondaryCaptureImageStorage, uid, "1.2.3"
    dataset.ImageComments = comment
    folder.mkdir(exist_ok=True)
    path = folder / f"{uid}.dcm"
    dataset.file_meta = Dataset()  # type: ignore[assignment]
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, uid
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_an_object_is_a_file_below_its_study(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    path = an_object(tmp_path / "spool")

    (said,) = FolderSender(tmp_path / "out").send([path])

    assert said.status == 0
    assert [one.relative_to(tmp_path / "out").as_posix() for one in (tmp_path / "out").rglob("*") if one.is_file()] == [
        "1.2.3/1.2.3.4.dcm"
    ]
    assert (tmp_path / "out/1.2.3/1.2.3.4.dcm").read_bytes() == path.read_bytes()


def test_the_same_again_is_stored_and_another_is_kept_out(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    sender = FolderSender(tmp_path / "out")
    first = an_object(tmp_path / "one")
    other = an_object(tmp_path / "two", "changed")

    said = [answer for path in (first, first, other) for answer in sender.send([path])]

    assert [one.status for one in said] == [0, DUPLICATE, None]
    assert not said[2].retryable
    assert dcmread(tmp_path / "out/1.2.3/1.2.3.4.dcm").ImageComments == ""


def test_a_share_that_is_not_mounted_is_waited_for(tmp_path: Path) -> None:
    (said,) = FolderSender(tmp_path / "out").send([an_object(tmp_path / "spool")])

    assert (said.status, said.retryable) == (None, True)
    assert not (tmp_path / "out").exists()


def test_a_uid_that_is_a_path_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    path = an_object(tmp_path / "spool")
    path.write_bytes(path.read_bytes().replace(b"1.2.3\0", b"../../"))

    (said,) = FolderSender(tmp_path / "out").send([path])

    assert (said.status, said.retryable) == (None, False)
    assert list((tmp_path / "out").iterdir()) == []
