"""Sending to a peer that somebody else wrote, and to one that answers oddly."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from node.association import AssociationLost, echo
from node.doubles.archive import Archive
from node.store import part10
from node.store.settings import Peer
from node.store_scu import StoreScu, describe


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


def test_echo(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        assert echo(peer_of(archive), "SENDER") == 0


def test_every_status_has_words() -> None:
    assert all(describe(status) for status in range(0x10000))
    assert "disk" in describe(0xA701)
