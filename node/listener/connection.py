"""A peer's connection: whole PDUs in bounded memory and bounded time (PS3.8 chapter 9)."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from typing import Final

from node import upper_layer
from node.listener.patience import Patience
from node.listener.secure import HandshakeFailed, names_shown, say_goodbye, shake_hands, shut_down
from node.store.errors import Retryable
from node.tls import speaks_within

_LONGEST_REQUEST: Final = 1 << 20
"""Bytes of an A-ASSOCIATE-RQ; 128 contexts of 45 transfer syntaxes take a quarter of it."""


_TLS: Final = b"\x16\x03"
"""How a TLS connection begins (RFC 8446 section 5.1)."""


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
        self._patience = Patience(idle_s)
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
        self._wait_in_the_system()
        return bytes(head + body)

    def _wait_in_the_system(self) -> None:
        """From now on every wait ends after the idle time; a plain socket leaves that to the system: one call less a read."""
        if type(self._socket) is not socket.socket:
            self._socket.settimeout(self._idle_s)
            return
        self._socket.settimeout(None)
        limit = struct.pack("ll", int(self._idle_s), int(self._idle_s % 1 * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def receive(self, buffer: memoryview, *, underway: bool) -> int:
        """Fill the start of `buffer` with what has come; see `node.listener.inflow.Receive`.

        Raises
        ------
        ConnectionEnded
            Where nothing comes, or too little for too long (`Patience`).
        """
        received = self._receive(buffer, silent=False)
        if not underway:
            self._patience = Patience(self._idle_s)
        elif not self._patience.received(received):
            raise ConnectionEnded("the peer was too slow")
        return received

    def speaks_within(self, seconds: float) -> bool:
        """Whether the peer sends anything, its end of the connection included, within that time."""
        return speaks_within(self._socket, seconds)

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

    def _fill(self, view: memoryview, *, within_s: float) -> None:
        """Fill `view` within so many seconds in all. The end is silent: no association was requested yet."""
        deadline = time.monotonic() + within_s
        position = 0
        while position < len(view):
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            position += self._receive(view[position:], silent=True)

    def _receive(self, view: memoryview, *, silent: bool) -> int:
        try:
            received = self._socket.recv_into(view)
        except (TimeoutError, BlockingIOError) as late:
            raise ConnectionEnded("the peer was idle too long", silent=silent) from late
        except OSError as gone:
            raise ConnectionEnded("the connection broke", silent=silent) from gone
        if not received:
            raise ConnectionEnded("the peer closed the connection", silent=silent)
        return received
