"""Asking an archive what it has, by a scripted one (pynetdicom)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from node.query.find import missing_of
from node.store.peers import Archive

HELD = [f"1.2.3.{number}" for number in range(1, 6)]


@pytest.fixture
def archive() -> Iterator[Archive]:
    """One that has the instances of `HELD`."""

    def answer(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        if event.identifier.SOPInstanceUID in HELD:
            yield 0xFF00, event.identifier
        yield 0x0000, None

    ae = AE("PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    try:
        yield Archive(name="pacs", ae_title="PACS", host="127.0.0.1", port=server.server_address[1])
    finally:
        ae.shutdown()


def test_every_instance_asked_about_has_its_own_answer(archive: Archive) -> None:
    """One association for all: an answer left unread would be taken for that of the next question."""
    asked = [*HELD[:3], "1.2.3.99", *HELD[3:]]
    assert missing_of(archive, "OVERREAD", [("1.2", "1.2.3", uid) for uid in asked]) == {"1.2.3.99"}
