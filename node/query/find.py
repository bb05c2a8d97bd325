"""Asking an archive what it has: C-FIND, Study Root (PS3.4 section C.4.1), as SCU."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from node import command_set
from node.data_set import read_data_set, write_data_set
from node.dialogue import Dialogue, plain
from node.store.attributes import text
from node.store.destinations import Destination
from node.store.errors import NotUnderstood, OverreadError, Permanent, Retryable
from node.store.peers import Archive
from node.store.signals import Series
from node.store.spool import check_uid

FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
PENDING: Final = frozenset({0xFF00, 0xFF01})
"""More messages follow (PS3.4 annex C)."""
_MOST: Final = 100_000
"""Answers to one question; an archive that gives more has misunderstood it."""
_LONGEST_S: Final = 300.0
"""Seconds for all answers to one question; one that takes longer is left."""

_MEANINGS: Final = {
    0xA700: "is out of resources",
    0xA900: "finds that our question does not match its SOP class",
    0x0122: "does not offer this query",
    0x0124: "does not allow us to query: register our AE title there",
}


def find(dialogue: Dialogue, keys: Mapping[str, str]) -> Iterator[Dataset]:
    """Ask one question; the matches as they come.

    Parameters
    ----------
    keys
        Value by keyword; empty: to be returned. Must hold QueryRetrieveLevel.

    Raises
    ------
    OverreadError
        Where the archive does not answer it; `Retryable` where it may later.
    NotUnderstood
        Where an answer cannot be read.
    """
    context_id, syntax = dialogue.plain_context(FIND)
    identifier = Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    asked = dialogue.request(context_id, elements(FIND, command_set.C_FIND_RQ), write_data_set(identifier, syntax))
    until = time.monotonic() + _LONGEST_S
    for _ in range(_MOST):
        message = dialogue.next_message()
        status = message.command.number(command_set.STATUS)
        to = message.command.number(command_set.MESSAGE_ID_RESPONDED_TO)
        if message.command.field != command_set.C_FIND_RSP or status is None or to != asked:
            dialogue.abort()
            raise Retryable(f"{dialogue.peer} answered something else than our question")
        if status == 0:
            return
        if status not in PENDING:
            raise _failed(dialogue, status)
        yield _identifier(dialogue, message.content, syntax)
        if time.monotonic() > until:
            dialogue.abort()
            raise Retryable(f"{dialogue.peer} came to no end with its answers within {_LONGEST_S:g} s")
    dialogue.abort()
    raise Permanent(f"{dialogue.peer} gives more than {_MOST} answers")


def _identifier(dialogue: Dialogue, content: bytes, syntax: str) -> Dataset:
    try:
        return read_data_set(content, syntax)
    except NotUnderstood as broken:
        dialogue.abort()
        raise NotUnderstood(f"{dialogue.peer} sent an answer that cannot be read: {broken}") from broken


def elements(sop_class_uid: str, field: int) -> dict[int, bytes | str | int]:
    """Command elements of a request to query or to retrieve (PS3.7 section 9.3.2.1)."""
    return {
        command_set.AFFECTED_SOP_CLASS_UID: sop_class_uid,
        command_set.COMMAND_FIELD: field,
        command_set.PRIORITY: 0,
    }


@dataclass(frozen=True, slots=True)
class Holding:
    """What an archive has of a study; `sop_classes` are empty where it does not tell them."""

    series: Series
    sop_classes: frozenset[str]


def instances_of(archive: Archive, calling_ae: str, study_uid: str, series: Sequence[str] | None = None) -> Series:
    """SOP Instance UIDs that an archive has of a study, by series; as `holding_of`."""
    return holding_of(archive, calling_ae, study_uid, series).series


def holding_of(archive: Archive, calling_ae: str, study_uid: str, series: Sequence[str] | None = None) -> Holding:
    """What an archive has of a study.

    Parameters
    ----------
    series
        Series that are asked about; None: all that it has.

    Raises
    ------
    OverreadError
        Where the archive does not answer.
    """
    with query(archive, calling_ae) as dialogue:
        if series is None:
            keys = {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": study_uid, "SeriesInstanceUID": ""}
            series = [uid for one in find(dialogue, keys) if (uid := _uid(one, "SeriesInstanceUID"))]
        found: dict[str, frozenset[str]] = {}
        classes: set[str] = set()
        for series_uid in series:
            keys = {
                "QueryRetrieveLevel": "IMAGE",
                "StudyInstanceUID": study_uid,
                "SeriesInstanceUID": series_uid,
                "SOPInstanceUID": "",
                "SOPClassUID": "",
            }
            answers = list(find(dialogue, keys))
            uids = frozenset(uid for one in answers if (uid := _uid(one, "SOPInstanceUID")))
            classes.update(uid for one in answers if (uid := _uid(one, "SOPClassUID")))
            if uids:
                found[series_uid] = uids
        return Holding(found, frozenset(classes))


def missing_of(archive: Archive | Destination, calling_ae: str, instances: Sequence[tuple[str, str, str]]) -> set[str]:
    """SOP Instance UIDs, of `instances` (UIDs of study, series and instance), that an archive does not find.

    Raises
    ------
    OverreadError
        Where the archive does not answer.
    """
    missing = set()
    with query(archive, calling_ae) as dialogue:
        for study_uid, series_uid, uid in instances:
            keys = {
                "QueryRetrieveLevel": "IMAGE",
                "StudyInstanceUID": study_uid,
                "SeriesInstanceUID": series_uid,
                "SOPInstanceUID": uid,
            }
            # all answers, the last one too: one left unread would be taken for that of the next question
            answers = [_uid(one, "SOPInstanceUID") for one in find(dialogue, keys)]
            if uid not in answers:
                missing.add(uid)
    return missing


def query(archive: Archive | Destination, calling_ae: str) -> Dialogue:
    """An association for questions; to be used as a context manager."""
    return Dialogue(archive, archive.calling_ae or calling_ae, [plain(FIND)])


def _uid(answer: Dataset, keyword: str) -> str:
    try:
        return check_uid(text(answer, keyword))
    except NotUnderstood:
        return ""  # an answer without what was asked for names nothing


def _failed(dialogue: Dialogue, status: int) -> OverreadError:
    said = f"{dialogue.peer} {_MEANINGS.get(status, 'failed to answer')} (status {status:04X})"
    return Retryable(said) if status & 0xFF00 == 0xA700 or status & 0xF000 == 0xC000 else Permanent(said)
