"""The listener's controller: binds, serves each connection on a thread of its own, stops in order."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import uuid
from typing import Final

from node.association import echo
from node.listener.connection import Connection
from node.listener.ledger import Ledger
from node.listener.rescan import rescan
from node.listener.session import Session
from node.store.errors import ConfigurationError, OverreadError, Retryable
from node.store.log import get_logger
from node.store.ports import IntakeLog
from node.store.settings import Peer, Settings
from node.store.spool import Spool

log = get_logger(__name__)

_WAITING: Final = 128
"""Connections that the system holds until they are accepted."""
_UNASSOCIATED: Final = 100
"""Connections beyond the allowed associations that may be open without one, such as probes."""
_LEDGER_S: Final = 10.0


class Listener:
    """Accepts C-ECHO and C-STORE until stopped.

    Parameters
    ----------
    settings
        Uses ``host``, ``port`` (0: the system chooses), ``ae_title``, ``spool`` and ``limits``. Any called AE title is answered.
    intake
        The catalog's port.
    """

    def __init__(self, settings: Settings, intake: IntakeLog) -> None:
        self._settings = settings
        self._intake = intake
        self._id = str(uuid.uuid4())
        self.spool = Spool(settings.spool, settings.limits.disk_reserve_mb)
        self._ledger = Ledger(intake)
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, Connection] = {}
        self._associations: set[threading.Thread] = set()
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port it listens on; known after `start`."""
        if self._socket is None:
            raise ConfigurationError("the listener was not started")
        return int(self._socket.getsockname()[1])

    @property
    def open_connections(self) -> int:
        """How many connections are open, with or without an association."""
        with self._lock:
            return len(self._connections)

    def start(self) -> None:
        """Clean the spool, bind, serve; returns after the listener has answered a C-ECHO of its own.

        What the spool holds and the catalog does not know is told to the catalog meanwhile, on a thread of its own.

        Raises
        ------
        ConfigurationError
            Where the address cannot be used.
        Retryable
            Where it does not answer.
        """
        removed = self.spool.clean()
        if removed:
            log.info("removed files of writers that died", files=removed)
        self._intake.listener_started(self._id)
        self._ledger.start()
        self._socket = self._bind()
        threading.Thread(target=self._accept, args=(self._socket,), name="listener", daemon=True).start()
        threading.Thread(target=self._rescan, name="rescan", daemon=True).start()
        self._check()
        log.info("listening", host=self._settings.host, port=self.port, ae_title=self._settings.ae_title)

    def stop(self, drain_s: float | None = None) -> None:
        """Accept no more, wait at most `drain_s` seconds for open associations, abort those left, tell the catalog the rest."""
        drain_s = self._settings.limits.drain_s if drain_s is None else drain_s
        self._stopping.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        self._join(time.monotonic() + drain_s, associations_only=True)
        with self._lock:
            left = list(self._connections.values())
        for connection in left:
            connection.interrupt()
        self._join(time.monotonic() + _LEDGER_S, associations_only=False)
        if not self._ledger.stop(_LEDGER_S):
            log.warning("the catalog did not take everything; the next start finds the rest in the spool")

    def _bind(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            bound = socket.socket(family, kind)
            try:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind(address)
                bound.listen(_WAITING)
            except OSError:
                bound.close()
                raise
        except OSError as fault:
            raise ConfigurationError(
                f"cannot listen on {host}:{port} ({fault.strerror}): choose another --port or --host"
            ) from fault
        return bound

    def _check(self) -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._settings.host, self._settings.host)  # noqa: S104
        status = echo(Peer(ae_title=self._settings.ae_title, host=host, port=self.port), self._settings.ae_title)
        if status:
            raise Retryable(f"the listener answers its own C-ECHO with {status:04X}")

    def _accept(self, bound: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                accepted, address = bound.accept()
            except OSError as fault:
                if self._stopping.is_set():
                    return
                log.warning("could not accept a connection, trying again", fault=fault.strerror)
                self._stopping.wait(0.1)  # out of descriptors, for example
                continue
            self._serve(accepted, str(address[0]))

    def _serve(self, accepted: socket.socket, peer_host: str) -> None:
        with self._lock:
            if len(self._connections) >= self._settings.limits.associations + _UNASSOCIATED:
                accepted.close()
                return
            try:
                connection = Connection(accepted, self._settings.limits.idle_s)
            except OSError:
                accepted.close()  # it went away before it was looked at
                return
            session = Session(
                connection, peer_host, spool=self.spool, ledger=self._ledger, listener_id=self._id, admit=self._admit
            )
            thread = threading.Thread(target=self._run, args=(session,), name="association", daemon=True)
            self._connections[thread] = connection
        thread.start()

    def _run(self, session: Session) -> None:
        try:
            session.run()
        finally:
            with self._lock:
                self._connections.pop(threading.current_thread(), None)
                self._associations.discard(threading.current_thread())

    def _admit(self) -> bool:
        with self._lock:
            if self._stopping.is_set() or len(self._associations) >= self._settings.limits.associations:
                return False
            self._associations.add(threading.current_thread())
            return True

    def _join(self, deadline: float, *, associations_only: bool) -> None:
        while time.monotonic() < deadline:
            with self._lock:
                if not (self._associations if associations_only else self._connections):
                    return
            time.sleep(0.02)

    def _rescan(self) -> None:
        try:
            found = rescan(self.spool, self._intake, self._stopping.is_set)
        except OverreadError as fault:
            log.warning("the start-up scan of the spool failed: restart to try again", fault=str(fault))
            return
        if found:
            log.info("the spool held instances that the catalog did not know", instances=found)
