from __future__ import annotations

import time
from pathlib import Path

from node.retention.files import content_hash, remove_empty_folders, unlink
from node.store.part10 import FileHead, encode_head
from node.store.spool import REMEMBERED_S
from tests.unit.node.listener.encoded import EXPLICIT, IMPLICIT, encode, image


def file_of(folder: Path, name: str, sender: str, syntax: str = EXPLICIT, pixels: bytes = b"\1\2" * 32) -> Path:
    made = image(pixels=pixels)
    head = FileHead(0, str(made.SOPClassUID), str(made.SOPInstanceUID), syntax, source_ae=sender)
    path = folder / name
    path.write_bytes(encode_head(head) + encode(made, syntax))
    return path


def test_the_hash_is_of_what_was_sent_not_of_who_sent_it(tmp_path: Path) -> None:
    first = content_hash(file_of(tmp_path, "a", "CT_1"))
    assert len(first) == 64
    assert first == content_hash(file_of(tmp_path, "b", "PACS"))
    assert first != content_hash(file_of(tmp_path, "c", "CT_1", pixels=b"\2\2" * 32))
    assert first != content_hash(file_of(tmp_path, "d", "CT_1", syntax=IMPLICIT))


def test_what_cannot_be_read_has_no_hash(tmp_path: Path) -> None:
    assert content_hash(tmp_path / "absent") == ""
    (tmp_path / "broken").write_bytes(b"no DICOM")
    assert content_hash(tmp_path / "broken") == ""


def test_what_is_gone_already_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    unlink([tmp_path / "there", tmp_path / "gone", tmp_path / "folder" / "gone"])
    assert list(tmp_path.iterdir()) == []


def test_emptied_folders_go_once_no_process_remembers_them(tmp_path: Path) -> None:
    for path in ("in/1.2/1.2.3", "in/1.2/1.2.4", "in/1.3/1.3.1", "results/1.2/7.1", "tmp/aa"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "in/1.2/1.2.4/x.dcm").touch()
    assert remove_empty_folders(tmp_path, time.time() + REMEMBERED_S) == 0
    assert remove_empty_folders(tmp_path, time.time() + 10 * REMEMBERED_S) == 5
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"in", "in/1.2", "in/1.2/1.2.4", "in/1.2/1.2.4/x.dcm", "results", "tmp", "tmp/aa"}
