"""Sending to a peer that somebody else wrote, and to one that answers oddly."""

from __future__ import annotations

import hashlib
import socket
import struct
import time
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from node import command_set, upper_layer
from node.association import AssociationLost, echo
from node.doubles.archive import Archive
from node.doubles.peer import Acceptor, Script, answer_after
from node.store import part10
from node.store.peers import Peer
from node.store_scu import StoreScu, describe
from tests.unit.node.listener.encoded import CT, EXPLICIT, IMPLICIT, encode, image, write


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def peer_of(archive: Archive) -> Peer:
    return Peer(ae_title=archive.ae_title, host="127.0.0.1", port=archive.port)


def data_set_sha256(path: Path) -> str:
    with path.open("rb") as file:
        part10.read_head(file)
        return hashlib.sha256(file.read()).hexdigest()


def test_sends_bytes_as_they_are_in_several_syntaxes(tmp_path: Path) -> None:
    files = [sample("CT_small.dcm"), sample("MR_small_RLE.dcm"), sample("image_dfl.dcm"), sample("MR_small_bigendian.dcm")]
    with Archive(tmp_path) as archive:
        verdicts = list(StoreScu(peer_of(archive), "SENDER").send(files))
        stores = archive.stores()
    assert [(verdict.status, verdict.stored) for verdict in verdicts] == [(0, True)] * 4
    assert [store.sha256 for store in stores] == [data_set_sha256(path) for path in files]
    assert {store.calling_ae for store in stores} == {"SENDER"}


