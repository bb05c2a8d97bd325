"""Bringing a storage commitment report to its requestor over an association of ours, as SCP (PS3.4 section J.3.3)."""

from __future__ import annotations

from node import command_set
from node.commitment import messages
from node.dialogue import Dialogue, plain
from node.store.commitment import CommitmentTask
from node.store.errors import Retryable
from node.store.peers import Peer


def report_elements(event_type: int) -> dict[int, bytes | str | int]:
    """Command elements of an N-EVENT-REPORT-RQ (PS3.7 section 10.3.1.1)."""
    return {
        command_set.AFFECTED_SOP_CLASS_UID: messages.SOP_CLASS,
        command_set.COMMAND_FIELD: command_set.N_EVENT_REPORT_RQ,
        command_set.AFFECTED_SOP_INSTANCE_UID: messages.SOP_INSTANCE,
        command_set.EVENT_TYPE_ID: event_type,
    }


def bring_report(peer: Peer, calling_ae: str, task: CommitmentTask) -> None:
    """Open an association on which we are the SCP, and send the report.

    Raises
    ------
    OverreadError
        Where the requestor does not take it: it is to be brought again.
    """
    with Dialogue(peer, calling_ae, [plain(messages.SOP_CLASS, as_scp=True)]) as dialogue:
        context_id, syntax = dialogue.plain_context(messages.SOP_CLASS)
        event_type, content = messages.write_report(task.transaction_uid, task.references, task.outcome, syntax)
        message_id = dialogue.request(context_id, report_elements(event_type), content)
        command = dialogue.next_message().command
        if command.field != command_set.N_EVENT_REPORT_RSP or command.number(command_set.MESSAGE_ID_RESPONDED_TO) != message_id:
            dialogue.abort()
            raise Retryable(f"{peer} answered something else than our report")
        status = command.number(command_set.STATUS)
        if status != 0:
            raise Retryable(f"{peer} answered our report with {status or 0xFFFF:04X}")
