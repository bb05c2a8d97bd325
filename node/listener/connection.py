"""A peer's connection: whole PDUs in bounded memory and bounded time (PS3.8 chapter 9)."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Final

from node import upper_layer
from node.store.errors import Retryable

_LONGEST_REQUEST: Final = 1 << 20
"""Bytes of an A-ASSOCIATE-RQ; 128 contexts of 45 transfer syntaxes take a quarter of it."""

_SLOWEST: Final = 1
"""Bytes a second of a peer that is waited for; what is slower only holds an association."""


class ConnectionEnded(Retryable):
    """The peer went away, or took too long; `silent` where it never requested an association, as probes do."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        super().__init__(reason)
        self.silent = silent


class Connection:
    """Reads PDUs from an accepted socket, and writes to it.

    Parameters
    ----------
    idle_s
        Longest wait for a PDU to begin, and again for it to end, in seconds.
    """

    def __init__(self, accepted: socket.socket, idle_s: float) -> None:
        self._socket = accepted
        self._idle_s = idle_s
        self._window_ends, self._in_window = time.monotonic() + idle_s, 0
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.settimeout(idle_s)

    def first_pdu(self, timeout_s: float) -> bytes:
        """The A-ASSOCIATE-RQ, with its header. Other PDUs and other protocols end the connection without a word.

        Raises
        ------
        ConnectionEnded
            Where none comes.
        """
        self._socket.settimeout(min(timeout_s, self._idle_s))
        head = bytearray(6)
        self._fill(memoryview(head), silent=True)
        kind, _, length = struct.unpack(">BBL", head)
        if kind != upper_layer.A_ASSOCIATE_RQ or length > _LONGEST_REQUEST:
            raise ConnectionEnded("not an association request", silent=True)
        body = bytearray(length)
        self._fill(memoryview(body), silent=True)
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
            Where nothing comes, or so little that the peer only keeps the association occupied.
        """
        received = self._receive(buffer, silent=False)
        now = time.monotonic()
        if not underway:
            self._window_ends, self._in_window = now + self._idle_s, 0
        self._in_window += received
        if now > self._window_ends:
            if self._in_window < self._idle_s * _SLOWEST:
                raise ConnectionEnded("the peer was too slow")
            self._window_ends, self._in_window = now + self._idle_s, 0
        return received

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
        with contextlib.suppress(OSError):
            self._socket.sendall(upper_layer.ABORT)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def wait_for_end(self, timeout_s: float) -> None:
        """Let the peer close first, as the requestor does after a release; then close."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(timeout_s)
            self._socket.recv(1)
        self.close()

    def close(self) -> None:
        """Close at once; only the thread that serves the connection does."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _fill(self, view: memoryview, *, silent: bool = False) -> None:
        """Fill `view`, in at most twice the idle time however the bytes drip."""
        deadline = time.monotonic() + 2 * self._idle_s
        position = 0
        while position < len(view):
            position += self._receive(view[position:], silent=silent)
            if time.monotonic() > deadline:
                raise ConnectionEnded("the peer was too slow", silent=silent)

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
