"""The archive keeps what it is sent, logs repeats, and reads back an earlier log."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pydicom

from node.doubles.archive import Archive
from node.store.peers import Peer
from node.store_scu import StoreScu
from tests.unit.node.listener.encoded import encode, image, write


def test_repeats_are_logged_with_the_hash_of_the_data_set(tmp_path: Path) -> None:
    path = write(tmp_path, image())
    with Archive(tmp_path / "archive", ae_title="PACS") as archive:
        peer = Peer(ae_title="PACS", host="127.0.0.1", port=archive.port)
        for _ in range(2):
            assert all(verdict.stored for verdict in StoreScu(peer, "SENDER").send([path]))
    stores = Archive(tmp_path / "archive").stores()
    assert [store.sha256 for store in stores] == [hashlib.sha256(encode(image())).hexdigest()] * 2
    assert {(store.sop_instance_uid, store.study_uid, store.calling_ae) for store in stores} == {("1.2.3.4.1", "1.2.3", "SENDER")}
    assert pydicom.dcmread(tmp_path / "archive" / stores[0].path).PatientName == "Doe^Jane"


def test_a_failure_keeps_nothing_and_logs_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, image())
    with Archive(tmp_path / "archive", answers=(0xA700,)) as archive:
        peer = Peer(ae_title="PACS", host="127.0.0.1", port=archive.port)
        assert [verdict.stored for _ in range(2) for verdict in StoreScu(peer, "SENDER").send([path])] == [False, True]
        assert len(archive.stores()) == 1
