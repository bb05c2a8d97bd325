"""The listener's side of TLS: a context that follows its files, and handshakes in bounded time."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from node import upper_layer
from node.certificate import validity
from node.store.errors import ConfigurationError
from node.store.log import get_logger
from node.store.settings import Tls
from node.tls import meaning, server_context

log = get_logger(__name__)

_HANDSHAKE: Final = 0x16
"""First byte of every TLS connection (RFC 8446 section 5.1)."""
_LINGER_S: Final = 1.0

_Stamp = tuple[tuple[int, int, int], ...]


class HandshakeFailed(OSError):
    """No TLS came about; `reason` is empty where the peer did not mean to speak it, as probes do not."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ServerTls:
    """Makes TLS of accepted connections, by the files as they are now: certificates are renewed without a restart.

    Raises
    ------
    ConfigurationError
        Where a file cannot be used at the start. Later the last good ones stay in use, and the log says so.
    """

    def __init__(self, settings: Tls) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._context = self._load()

    def wrap(self, accepted: socket.socket) -> ssl.SSLSocket:
        """The connection as one of TLS, whose handshake is still to come; nothing is read or written here."""
        return self._current().wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)

    def _current(self) -> ssl.SSLContext:
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp  # files that are half written change again, and are looked at again then
                try:
                    self._context = self._load()
                    log.info("certificate loaded anew", certificate=str(self._settings.certificate))
                except ConfigurationError as wrong:
                    log.error("the new certificate cannot be used, the last one stays", reason=str(wrong))
            return self._context

    def _load(self) -> ssl.SSLContext:
        context = server_context(self._settings)
        _, last = validity(self._settings.certificate)
        if last < datetime.now(UTC):  # served all the same: some senders do not look, and the others say so
            log.error("the certificate has expired: put a new one in place", certificate=str(self._settings.certificate))
        return context

    def _look(self) -> _Stamp:
        return tuple(_stamp(path) for path in (self._settings.certificate, self._settings.key, self._settings.client_ca) if path)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino


def shake_hands(secured: ssl.SSLSocket, within_s: float) -> None:
    """Do the handshake; afterwards the socket reads and writes as any other.

    Raises
    ------
    HandshakeFailed
        Where it does not come about within `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    try:
        _expect_handshake(secured, deadline)
        secured.settimeout(0)
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                _wait(secured, select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                _wait(secured, select.POLLOUT, deadline)
            else:
                return
    except HandshakeFailed:
        raise
    except (OSError, ValueError) as fault:  # ValueError: it was closed meanwhile
        reason = meaning(fault) if isinstance(fault, OSError) else None
        _let_read(secured)
        raise HandshakeFailed(reason or "") from fault


def _expect_handshake(secured: ssl.SSLSocket, deadline: float) -> None:
    """Look at the first byte, which is left where it is: plain DICOM is told from a probe."""
    _wait(secured, select.POLLIN, deadline)
    first = socket.socket.recv(secured, 1, socket.MSG_PEEK)
    if first == bytes((upper_layer.A_ASSOCIATE_RQ,)):
        raise HandshakeFailed("it speaks plain DICOM to the port for TLS: switch TLS on there, or let it call the plain port")
    if first != bytes((_HANDSHAKE,)):
        raise HandshakeFailed("")


def _wait(secured: ssl.SSLSocket, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(secured.fileno(), event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise HandshakeFailed("")


def _let_read(secured: ssl.SSLSocket) -> None:
    """Let the peer read our alert: closed with bytes of its own unread, the system would throw the alert away."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(secured, socket.SHUT_WR)
        secured.settimeout(_LINGER_S)
        until = time.monotonic() + _LINGER_S
        while time.monotonic() < until and socket.socket.recv(secured, 65536):
            pass


def names_shown(either: socket.socket) -> frozenset[str]:
    """Names of the certificate that the peer showed and that was verified: its alternative names, else its common name."""
    shown: dict[str, Any] | None = either.getpeercert() if isinstance(either, ssl.SSLSocket) else None
    if not shown:
        return frozenset()
    names = {str(value) for kind, value in shown.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}}
    common = {str(value) for part in shown.get("subject", ()) for key, value in part if key == "commonName"}
    return frozenset(names or common)


def shut_down(either: socket.socket) -> None:
    """End a connection under whatever it carries. TLS is not touched: another thread may be within it."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(either, socket.SHUT_RDWR)


def say_goodbye(either: socket.socket) -> None:
    """Of TLS, send that nothing more comes (RFC 8446 section 6.1), and wait for nothing."""
    if isinstance(either, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            either.settimeout(0)
            either.unwrap()
