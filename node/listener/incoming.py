"""One object on its way in: from the C-STORE command to the spool's promise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from node.command_set import AFFECTED_SOP_CLASS_UID, AFFECTED_SOP_INSTANCE_UID, Command
from node.listener import walk
from node.listener.status import IdentityMismatch, InvalidInstanceUid, NotStorage
from node.listener.walk import Outline
from node.store import part10
from node.store.errors import NotUnderstood, OverreadError, Permanent
from node.store.part10 import FileHead
from node.store.provenance import says_overread
from node.store.records import Arrival
from node.store.spool import Kept, Same, Spool, SpoolConflict, Writer, check_uid, instance_path, same_from, storage_fault
from node.uids import VERIFICATION

_MOST_VERSIONS: Final = 1000


@dataclass(frozen=True, slots=True)
class Sender:
    """Over which association an object comes."""

    association_id: str
    calling_ae: str
    called_ae: str


@dataclass(frozen=True, slots=True)
class Received:
    """An object that is in the spool.

    Parameters
    ----------
    new
        False where the same object was there already.
    """

    arrival: Arrival
    new: bool


class Incoming:
    """Takes the data set of one C-STORE, fragment by fragment, and never raises before `finish`.

    The file begins with a head of our own; the data set follows exactly as received, in the syntax of its context.
    """

    def __init__(self, spool: Spool, command: Command, sop_class_uid: str, transfer_syntax_uid: str, sender: Sender) -> None:
        self._spool = spool
        self._sender = sender
        self._writer: Writer | None = None
        self._fault: OverreadError | None = None
        self.sop_instance_uid = command.text(AFFECTED_SOP_INSTANCE_UID)
        self._head = FileHead(
            offset=0,
            sop_class_uid=command.text(AFFECTED_SOP_CLASS_UID),
            sop_instance_uid=self.sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            source_ae=sender.calling_ae,
            receiving_ae=sender.called_ae,
        )
        try:
            _check_command(self._head, sop_class_uid)
            encoded = part10.encode_head(self._head)
            self._offset = len(encoded)
            self._writer = spool.begin()
            self._writer.write(encoded)
        except OverreadError as fault:
            self._give_up(fault)

    def room(self) -> memoryview | None:
        """Where the next bytes may be put before `write` takes them; None after a fault."""
        return self._writer.room() if self._writer is not None else None

    def write(self, fragment: memoryview) -> None:
        """Take the next bytes of the data set; after a fault they are dropped."""
        if self._writer is not None:
            try:
                self._writer.write(fragment)
            except OverreadError as fault:
                self._give_up(fault)

    def finish(self) -> Received:
        """Check the object and keep it; the spool's promise holds when this returns.

        Raises
        ------
        OverreadError
            Where it is not kept; `node.listener.status` knows the answer to each.
        """
        if self._fault is not None or self._writer is None:
            raise self._fault or NotUnderstood("the object was given up")
        try:
            outline = self._outline(self._writer)
            size_bytes = self._writer.size_bytes
            check_identity(self._head, outline)
            path, version, kept = _keep(self._writer, self._head, outline, self._same)
        finally:
            self.discard()
        arrival = arrival_of(
            self._head,
            outline,
            path,
            version=version,
            size_bytes=size_bytes,
            received_at=datetime.now(UTC),
            association_id=self._sender.association_id,
        )
        return Received(arrival, new=kept is Kept.STORED)

    def discard(self) -> None:
        """Forget the object; does nothing after it was kept."""
        if self._writer is not None:
            self._writer.discard()

    def _give_up(self, fault: OverreadError) -> None:
        self._fault = fault
        self.discard()
        self._writer = None

    def _outline(self, writer: Writer) -> Outline:
        try:
            return walk.outline(writer, self._offset, self._head.transfer_syntax_uid)
        except OSError as fault:
            raise storage_fault(fault) from fault

    def _same(self, new: Path, old: Path) -> bool:
        """Whether a file that is there holds the same data set in the same transfer syntax, whoever sent it."""
        with old.open("rb") as file:
            head = part10.read_head(file)
        return head.transfer_syntax_uid == self._head.transfer_syntax_uid and same_from(new, old, self._offset, head.offset)


def _check_command(head: FileHead, context_sop_class_uid: str) -> None:
    if VERIFICATION in (head.sop_class_uid, context_sop_class_uid):
        raise NotStorage("the Verification SOP class stores nothing")
    try:
        check_uid(head.sop_instance_uid)
    except NotUnderstood as broken:
        raise InvalidInstanceUid(f"Affected SOP Instance UID: {broken}") from broken
    try:
        check_uid(head.sop_class_uid)
    except NotUnderstood as broken:
        raise NotStorage(f"Affected SOP Class UID: {broken}") from broken


def check_identity(head: FileHead, outline: Outline) -> None:
    """Check that head and data set name the same object (PS3.7 section 9.3.1.1), and that it belongs to a series of a study.

    A data set that names none is taken at the word of its command: anonymisers write such.

    Raises
    ------
    IdentityMismatch
        Where they differ, or study or series are not named: what an object belongs to is never guessed.
    NotUnderstood
        Where study or series are named by something that is no UID.
    """
    for name, uid in (("Study", outline.study_uid), ("Series", outline.series_uid)):
        if not uid:
            raise IdentityMismatch(f"the object has no {name} Instance UID")
        try:
            check_uid(uid)
        except NotUnderstood as broken:
            raise NotUnderstood(f"{name} Instance UID: {broken}") from broken
    for name, announced, found in (
        ("SOP Instance UID", head.sop_instance_uid, outline.sop_instance_uid),
        ("SOP Class UID", head.sop_class_uid, outline.sop_class_uid),
    ):
        if found and found != announced:
            raise IdentityMismatch(f"{name} of command and data set differ")


def _keep(writer: Writer, head: FileHead, outline: Outline, same: Same) -> tuple[str, int, Kept]:
    for version in itertools.count(1):
        if version > _MOST_VERSIONS:
            break
        path = instance_path(outline.study_uid, outline.series_uid, head.sop_instance_uid, version)
        try:
            return path, version, writer.keep(path, same)
        except SpoolConflict:
            continue
    raise Permanent(f"more than {_MOST_VERSIONS} different objects came under one SOP Instance UID")


def arrival_of(
    head: FileHead,
    outline: Outline,
    path: str,
    *,
    version: int,
    size_bytes: int,
    received_at: datetime,
    association_id: str | None,
) -> Arrival:
    """What the catalog is told of a file in the spool; the file alone is enough to tell it again."""
    return Arrival(
        study_uid=outline.study_uid,
        series_uid=outline.series_uid,
        sop_instance_uid=head.sop_instance_uid,
        sop_class_uid=head.sop_class_uid,
        transfer_syntax_uid=head.transfer_syntax_uid,
        modality=outline.modality,
        path=path,
        version=version,
        size_bytes=size_bytes,
        calling_ae=head.source_ae,
        called_ae=head.receiving_ae,
        received_at=received_at,
        own_result=says_overread(outline.manufacturers),
        association_id=association_id,
    )