def test_a_file_that_is_not_dicom_costs_the_others_nothing(tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear colleague")
    with Archive(tmp_path / "archive") as archive:
        verdicts = list(StoreScu(peer_of(archive), "SENDER").send([text, sample("CT_small.dcm")]))
    assert [verdict.stored for verdict in verdicts] == [False, True]
    assert "not a DICOM file" in verdicts[0].reason


@pytest.mark.parametrize(
    ("answer", "stored", "retryable"), [(0xA700, False, True), (0xB007, True, False), (0xC000, False, False)]
)
def test_the_answer_decides(tmp_path: Path, answer: int, stored: bool, retryable: bool) -> None:
    with Archive(tmp_path, answers=(answer,)) as archive:
        [verdict] = StoreScu(peer_of(archive), "SENDER").send([sample("CT_small.dcm")])
    assert (verdict.status, verdict.stored, verdict.retryable) == (answer, stored, retryable)
    assert f"{answer:04X}" in verdict.reason


def test_nobody_there() -> None:
    peer = Peer(ae_title="NOBODY", host="127.0.0.1", port=9)
    [verdict] = StoreScu(peer, "SENDER").send([sample("CT_small.dcm")])
    assert (verdict.status, verdict.stored, verdict.retryable) == (None, False, True)
    with pytest.raises(AssociationLost, match="cannot be reached"):
        echo(peer, "SENDER")


def test_an_acceptance_that_is_none_is_told_of() -> None:
    def script(accepted: socket.socket) -> None:
        accepted.recv(65536)
        items = b"\x21\0\xff\xff"  # of a context that is longer than what follows, and what follows ends within an item
        body = bytes(68) + items + b"\0" * 65535 + b"\x21\0"
        accepted.sendall(struct.pack(">BBL", upper_layer.A_ASSOCIATE_AC, 0, len(body)) + body)

    with Acceptor(script) as peer, pytest.raises(AssociationLost, match="what is not DICOM"):
        echo(Peer(ae_title="ODD", host="127.0.0.1", port=peer.port), "SENDER")


def test_echo(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        assert echo(peer_of(archive), "SENDER") == 0


def test_every_status_has_words() -> None:
    assert all(describe(status) for status in range(0x10000))
    assert "disk" in describe(0xA701)


def many(folder: Path, count: int, sop_class: str = CT) -> list[Path]:
    folder.mkdir()
    made = []
    for number in range(1, count + 1):
        one = image(number)
        one.SOPClassUID = UID(sop_class)
        made.append(write(folder, one))
    return made


def scripted(acceptor: Acceptor) -> Peer:
    return Peer(ae_title="SCRIPT", host="127.0.0.1", port=acceptor.port)


def test_an_abort_costs_one_object_and_the_rest_goes_over_another_association(tmp_path: Path) -> None:
    files = many(tmp_path / "files", 5)
    with Acceptor(answer_after(2, upper_layer.ABORT), answer_after(100, b"")) as acceptor:
        verdicts = list(StoreScu(scripted(acceptor), "SENDER").send(files))
    assert [verdict.path for verdict in verdicts] == files
    assert [verdict.stored for verdict in verdicts] == [True, True, False, True, True]
    assert (verdicts[2].status, verdicts[2].retryable) == (None, True)
    assert "aborted" in verdicts[2].reason
    assert acceptor.connections == 2


def test_a_peer_that_breaks_off_again_and_again_is_left(tmp_path: Path) -> None:
    with Acceptor(answer_after(0, b"")) as acceptor:
        verdicts = list(StoreScu(scripted(acceptor), "SENDER").send(many(tmp_path / "files", 6)))
    assert [verdict.stored for verdict in verdicts] == [False] * 6
    assert acceptor.connections == 2
    assert all(verdict.retryable for verdict in verdicts)


REJECTIONS = {"permanent": b"\0\1\1\7", "transient": b"\0\2\3\2"}


@pytest.mark.parametrize("kind", REJECTIONS)
def test_a_rejection_is_a_verdict_on_every_file(tmp_path: Path, kind: str) -> None:
    reject = struct.pack(">BBL", upper_layer.A_ASSOCIATE_RJ, 0, 4) + REJECTIONS[kind]
    with Acceptor(lambda accepted: (accepted.recv(100000), accepted.sendall(reject))[1]) as acceptor:
        verdicts = list(StoreScu(scripted(acceptor), "SENDER").send(many(tmp_path / "files", 3)))
    assert [(verdict.stored, verdict.status, verdict.retryable) for verdict in verdicts] == [(False, None, True)] * 3
    assert "rejected" in verdicts[0].reason


def late_or_wrong(answer: bytes) -> Script:
    """Accept, take the whole object, answer with these bytes."""
    return answer_after(0, answer)


def response(**elements: int | str) -> bytes:
    tags = {"field": 0x100, "to": 0x120, "status": 0x900, "instance": 0x1000}
    encoded = command_set.encode({0x800: 0x0101, **{tags[name]: value for name, value in elements.items()}})
    return upper_layer.data_header(1, 3, len(encoded)) + encoded


WRONG = {
    "to another message": response(field=0x8001, to=99, status=0),
    "to another instance": response(field=0x8001, to=1, status=0, instance="1.9.9"),
    "of another kind": response(field=0x8030, to=1, status=0),
    "without a status": response(field=0x8001, to=1),
    "that is no command": upper_layer.data_header(1, 3, 9) + b"\0\0\0\0\xff\0\0\0x",
    "a release": upper_layer.RELEASE_REQUEST,
    "in another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n" + b" " * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_counts_as_stored_without_the_answer_to_it(tmp_path: Path, wrong: str) -> None:
    with Acceptor(late_or_wrong(WRONG[wrong])) as acceptor:
        [verdict] = StoreScu(scripted(acceptor), "SENDER").send(many(tmp_path / "files", 1))
    assert (verdict.stored, verdict.status) == (False, None)


def test_a_silent_peer_is_left_after_the_timeout(tmp_path: Path) -> None:
    with Acceptor(lambda accepted: time.sleep(2)) as acceptor:
        began = time.monotonic()
        [verdict] = StoreScu(scripted(acceptor), "SENDER", timeout_s=0.3).send(many(tmp_path / "files", 1))
        assert time.monotonic() - began < 1.5
    assert (verdict.stored, verdict.retryable) == (False, True)


def test_more_contexts_than_fit_take_several_associations(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    files = []
    for number in range(1, 201):
        one = image(number)
        one.SOPClassUID = UID(f"1.2.826.0.1.3680043.9.7433.1.{number}")
        files.append(write(tmp_path / "files", one))
    with Acceptor(answer_after(1000, b"")) as acceptor:
        verdicts = list(StoreScu(scripted(acceptor), "SENDER").send(files))
    assert [verdict.stored for verdict in verdicts] == [True] * 200
    assert acceptor.connections == 2


def test_a_refused_context_fails_its_files_alone_and_says_what_to_change(tmp_path: Path) -> None:
    private = many(tmp_path / "private", 1, "1.2.826.0.1.3680043.9.7433.1.1")
    with Archive(tmp_path / "archive") as archive:
        verdicts = list(StoreScu(peer_of(archive), "SENDER").send([*private, sample("CT_small.dcm")]))
    assert [verdict.stored for verdict in verdicts] == [False, True]
    assert "does not accept SOP class 1.2.826.0.1.3680043.9.7433.1.1: allow it there" in verdicts[0].reason
    assert not verdicts[0].retryable


def test_files_without_a_head_are_sent_for_what_they_are(tmp_path: Path) -> None:
    for syntax in (IMPLICIT, EXPLICIT):
        path = tmp_path / syntax
        path.write_bytes(encode(image(), syntax))
        with Acceptor(answer_after(1, b"")) as acceptor:
            [verdict] = StoreScu(scripted(acceptor), "SENDER").send([path])
        assert (verdict.stored, verdict.sop_instance_uid) == (True, "1.2.3.4.1")


def test_no_file_no_association(tmp_path: Path) -> None:
    with Acceptor(answer_after(1, b"")) as acceptor:
        assert list(StoreScu(scripted(acceptor), "SENDER").send([])) == []
    assert acceptor.connections == 0
