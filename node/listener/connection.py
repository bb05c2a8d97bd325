"""A peer's connection: whole PDUs in bounded memory and bounded time (PS3.8 chapter 9)."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from typing import Final

from node import upper_layer
from node.listener.negotiation import LONGEST_PDU
from node.listener.patience import Patience
from node.listener.secure import HandshakeFailed, names_shown, say_goodbye, shake_hands, shut_down
from node.store.errors import Retryable

_LONGEST_REQUEST: Final = 1 << 20
"""Bytes of an A-ASSOCIATE-RQ; 128 contexts of 45 transfer syntaxes take a quarter of it."""

_TLS: Final = b"\x16\x03"
"""How a TLS connection begins (RFC 8446 section 5.1)."""

_LONGEST_RECEIVED: Final = 4 * LONGEST_PDU
"""Bytes of a PDU that are taken from peers which do not keep to what was agreed."""

UNRECOGNISED_PDU: Final = 1
UNEXPECTED_PDU: Final = 2
INVALID_PARAMETER: Final = 6
"""Reasons of an A-ABORT by the service provider (PS3.8 section 9.3.8)."""


class ConnectionEnded(Retryable):
    """The peer went away, or took too long; `silent` where it never requested an association, as probes do.

    Parameters
    ----------
    remark
        What a person should know of a silent end: somebody meant to speak to us, and could not.
    """

    def __init__(self, reason: str, *, silent: bool = False, remark: str = "") -> None:
        super().__init__(reason)
        self.silent = silent
        self.remark = remark


class ProtocolFault(Retryable):
    """The peer broke the rules of the upper layer; answered with an A-ABORT of that reason."""

    def __init__(self, message: str, reason: int = UNEXPECTED_PDU) -> None:
        super().__init__(message)
        self.reason = reason


class Connection:
    """Reads PDUs from an accepted socket, and writes to it.

    Parameters
    ----------
    idle_s
        Longest wait for a PDU to begin, and then for the peer to get on with it, in seconds.
    """

    def __init__(self, accepted: socket.socket, idle_s: float) -> None:
        self._socket = accepted
        self._idle_s = idle_s
        self._buffer = bytearray(LONGEST_PDU)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.settimeout(idle_s)

    def first_pdu(self, timeout_s: float) -> bytes:
        """The A-ASSOCIATE-RQ, with its header. Other PDUs and other protocols end the connection without a word.

        Parameters
        ----------
        timeout_s
            Until all of it must be there, in seconds (the ARTIM timer of PS3.8 section 9.1.5).

        Raises
        ------
        ConnectionEnded
            Where none comes.
        """
        until = time.monotonic() + timeout_s
        if isinstance(self._socket, ssl.SSLSocket):
            self._secure(self._socket, timeout_s)
        head = bytearray(6)
        self._fill(memoryview(head), within_s=until - time.monotonic())
        kind, _, length = struct.unpack(">BBL", head)
        if kind != upper_layer.A_ASSOCIATE_RQ or length > _LONGEST_REQUEST:
            said = "it speaks TLS to the port for plain DICOM: let it call the port of [tls]" if head[:2] == _TLS else ""
            raise ConnectionEnded("not an association request", silent=True, remark=said)
        body = bytearray(length)
        self._fill(memoryview(body), within_s=until - time.monotonic())
        self._socket.settimeout(self._idle_s)
        return bytes(head + body)

    def next_pdu(self) -> tuple[int, memoryview]:
        """Type and content of the next PDU; the content is valid until the next call.

        Raises
        ------
        ConnectionEnded
            Where none comes.
        ProtocolFault
            Where it is longer than anybody needs.
        """
        head = bytearray(6)
        self._fill(memoryview(head))
        kind, _, length = struct.unpack(">BBL", head)
        if length > _LONGEST_RECEIVED:
            raise ProtocolFault(f"a PDU of {length} bytes, {LONGEST_PDU} were agreed", INVALID_PARAMETER)
        if length > len(self._buffer):
            self._buffer = bytearray(length)
        body = memoryview(self._buffer)[:length]
        self._fill(body)
        return kind, body

    @property
    def certificate_names(self) -> frozenset[str]:
        """Names that the peer's certificate is for; none without TLS, and where it showed none."""
        return names_shown(self._socket)

    def send(self, pdu: bytes) -> None:
        """Send a PDU.

        Raises
        ------
        ConnectionEnded
            Where the peer does not take it.
        """
        try:
            self._socket.sendall(pdu)
        except OSError as gone:
            raise ConnectionEnded("the peer closed the connection before our answer") from gone

    def abort(self, reason: int) -> None:
        """Send an A-ABORT of the service provider for that reason, and close."""
        with contextlib.suppress(OSError):
            self._socket.sendall(struct.pack(">BBLBBBB", upper_layer.A_ABORT, 0, 4, 0, 0, 2, reason))
        self.close()

    def interrupt(self) -> None:
        """Send an A-ABORT from another thread and wake the one that serves the connection, which then closes it.

        Closed from here, its descriptor could be another connection's before that thread notices.
        """
        if not isinstance(self._socket, ssl.SSLSocket):  # which two threads must not write and read at once
            with contextlib.suppress(OSError):
                self._socket.sendall(upper_layer.ABORT)
        shut_down(self._socket)

    def drop(self) -> None:
        """End from another thread a connection that has no association, without a word."""
        shut_down(self._socket)

    def wait_for_end(self, timeout_s: float) -> None:
        """Let the peer close first, as the requestor does after a release; then close."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(timeout_s)
            self._socket.recv(1)
        self.close()

    def close(self) -> None:
        """Close at once; only the thread that serves the connection does."""
        say_goodbye(self._socket)
        shut_down(self._socket)
        self._socket.close()

    @staticmethod
    def _secure(secured: ssl.SSLSocket, timeout_s: float) -> None:
        try:
            shake_hands(secured, timeout_s)
        except HandshakeFailed as failed:
            raise ConnectionEnded("no TLS came about", silent=True, remark=failed.reason) from failed

    def _fill(self, view: memoryview, *, within_s: float | None = None) -> None:
        """Fill `view`: within `within_s` seconds in all, or else for as long as the peer gets on (`Patience`).

        With `within_s` the end is silent: no association was requested yet.
        """
        silent = within_s is not None
        deadline = None if within_s is None else time.monotonic() + within_s
        patience = Patience(self._idle_s)
        position = 0
        while position < len(view):
            try:
                if deadline is not None:
                    self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                received = self._socket.recv_into(view[position:])
            except TimeoutError as late:
                raise ConnectionEnded("the peer was idle too long", silent=silent) from late
            except OSError as gone:
                raise ConnectionEnded("the connection broke", silent=silent) from gone
            if not received:
                raise ConnectionEnded("the peer closed the connection", silent=silent)
            position += received
            if not patience.received(received) and not silent:
                raise ConnectionEnded("the peer was too slow", silent=silent)
