"""An association that we request: one blocking socket, one message at a time, constant memory."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import BinaryIO, Final, Self

from node import command_set, upper_layer
from node.command_set import Command
from node.store.errors import NotUnderstood, OverreadError, Permanent, Retryable
from node.store.peers import Peer
from node.tls import NoTls, meaning, secured
from node.uids import IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from node.upper_layer import Context

_LONGEST_PDU: Final = 65536
"""Bytes that a peer may send us in one PDU; responses are small."""

_FRAGMENT: Final = 131072
"""Bytes of a data set that we send in one PDU, where the peer allows it."""


class AssociationLost(Retryable):
    """The peer did not answer, closed the connection or aborted."""


class AssociationRejected(Permanent):
    """The peer rejected the association for good; the message says what to change."""


class AssociationRejectedForNow(Retryable):
    """The peer rejected the association for the time being."""


class Association:
    """A requestor's association; also a context manager that releases it, or aborts it after an error.

    Parameters
    ----------
    peer
        Who is called.
    calling_ae
        Our AE title.
    contexts
        At most 128 proposed presentation contexts.
    timeout_s
        Longest wait for the connection and for each step of the peer, in seconds.

    Raises
    ------
    AssociationLost
        Where the peer cannot be reached or does not speak DICOM.
    AssociationRejected, AssociationRejectedForNow
        Where it rejects.
    """

    def __init__(self, peer: Peer, calling_ae: str, contexts: Sequence[Context], timeout_s: float = 30.0) -> None:
        self.peer = peer
        self._proposed = upper_layer.number_contexts(contexts)
        self._message_id = 0
        self._open = False
        try:
            self._socket = socket.create_connection((peer.host, peer.port), timeout_s)
        except OSError as unreachable:
            reason = unreachable.strerror or str(unreachable)
            raise AssociationLost(
                f"{peer} cannot be reached ({reason}): is it running, are host and port right?"
            ) from unreachable
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if peer.tls:
            try:
                self._socket = secured(self._socket, peer)
            except NoTls as failed:
                raise AssociationLost(str(failed)) from failed
        try:
            self._negotiate(calling_ae)
        except OverreadError:
            self._socket.close()
            raise

    def _negotiate(self, calling_ae: str) -> None:
        self._send(upper_layer.associate_request(calling_ae, self.peer.ae_title, self._proposed, _LONGEST_PDU))
        kind, body = self._receive()
        if kind == upper_layer.A_ASSOCIATE_RJ:
            transient, reason = upper_layer.decode_reject(body)
            rejected = AssociationRejectedForNow if transient else AssociationRejected
            raise rejected(f"{self.peer} rejected the association: {reason}")
        if kind != upper_layer.A_ASSOCIATE_AC:
            raise AssociationLost(f"{self.peer} answered our association request with a PDU of type {kind:02X}")
        try:
            accepted = upper_layer.decode_accept(body)
        except NotUnderstood as broken:
            raise AssociationLost(f"{self.peer} accepted our association with what is not DICOM: {broken}") from broken
        self._results = accepted.contexts
        self._fragment = upper_layer.fragment_size(accepted.longest_pdu, _FRAGMENT)
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.release()
        else:
            self.abort()

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._open

    def context_for(self, sop_class_uid: str, transfer_syntax_uid: str) -> int | None:
        """Id of an accepted context of that SOP class in exactly that transfer syntax."""
        for context_id, (result, syntax) in self._results.items():
            proposed = self._proposed.get(context_id)
            if proposed and result == 0 and proposed.sop_class_uid == sop_class_uid and syntax == transfer_syntax_uid:
                return context_id
        return None

    def refusal_of(self, sop_class_uid: str, *transfer_syntax_uids: str) -> str:
        """Why there is no context of that SOP class in any of these transfer syntaxes, and what to change at the peer."""
        results = [
            self._results.get(context_id, (2, ""))[0]
            for context_id, context in self._proposed.items()
            if context.sop_class_uid == sop_class_uid and set(transfer_syntax_uids).intersection(context.transfer_syntax_uids)
        ]
        offered = ", ".join(transfer_syntax_uids)
        if 4 in results and len(transfer_syntax_uids) > 1:
            return f"{self.peer} accepts SOP class {sop_class_uid} in none of the transfer syntaxes {offered}: allow one there"
        if 4 in results:
            return f"{self.peer} does not accept transfer syntax {offered} for SOP class {sop_class_uid}: allow it there"
        if 3 in results:
            return f"{self.peer} does not accept SOP class {sop_class_uid}: allow it there"
        return f"{self.peer} refused SOP class {sop_class_uid} in transfer syntax {offered}"

    def echo(self) -> int:
        """Send C-ECHO; return the status (PS3.4 section A.4).

        Raises
        ------
        AssociationLost
            Where no answer comes.
        Permanent
            Where the peer did not accept the Verification SOP class.
        """
        context_id = self.context_for(VERIFICATION, IMPLICIT_LITTLE_ENDIAN)
        if context_id is None:
            raise Permanent(self.refusal_of(VERIFICATION, IMPLICIT_LITTLE_ENDIAN))
        self._message_id += 1
        self._send_command(context_id, command_set.echo_request(self._message_id, VERIFICATION))
        return self._status(command_set.C_ECHO_RSP)

    def store(
        self,
        context_id: int,
        sop_class_uid: str,
        sop_instance_uid: str,
        data_set: BinaryIO,
        size_bytes: int,
        *,
        urgent: bool = False,
    ) -> int:
        """Send C-STORE with the bytes of `data_set` from its present position; return the status of the response to it.

        Parameters
        ----------
        size_bytes
            How many bytes are left in `data_set`; they must be encoded in the context's transfer syntax.
        urgent
            Whether it is sent with priority HIGH (PS3.7 section 9.1.1.1.6); what the peer makes of that is its own affair.

        Raises
        ------
        AssociationLost
            Where no response to this very object came: it must not be taken as stored.
        """
        self._message_id = self._message_id % 65535 + 1
        priority = command_set.HIGH if urgent else command_set.MEDIUM
        self._send_command(context_id, command_set.store_request(self._message_id, sop_class_uid, sop_instance_uid, priority))
        left = size_bytes
        while True:
            fragment = data_set.read(min(self._fragment, left))
            left -= len(fragment)
            if left and not fragment:
                self.abort()
                raise AssociationLost("the file became shorter while it was sent")
            last = 0 if left else upper_layer.LAST
            self._send(upper_layer.data_header(context_id, last, len(fragment)) + fragment)
            if last:
                break
        return self._status(command_set.C_STORE_RSP, sop_instance_uid)

    def release(self) -> None:
        """Release the association in order (PS3.8 section 7.2); a peer that does not answer is left."""
        if self._open:
            self._open = False
            with contextlib.suppress(OSError, AssociationLost):  # every response that counts has been read before
                self._socket.sendall(upper_layer.RELEASE_REQUEST)
                self._receive()
        self._socket.close()

    def abort(self) -> None:
        """End the association at once (PS3.8 section 7.3)."""
        if self._open:
            self._open = False
            with contextlib.suppress(OSError):  # it may be gone already
                self._socket.sendall(upper_layer.ABORT)
        self._socket.close()

    def _status(self, field: int, sop_instance_uid: str = "") -> int:
        response = self._response()
        status = response.number(command_set.STATUS)
        answered = response.number(command_set.MESSAGE_ID_RESPONDED_TO)
        instance = response.text(command_set.AFFECTED_SOP_INSTANCE_UID)
        other = bool(instance and sop_instance_uid and instance != sop_instance_uid)
        if response.field != field or status is None or answered != self._message_id or other:
            self.abort()
            raise AssociationLost(f"{self.peer} answered something else than message {self._message_id}")
        return status

    def _response(self) -> Command:
        encoded = bytearray()
        while True:
            kind, body = self._receive()
            if kind != upper_layer.P_DATA_TF:
                self.abort()
                raise AssociationLost(f"{self.peer} ended the association before it answered")
            try:
                for _, control, fragment in upper_layer.data_values(memoryview(body)):
                    encoded += fragment if control & upper_layer.COMMAND else b""
                    if control & upper_layer.COMMAND and control & upper_layer.LAST:
                        return command_set.decode(bytes(encoded))
            except NotUnderstood as broken:
                self.abort()
                raise AssociationLost(f"{self.peer} sent an answer that is not DICOM: {broken}") from broken
            if len(encoded) > command_set.LONGEST:
                self.abort()
                raise AssociationLost(f"{self.peer} sent an answer without end")

    def _send_command(self, context_id: int, encoded: bytes) -> None:
        self._send(upper_layer.command_pdu(context_id, encoded))

    def _send(self, pdu: bytes) -> None:
        try:
            self._socket.sendall(pdu)
        except OSError as gone:
            raise self._lost(gone, f"closed the connection while we were sending ({gone.strerror or gone})") from gone

    def _receive(self) -> tuple[int, bytes]:
        header = self._read(6)
        kind, _, length = struct.unpack(">BBL", header)
        if length > 2 * _LONGEST_PDU:
            self.abort()
            raise AssociationLost(f"{self.peer} sent {length} bytes where an answer was due: it does not speak DICOM there")
        body = self._read(length)
        if kind == upper_layer.A_ABORT:
            self._open = False
            self._socket.close()
            raise AssociationLost(f"{self.peer} aborted the association")
        return kind, body

    def _read(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            try:
                piece = self._socket.recv(min(65536, length - len(received)))
            except OSError as gone:
                raise self._lost(gone, f"gave no answer ({gone.strerror or gone})") from gone
            if not piece:
                raise self._lost(None, "closed the connection before it answered")
            received += piece
        return bytes(received)

    def _lost(self, gone: OSError | None, otherwise: str) -> AssociationLost:
        """Close; what to raise says why: what a peer with TLS means by it, else what it did."""
        said = self._refusal(gone)
        self._open = False
        self._socket.close()
        return AssociationLost(said or f"{self.peer} {otherwise}")

    def _refusal(self, gone: OSError | None) -> str:
        """Why a peer with TLS ended the connection; empty for other ends.

        In TLS 1.3 it judges our certificate after our handshake is done, and some peers close without a word then.
        """
        if not isinstance(self._socket, ssl.SSLSocket):
            return ""
        said = meaning(gone) if gone else None
        if said is None and gone is not None and not isinstance(gone, TimeoutError):
            try:  # what it said may lie behind what we could not send
                self._socket.settimeout(1.0)
                self._socket.recv(1)
            except (OSError, ValueError) as alert:
                said = meaning(alert) if isinstance(alert, OSError) else None
        if said is None and not self._open and not isinstance(gone, TimeoutError):
            said = "it closed right after the handshake: it may demand a client certificate, or another than ours"
        return f"{self.peer} refused the connection: {said}" if said else ""


def echo(peer: Peer, calling_ae: str, timeout_s: float = 5.0) -> int:
    """Open an association, send one C-ECHO, release; return the status, 0 for success.

    Raises
    ------
    AssociationLost, AssociationRejected, AssociationRejectedForNow, Permanent
        As `Association` and `Association.echo` do.
    """
    with Association(peer, calling_ae, [Context(VERIFICATION, (IMPLICIT_LITTLE_ENDIAN,))], timeout_s) as association:
        return association.echo()
