"""One association as its acceptor sees it, from the request to its end, on one thread."""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from node import command_set, upper_layer
from node.command_set import Command
from node.listener import status
from node.listener.connection import ConnectionEnded
from node.listener.doorkeeper import Visit
from node.listener.incoming import Incoming, Received, Sender
from node.listener.inflow import INVALID_PARAMETER, Inflow, ProtocolFault
from node.listener.ledger import Ledger
from node.listener.negotiation import LONGEST_PDU, Negotiated, negotiate
from node.listener.services.exchange import LONGEST_DATA_SET
from node.listener.services.reporting import Reporting
from node.listener.services.table import SERVED, Services
from node.store.errors import NotUnderstood, OverreadError, StorageFull
from node.store.log import get_logger
from node.store.records import Association
from node.store.spool import Spool

log = get_logger(__name__)

_CLOSE_S: Final = 5.0
_FLUSH_S: Final = 10.0
_LONGEST_RECEIVED: Final = 4 * LONGEST_PDU
"""Bytes of a PDU that are taken from peers which do not keep to what was agreed."""
_RESPONSE: Final = 0x8000
_CANCEL: Final = 0x0FFF


@dataclass(slots=True)
class _Message:
    """A message that is being received: its command, and where its data set goes; `gathered` where a service takes it."""

    context_id: int
    command: Command
    incoming: Incoming | None
    gathered: bytearray | None = None


