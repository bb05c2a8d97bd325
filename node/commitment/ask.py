"""Asking an archive to commit instances, as SCU (PS3.4 section J.3.2); its report may come at once or much later.

The Transaction UID is kept beforehand (`node.store.ports.Commitments.asking`): a report that comes over an association of
the archive's reaches the listener, which keeps it under that UID.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from node import command_set
from node.commitment import messages
from node.data_set import read_data_set
from node.dialogue import Dialogue, Message, plain
from node.store.commitment import Asked, Outcome, Reference
from node.store.destinations import Destination
from node.store.errors import NotUnderstood, Permanent, Retryable
from node.store.peers import Archive
from node.store.ports import Commitments
from node.store.proof import DESTINATION

_RETRYABLE = frozenset({0x0110, 0x0124, 0x0210, 0x0213})


REPORT_WAIT_S: Final = 10.0
"""Seconds that we wait for a report over the association of our request."""
_ANSWER_WAIT_S: Final = 60.0
"""Seconds for the answer to our request, whatever is reported before it."""
ASK_AGAIN_S: Final = 900.0
"""Seconds without a report after which whoever was asked is asked anew for the first time."""


def ask_and_keep(
    commitments: Commitments,
    archive: Archive | Destination,
    calling_ae: str,
    transaction_uid: str,
    references: Sequence[Reference],
) -> Outcome | None:
    """Ask under a Transaction UID that the catalog knows first, and keep what is reported, whichever way it comes meanwhile.

    Returns
    -------
    The outcome; None where the report is still to come.

    Raises
    ------
    OverreadError
        As `ask_to_commit`: that the request was heard is not known then.
    """
    whom = DESTINATION + archive.name if isinstance(archive, Destination) else archive.name  # as `Settings.asked` reads it
    commitments.asking(transaction_uid, whom)
    outcome = ask_to_commit(archive, calling_ae, transaction_uid, references, REPORT_WAIT_S)
    if outcome is not None:
        commitments.answered(transaction_uid, outcome)
        return outcome
    asked = commitments.asked(transaction_uid)  # its report may have come by the other way meanwhile
    return asked.outcome if asked else None


def overdue(asked: Asked, now: datetime, since: datetime) -> bool:
    """Whether a report has been waited for so long that it is asked for anew.

    The waits double: an archive that commits at night reports on a request that is still the newest then, however long it takes.

    Parameters
    ----------
    since
        When the instances were first asked about.
    """
    return now >= asked.asked_at + max(timedelta(seconds=ASK_AGAIN_S), asked.asked_at - since)


def ask_to_commit(
    archive: Archive | Destination, calling_ae: str, transaction_uid: str, references: Sequence[Reference], wait_s: float
) -> Outcome | None:
    """Ask, and wait up to `wait_s` seconds for a report over the same association.

    Returns
    -------
    The outcome; None where the report is still to come, over an association that the archive opens to us.

    Raises
    ------
    Retryable
        Where the archive cannot be reached, or fails.
    Permanent
        Where it does not offer storage commitment, or refuses the request.
    """
    with Dialogue(archive, archive.calling_ae or calling_ae, [plain(messages.SOP_CLASS)]) as dialogue:
        context_id, syntax = dialogue.plain_context(messages.SOP_CLASS)
        elements: dict[int, bytes | str | int] = {
            command_set.REQUESTED_SOP_CLASS_UID: messages.SOP_CLASS,
            command_set.COMMAND_FIELD: command_set.N_ACTION_RQ,
            command_set.REQUESTED_SOP_INSTANCE_UID: messages.SOP_INSTANCE,
            command_set.ACTION_TYPE_ID: messages.REQUEST_COMMITMENT,
        }
        message_id = dialogue.request(context_id, elements, messages.write_request(transaction_uid, references, syntax))
        until = time.monotonic() + _ANSWER_WAIT_S
        outcome: Outcome | None = None
        response = dialogue.next_message()
        while response.command.field != command_set.N_ACTION_RSP:  # a quick archive reports before it answers
            outcome = _report(dialogue, response, transaction_uid) or outcome
            if time.monotonic() > until:
                dialogue.abort()
                raise Retryable(f"{archive} reports again and again, and does not answer the request to commit")
            response = dialogue.next_message()
        status = response.command.number(command_set.STATUS)
        if response.command.number(command_set.MESSAGE_ID_RESPONDED_TO) != message_id:
            dialogue.abort()
            raise Retryable(f"{archive} answered something else than our request to commit")
        if status != 0:
            said = f"{archive} answered the request to commit with {status or 0xFFFF:04X}"
            raise (Retryable if status in _RETRYABLE else Permanent)(said)
        until = time.monotonic() + wait_s
        while outcome is None and dialogue.speaks_within(max(0.0, until - time.monotonic())):
            outcome = _report(dialogue, dialogue.next_message(), transaction_uid)
        return outcome


def _report(dialogue: Dialogue, message: Message, transaction_uid: str) -> Outcome | None:
    """Take a report; None where it is of something else."""
    if message.command.field != command_set.N_EVENT_REPORT_RQ:
        dialogue.abort()
        raise Retryable(f"{dialogue.peer} sent something else than a report")
    try:
        _, syntax = dialogue.accepted(message.context_id)
        reported, outcome = messages.read_report(read_data_set(message.content, syntax))
    except NotUnderstood as broken:
        dialogue.respond(message, 0x0110, str(broken))
        return None
    event = {command_set.EVENT_TYPE_ID: message.command.number(command_set.EVENT_TYPE_ID) or 0}
    dialogue.respond(message, 0, beside=event)
    return outcome if reported == transaction_uid else None
