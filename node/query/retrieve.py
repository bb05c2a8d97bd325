"""Letting an archive send what it has: C-MOVE to our listener, or C-GET into the spool, as SCU (PS3.4 section C.4)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydicom.dataset import Dataset

from node import command_set
from node.command_set import Command
from node.data_set import write_data_set
from node.dialogue import PLAIN, Dialogue, Message, plain
from node.listener import status
from node.listener.incoming import Incoming, Sender
from node.query.find import PENDING, elements
from node.store.errors import OverreadError, Permanent, Retryable
from node.store.log import get_logger
from node.store.peers import Archive
from node.store.ports import IntakeLog
from node.store.records import Arrival, Association
from node.store.spool import Spool
from node.upper_layer import MOST_CONTEXTS, Context

log = get_logger(__name__)

MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
MOVE_DESTINATION_UNKNOWN: Final = 0xA801

_PATIENCE_S: Final = 600.0
"""Seconds between two messages of an archive, which may fetch from tape; it need not tell how far it is."""
_COMPRESSED: Final = (
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.81",
)
"""Transfer syntaxes proposed for C-GET beside the plain ones, each in a context of its own."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Sub-operations of a retrieval, as the archive counts them (PS3.7 section 9.1.4.1)."""

    completed: int
    failed: int
    warning: int
    status: int


def move(archive: Archive, calling_ae: str, destination_ae: str, study_uid: str) -> Counts:
    """Let the archive send a study to an AE title that it knows.

    Raises
    ------
    OverreadError
        Where it does not; the message says what to change.
    """
    with Dialogue(archive, archive.calling_ae or calling_ae, [plain(MOVE)], _PATIENCE_S) as dialogue:
        context_id, syntax = dialogue.plain_context(MOVE)
        asked = {**elements(MOVE, command_set.C_MOVE_RQ), command_set.MOVE_DESTINATION: destination_ae}
        dialogue.request(context_id, asked, _identifier(study_uid, syntax))
        while True:
            command = dialogue.next_message().command
            if command.field != command_set.C_MOVE_RSP:
                dialogue.abort()
                raise Retryable(f"{archive} answered something else than our C-MOVE")
            if command.number(command_set.STATUS) not in PENDING:
                return _counts(archive, command, destination_ae)


class Getter:
    """Takes what an archive sends over our own association into the spool, as the listener would.

    Parameters
    ----------
    spool
        Where it goes.
    intake
        Port of the catalog.
    """

    def __init__(self, spool: Spool, intake: IntakeLog) -> None:
        self._spool = spool
        self._intake = intake

    def get(self, archive: Archive, calling_ae: str, study_uid: str, sop_classes: Iterable[str]) -> Counts:
        """Get a study.

        Parameters
        ----------
        sop_classes
            Of its instances, as far as known; none: the usual ones, uncompressed only.

        Raises
        ------
        OverreadError
            Where the archive does not send; the message says what to change.
        """
        contexts = [plain(GET), *_storage_contexts(sop_classes)]
        sender = Sender(str(uuid.uuid4()), archive.ae_title, archive.calling_ae or calling_ae)
        with Dialogue(archive, archive.calling_ae or calling_ae, contexts, _PATIENCE_S) as dialogue:
            opened = Association(
                sender.association_id, "fetch", sender.calling_ae, sender.called_ae, archive.host, opened_at=datetime.now(UTC)
            )
            self._intake.association_opened(opened)
            how = "aborted"
            try:
                counts = self._take(dialogue, archive, study_uid, sender)
                how = "released"
            finally:
                self._intake.association_closed(sender.association_id, how)
            return counts

    def _take(self, dialogue: Dialogue, archive: Archive, study_uid: str, sender: Sender) -> Counts:
        context_id, syntax = dialogue.plain_context(GET)
        dialogue.request(context_id, elements(GET, command_set.C_GET_RQ), _identifier(study_uid, syntax))
        incoming: Incoming | None = None

        def sink_for(context_id: int, command: Command) -> Incoming | None:
            nonlocal incoming
            if command.field == command_set.C_STORE_RQ:
                incoming = Incoming(self._spool, command, *dialogue.accepted(context_id), sender)
            return incoming

        while True:
            incoming = None
            try:
                message = dialogue.next_message(sink_for)
            except OverreadError:
                if incoming is not None:
                    incoming.discard()
                raise
            if message.command.field == command_set.C_STORE_RQ:
                self._keep(dialogue, message, incoming)
            elif message.command.field != command_set.C_GET_RSP:
                dialogue.abort()
                raise Retryable(f"{archive} answered something else than our C-GET")
            elif message.command.number(command_set.STATUS) not in PENDING:
                return _counts(archive, message.command, "")

    def _keep(self, dialogue: Dialogue, message: Message, incoming: Incoming | None) -> None:
        """Keep one instance, then answer: what is answered with success is in the spool and on record."""
        if incoming is None:
            dialogue.respond(message, status.CANNOT_UNDERSTAND, "no data set")
            return
        try:
            arrival: Arrival = incoming.finish().arrival
        except OverreadError as fault:
            log.warning("object refused", reason=str(fault))
            dialogue.respond(message, status.status_of(fault), str(fault))
            return
        self._intake.arrived([arrival])
        dialogue.respond(message, status.SUCCESS)


def _storage_contexts(sop_classes: Iterable[str]) -> list[Context]:
    known = sorted(set(sop_classes))
    if not known:
        from pynetdicom.presentation import StoragePresentationContexts

        known = [str(context.abstract_syntax) for context in StoragePresentationContexts]
        return [Context(uid, PLAIN, as_scp=True) for uid in known][: MOST_CONTEXTS - 1]
    plain_ones = [Context(uid, PLAIN, as_scp=True) for uid in known]
    compressed = [Context(uid, (syntax,), as_scp=True) for syntax in _COMPRESSED for uid in known]
    return [*plain_ones, *compressed][: MOST_CONTEXTS - 1]


def _identifier(study_uid: str, syntax: str) -> bytes:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_uid
    return write_data_set(identifier, syntax)


def _counts(archive: Archive, command: Command, destination_ae: str) -> Counts:
    """The final response (PS3.4 sections C.4.2.1.5 and C.4.3.1.4)."""
    ended = command.number(command_set.STATUS)
    if ended is None:
        raise Retryable(f"{archive} ended the retrieval without a status")
    if ended == MOVE_DESTINATION_UNKNOWN:
        raise Permanent(f"{archive} does not know AE title {destination_ae}: register it there with this node's host and port")
    numbers = [command.number(tag) or 0 for tag in (command_set.COMPLETED, command_set.FAILED, command_set.WARNING)]
    if ended != 0 and ended & 0xF000 != 0xB000 and not any(numbers):
        raise Retryable(f"{archive} ended the retrieval with status {ended:04X}")
    return Counts(numbers[0], numbers[1], numbers[2], ended)