class Session:
    """Serves one connection.

    Parameters
    ----------
    visit
        The connection; asked when the association is requested, and told of faults.
    negotiation_s
        Seconds that the connection has until its association request is there.
    services
        What is served beside C-ECHO and C-STORE; None: nothing.
    """

    def __init__(
        self,
        visit: Visit,
        *,
        spool: Spool,
        ledger: Ledger,
        listener_id: str,
        negotiation_s: float,
        services: Services | None = None,
    ) -> None:
        self._visit = visit
        self._connection = visit.connection
        self._peer_host = visit.host
        self._spool = spool
        self._ledger = ledger
        self._listener_id = listener_id
        self._negotiation_s = negotiation_s
        self._services = services
        self._reporting: Reporting | None = None
        self._id = str(uuid.uuid4())
        self._log = log.bind(association_id=self._id, peer=visit.host)
        self._message: _Message | None = None
        self._command = bytearray()
        self._stored = self._refused = 0
        self._recorded = False

    def run(self) -> None:
        """Serve until the association ends; never raises for the peer's sake."""
        how = "lost"
        try:
            self._negotiated = negotiate(self._connection.first_pdu(self._negotiation_s))
            rejected = self._visit.request(self._negotiated)
            if rejected is not None:
                self._connection.send(rejected)
                self._connection.wait_for_end(_CLOSE_S)
                return
            self._connection.send(self._negotiated.answer)
            how = self._serve(self._negotiated)
        except ConnectionEnded as end:
            if end.remark:
                self._visit.unheard(end.remark)
            if self._recorded:  # of those that sent nothing there is nothing to tell, however often they come
                self._log.info("connection ended", reason=str(end))
        except (ProtocolFault, NotUnderstood) as fault:
            reason = fault.reason if isinstance(fault, ProtocolFault) else INVALID_PARAMETER
            self._connection.abort(reason)
            how = "aborted"
            self._visit.fault(str(fault))
        finally:
            self._end(how)

    def _serve(self, negotiated: Negotiated) -> str:
        """Serve PDUs until the association is released or aborted; returns which."""
        self._sender = Sender(self._id, negotiated.calling_ae, negotiated.called_ae)
        inflow = Inflow(self._connection.receive, _LONGEST_RECEIVED)
        while True:
            if self._reporting is not None and self._message is None and inflow.drained:
                self._reporting.while_silent(self._connection, self._negotiation_s)
            incoming = self._message.incoming if self._message else None
            kind, context_id, control, content = inflow.next(incoming.room() if incoming else None)
            if kind == upper_layer.P_DATA_TF:
                self._take(context_id, control, content)
            elif kind == upper_layer.A_RELEASE_RQ:
                self._connection.send(upper_layer.RELEASE_REPLY)
                self._connection.wait_for_end(_CLOSE_S)
                return "released"
            else:
                return "aborted"

    def _take(self, context_id: int, control: int, fragment: memoryview) -> None:
        """Take a presentation data value, or the next piece of one (PS3.8 annex E)."""
        last = bool(control & upper_layer.LAST)
        if control & upper_layer.COMMAND:
            if self._message is not None or len(self._command) + len(fragment) > command_set.LONGEST:
                raise ProtocolFault("a command within a data set, or one without end")
            self._command += fragment
            if last:
                command = command_set.decode(bytes(self._command))
                self._command.clear()
                self._begin(context_id, command)
            return
        if self._message is None or self._message.context_id != context_id:
            raise ProtocolFault("a data set without its command")
        if self._message.incoming is not None:
            self._message.incoming.write(fragment)
        elif self._message.gathered is not None and len(self._message.gathered) <= LONGEST_DATA_SET:
            self._message.gathered += fragment
        if last:
            message, self._message = self._message, None
            self._answer(message)

    def _begin(self, context_id: int, command: Command) -> None:
        context = self._negotiated.contexts.get(context_id)
        if context is None:
            raise ProtocolFault(f"a message on presentation context {context_id}, which was not accepted", INVALID_PARAMETER)
        incoming = None
        if command.field == command_set.C_STORE_RQ:
            self._record()
            incoming = Incoming(self._spool, command, context.sop_class_uid, context.transfer_syntax_uid, self._sender)
        gathered = bytearray() if context.sop_class_uid in SERVED else None
        message = _Message(context_id, command, incoming, gathered)
        if command.has_data_set:
            self._message = message
        else:
            self._answer(message)

    def _answer(self, message: _Message) -> None:
        """Respond to a whole message (PS3.7 section 9.3)."""
        field = message.command.field
        if message.incoming is not None:
            self._respond(message, *self._finish(message.incoming))
        elif field is None or field & _RESPONSE:
            if self._reporting is not None and self._reporting.answered(message.command):
                return
            raise ProtocolFault("a response to a request that we did not make")
        elif field == command_set.C_ECHO_RQ:
            self._respond(message, status.SUCCESS, "")
        elif field != _CANCEL and not self._serve_beside(message):
            self._respond(message, status.UNRECOGNISED_OPERATION, "this operation is not served here")

    def _serve_beside(self, message: _Message) -> bool:
        """Respond by one of the services; False where none has this command."""
        if self._services is None or message.gathered is None:
            return False
        context = self._negotiated.contexts[message.context_id]
        content = bytes(message.gathered) if len(message.gathered) <= LONGEST_DATA_SET else None
        served = context.sop_class_uid, context.transfer_syntax_uid
        if message.command.field == command_set.N_ACTION_RQ:
            self._expect_report(self._services, message.context_id, context.transfer_syntax_uid)
        response = self._services.serve(served, message.command, content, self._sender)
        if response is not None:
            self._send_command(message.context_id, response)
        return response is not None

    def _expect_report(self, services: Services, context_id: int, transfer_syntax_uid: str) -> None:
        """Before a request to commit is served: the catalog must know its association, and the images that came before it."""
        self._record()
        self._ledger.flush(_FLUSH_S)
        if self._reporting is not None:
            return
        self._reporting = Reporting(
            services.reports, self._id, (context_id, transfer_syntax_uid), self._negotiated.longest_pdu, self._connection.send
        )

    def _finish(self, incoming: Incoming) -> tuple[int, str]:
        """Keep the object; return the status and the comment of the response."""
        try:
            received = incoming.finish()
        except OverreadError as fault:
            self._refused += 1
            code = status.status_of(fault)
            # a UID that is none may hold anything, so it is not repeated
            uid = "" if isinstance(fault, status.InvalidInstanceUid) else incoming.sop_instance_uid
            self._log.warning("object refused", status=f"{code:04X}", sop_instance_uid=uid, reason=str(fault))
            if isinstance(fault, StorageFull):  # counted: a study has hundreds of images, and each meets the same disk
                self._ledger.tally("disk full", f"{self._sender.calling_ae}: {fault} (status {code:04X})", 1)
            else:
                self._visit.refused(f"{fault}; status {code:04X}")
            return code, str(fault)
        self._stored += 1
        self._report(received)
        return status.SUCCESS, ""

    def _report(self, received: Received) -> None:
        """Tell the catalog; a repeat too, so that a row which was lost with its process comes back."""
        arrival = dataclasses.replace(received.arrival, fresh=received.new)
        self._ledger.arrived(arrival)
        if received.new and arrival.version > 1:
            detail = f"{arrival.sop_instance_uid} came again with other content: kept as version {arrival.version}"
            self._ledger.event("new version", detail, arrival.study_uid)

    def _respond(self, message: _Message, code: int, comment: str) -> None:
        self._send_command(message.context_id, command_set.response(message.command, code, comment))

    def _send_command(self, context_id: int, encoded: bytes) -> None:
        self._connection.send(upper_layer.command_pdu(context_id, encoded))

    def _record(self) -> None:
        """Tell the catalog of an association that stores or asks to commit; others are none of its business."""
        if not self._recorded:
            self._recorded = True
            now = datetime.now(UTC)
            sender = self._sender
            self._ledger.opened(
                Association(self._id, self._listener_id, sender.calling_ae, sender.called_ae, self._peer_host, opened_at=now)
            )

    def _end(self, how: str) -> None:
        self._connection.close()
        if self._message is not None and self._message.incoming is not None:
            self._message.incoming.discard()
            self._log.warning("an object was broken off and is not kept", how=how)
            self._ledger.event(
                "broken off", f"the association of {self._sender.calling_ae} was {how} within an object, which is not kept"
            )
        if self._recorded:
            self._ledger.closed(self._id, how)
            self._log.info(
                "association ended", how=how, stored=self._stored, refused=self._refused, calling_ae=self._sender.calling_ae
            )
