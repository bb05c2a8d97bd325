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
from node.listener.doorkeeper import Doorkeeper, Visit
from node.listener.ledger import Ledger
from node.listener.rescan import rescan
from node.listener.secure import ServerTls
from node.listener.services.table import Services
from node.listener.session import Session
from node.store.errors import ConfigurationError, OverreadError, Retryable
from node.store.log import get_logger
from node.store.ports import IntakeLog
from node.store.settings import Peer, Settings
from node.store.spool import Spool

log = get_logger(__name__)

_WAITING: Final = 128
"""Connections that the system holds until they are accepted."""
_LEDGER_S: Final = 10.0


class Listener:
    """Accepts C-ECHO, C-STORE and what its services serve, until stopped.

    Parameters
    ----------
    settings
        Uses ``host``, ``port`` (0: the system chooses), ``ae_title``, ``spool``, ``accept``, ``sources`` and ``limits``.
    intake
        The catalog's port.
    services
        What is served beside C-ECHO and C-STORE.
    """

    def __init__(self, settings: Settings, intake: IntakeLog, services: Services | None = None) -> None:
        self._settings = settings
        self._intake = intake
        self._services = services
        self._id = str(uuid.uuid4())
        self.spool = Spool(settings.spool, settings.limits.disk_reserve_mb)
        self._ledger = Ledger(intake)
        self._tls = ServerTls(settings.tls) if settings.tls else None
        self._plain: socket.socket | None = None
        self._secured: socket.socket | None = None
        self._doorkeeper = Doorkeeper(settings, self._ledger.tally, has_room=self.spool.has_room)
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port it listens on for plain DICOM; known after `start`."""
        return _port(self._plain)

    @property
    def tls_port(self) -> int:
        """The port it listens on for TLS; known after `start`."""
        return _port(self._secured)

    @property
    def open_connections(self) -> int:
        """How many connections are open, with or without an association."""
        return len(self._doorkeeper.connections())

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
        self._open()
        threading.Thread(target=self._rescan, name="rescan", daemon=True).start()
        self._check()
        ports = {"port": _port(self._plain)} if self._plain else {}
        ports |= {"tls_port": _port(self._secured)} if self._secured else {}
        log.info("listening", host=self._settings.host, ae_title=self._settings.ae_title, **ports)

    def stop(self, drain_s: float | None = None) -> None:
        """Accept no more, wait at most `drain_s` seconds for open associations, abort those left, tell the catalog the rest."""
        drain_s = self._settings.limits.drain_s if drain_s is None else drain_s
        self._stopping.set()
        self._doorkeeper.close()
        for bound in filter(None, (self._plain, self._secured)):
            with contextlib.suppress(OSError):
                bound.shutdown(socket.SHUT_RDWR)
            bound.close()
        self._join(time.monotonic() + drain_s, associations_only=True)
        for connection in self._doorkeeper.connections():
            connection.interrupt()
        self._join(time.monotonic() + _LEDGER_S, associations_only=False)
        self._doorkeeper.rejections.flush()
        if not self._ledger.stop(_LEDGER_S):
            log.warning("the catalog did not take everything; the next start finds the rest in the spool")

    def _open(self) -> None:
        """Bind, and accept on threads of their own: plain DICOM, TLS, or both."""
        if self._settings.plain:
            self._plain = self._bind(self._settings.port)
        if self._settings.tls and self._tls:
            self._secured = self._bind(self._settings.tls.port)
        for bound, tls in ((self._plain, None), (self._secured, self._tls)):
            if bound is not None:
                threading.Thread(target=self._accept, args=(bound, tls), name="listener", daemon=True).start()

    def _bind(self, port: int) -> socket.socket:
        host = self._settings.host
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
        if self._plain is None:
            return  # our own C-ECHO would need a certificate of a sender; that the files can be used is known by now
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._settings.host, self._settings.host)  # noqa: S104
        status = echo(Peer(ae_title=self._settings.ae_title, host=host, port=self.port), self._settings.ae_title)
        if status:
            raise Retryable(f"the listener answers its own C-ECHO with {status:04X}")

    def _accept(self, bound: socket.socket, tls: ServerTls | None) -> None:
        while not self._stopping.is_set():
            try:
                accepted, address = bound.accept()
            except OSError as fault:
                if self._stopping.is_set():
                    return
                log.warning("could not accept a connection, trying again", fault=fault.strerror)
                self._stopping.wait(0.1)  # out of descriptors, for example
                continue
            self._serve(accepted, str(address[0]), tls)

    def _serve(self, accepted: socket.socket, peer_host: str, tls: ServerTls | None) -> None:
        try:
            accepted = tls.wrap(accepted) if tls else accepted
            own_host = str(accepted.getsockname()[0])
            connection = Connection(accepted, self._settings.limits.idle_s)
        except OSError:
            accepted.close()  # it went away before it was looked at
            return
        visit = self._doorkeeper.visit(connection, peer_host, own_host)
        session = Session(
            visit,
            spool=self.spool,
            ledger=self._ledger,
            listener_id=self._id,
            negotiation_s=self._settings.limits.negotiation_s,
            services=self._services,
        )
        try:
            threading.Thread(target=self._run, args=(session, visit), name="association", daemon=True).start()
        except RuntimeError:  # no thread to be had
            connection.close()
            visit.end()

    def _run(self, session: Session, visit: Visit) -> None:
        try:
            session.run()
        finally:
            visit.end()

    def _join(self, deadline: float, *, associations_only: bool) -> None:
        while time.monotonic() < deadline:
            if not self._doorkeeper.connections(associated_only=associations_only):
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


def _port(bound: socket.socket | None) -> int:
    if bound is None:
        raise ConfigurationError("the listener was not started, or does not listen there")
    return int(bound.getsockname()[1])
