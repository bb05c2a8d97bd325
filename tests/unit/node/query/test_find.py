"""Asking an archive what it has, by a scripted one (pynetdicom)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from node import command_set
from node.doubles.peer import Acceptor
from node.query.find import find, missing_of, query
from node.store.errors import NotUnderstood, OverreadError, Permanent, Retryable
from node.store.peers import Archive
from tests.unit.node.query.answering import DONE, GARBAGE, Reply, answering, pending

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


def asked(*replies: Reply, endless: Reply | None = None) -> list[str]:
    """Study Instance UIDs that a scripted archive answers with."""
    with Acceptor(answering(*replies, endless=endless)) as peer:
        archive = Archive(name="pacs", ae_title="PACS", host="127.0.0.1", port=peer.port)
        with query(archive, "OVERREAD") as dialogue:
            keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2"}
            return [str(one.StudyInstanceUID) for one in find(dialogue, keys)]


def test_a_scripted_archive_is_understood() -> None:
    assert asked(pending(StudyInstanceUID="1.2"), pending(StudyInstanceUID="1.3"), DONE) == ["1.2", "1.3"]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(pending(StudyInstanceUID="1.2"), to=1),
        replace(DONE, to=1),
        replace(DONE, field=command_set.C_ECHO_RSP),
    ],
    ids=["match of another question", "end of another question", "another service"],
)
def test_what_answers_another_message_answers_nothing(wrong: Reply) -> None:
    with pytest.raises(Retryable, match="something else than our question"):
        asked(wrong, DONE)


def test_an_answer_that_cannot_be_read_is_told_of() -> None:
    with pytest.raises(NotUnderstood, match="sent an answer that cannot be read"):
        asked(GARBAGE, DONE)


def test_answers_without_end_are_left_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.query.find._MOST", 50)
    with pytest.raises(Permanent, match="more than 50 answers"):
        asked(endless=pending(StudyInstanceUID="1.2"))


def test_answers_without_end_are_left_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.query.find._LONGEST_S", 0.2)
    with pytest.raises(Retryable, match=r"no end with its answers within 0\.2 s"):
        asked(endless=pending(StudyInstanceUID="1.2"))


@pytest.mark.parametrize(
    ("status", "error"), [(0xA700, Retryable), (0xC001, Retryable), (0xA900, Permanent), (0x0122, Permanent)]
)
def test_a_failure_is_passing_or_not_by_its_status(status: int, error: type[OverreadError]) -> None:
    with pytest.raises(error, match=f"{status:04X}"):
        asked(Reply(status))
