from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
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


@contextlib.contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """Let every file that is written end with an error after so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_copy_that_finds_no_room_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    path = an_object(tmp_path / "spool", "x" * 9000)

    with room_for(4096):
        (said,) = FolderSender(tmp_path / "out").send([path])

    assert (said.status, said.retryable, said.heard) == (None, True, False)
    assert "did not take it" in said.reason
    assert [one for one in (tmp_path / "out").rglob("*") if one.is_file()] == []
    assert [one.status for one in FolderSender(tmp_path / "out").send([path])] == [0]


def test_what_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/1.2.3").write_text("where the study's folder would be")

    (said,) = FolderSender(tmp_path / "out").send([an_object(tmp_path / "spool")])

    assert (said.status, said.retryable) == (None, True)


def test_what_a_power_cut_left_half_written_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    study = tmp_path / "out/1.2.3"
    study.mkdir(parents=True)
    cut_off, others, written = study / ".1.2.3.4.a.part", study / ".1.2.3.40.a.part", study / ".1.2.3.4.b.part"
    for one in (cut_off, others, written):
        one.write_bytes(b"half")
    for one in (cut_off, others):
        os.utime(one, (0, 0))

    list(FolderSender(tmp_path / "out").send([an_object(tmp_path / "spool")]))

    assert {one.name for one in study.iterdir()} == {"1.2.3.4.dcm", others.name, written.name}


def test_names_are_on_stable_storage_before_it_counts_as_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    path = an_object(tmp_path / "spool")
    synced: list[str] = []
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        if len(synced) == 2:
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    first, again = (next(FolderSender(tmp_path / "out").send([path])) for _ in range(2))

    out = str(tmp_path / "out")
    assert (first.status, first.retryable) == (None, True), "it has its name, which the disk may forget"
    assert again.status == DUPLICATE
    assert [one for one in synced if not one.endswith(".part")] == [f"{out}/1.2.3", f"{out}/1.2.3", out]


def test_a_share_that_knows_no_sync_of_folders_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    (said,) = FolderSender(tmp_path / "out").send([an_object(tmp_path / "spool")])
    assert said.status == 0


def test_a_file_that_is_none_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "a.dcm").write_bytes(b"no DICOM" * 100)

    (said,) = FolderSender(tmp_path / "out").send([tmp_path / "a.dcm"])

    assert (said.status, said.retryable, said.heard) == (None, False, False)
    assert list((tmp_path / "out").iterdir()) == []
