"""The listener's controller: binds, serves each connection on a thread of its own, stops in order."""

from __future__ import annotations

import errno
import socket
import threading
import time
from dataclasses import dataclass
from typing import Final

from node.listener import doorway
from node.listener.connection import Connection
from node.listener.doorkeeper import Doorkeeper, Visit
from node.listener.doorway import Doors
from node.listener.ledger import Ledger
from node.listener.rescan import scan_at_start
from node.listener.secure import ServerTls
from node.listener.services.table import Services
from node.listener.session import Session
from node.listener.shared_associations import SharedAssociations
from node.store import leftovers
from node.store.log import get_logger
from node.store.ports import IntakeLog
from node.store.settings import Settings
from node.store.spool import Spool

log = get_logger(__name__)

_LEDGER_S: Final = 10.0
_SHUT: Final = frozenset({errno.EINVAL, errno.EBADF})
"""What `accept` says of a socket that was shut, here or by another process."""
_HOLD_BACK_S: Final = 0.02
"""Seconds for which a process with more connections than another lets that one accept first."""


@dataclass(frozen=True, slots=True)
class Place:
    """Of one process among several that receive (`node.listener.crew`).

    Parameters
    ----------
    doors
        The sockets that all of them accept from.
    listener_id
        Of all of them.
    counts
        What is open in all of them.
    number
        Of this one, from 0.
    """

    doors: Doors
    listener_id: str
    counts: SharedAssociations
    number: int


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
    place
        Where it is one of several processes; what is to be done once is then done by their parent.
    """

    def __init__(
        self, settings: Settings, intake: IntakeLog, services: Services | None = None, place: Place | None = None
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._services = services
        self._place = place
        self._id = "" if place is None else place.listener_id
        self.spool = Spool(settings.spool, settings.limits.disk_reserve_mb, journalled=True)
        self._ledger = Ledger(intake)
        self._tls = ServerTls(settings.tls) if settings.tls else None
        self._doors = Doors() if place is None else place.doors
        counts = None if place is None else place.counts
        self._doorkeeper = Doorkeeper(settings, self._ledger.tally, counts, has_room=self.spool.has_room)
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port it listens on for plain DICOM; known after `start`."""
        return self._doors.port

    @property
    def tls_port(self) -> int:
        """The port it listens on for TLS; known after `start`."""
        return self._doors.tls_port

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
        if self._place is not None:
            self._ledger.start()
            self._open()
            return
        removed = leftovers.clean(self.spool)
        if removed:
            log.info("removed files of writers that died", files=removed)
        self._doors = Doors.open(self._settings)
        self._id = doorway.listener_id(self._settings.data, self._doors)
        self._intake.listener_started(self._id)
        self._ledger.start()
        self._open()
        what = (self.spool, self._intake, self._stopping.is_set)
        threading.Thread(target=scan_at_start, args=what, name="rescan", daemon=True).start()
        doorway.check_that_it_answers(self._settings, self._doors)
        log.info("listening", host=self._settings.host, ae_title=self._settings.ae_title, **self._doors.ports)

    def stop(self, drain_s: float | None = None) -> None:
        """Accept no more, wait at most `drain_s` seconds for open associations, abort those left, tell the catalog the rest."""
        drain_s = self._settings.limits.drain_s if drain_s is None else drain_s
        self._stopping.set()
        self._doorkeeper.close()
        self._doors.shut()
        self._join(time.monotonic() + drain_s, associations_only=True)
        for connection in self._doorkeeper.connections():
            connection.interrupt()
        self._join(time.monotonic() + _LEDGER_S, associations_only=False)
        self.spool.close()
        self._doorkeeper.rejections.flush()
        if not self._ledger.stop(_LEDGER_S):
            log.warning("the catalog did not take everything; the next start finds the rest in the spool")

    def _open(self) -> None:
        """Accept on threads of their own: plain DICOM, TLS, or both."""
        for bound, tls in ((self._doors.plain, None), (self._doors.secured, self._tls)):
            if bound is not None:
                threading.Thread(target=self._accept, args=(bound, tls), name="listener", daemon=True).start()

    def _accept(self, bound: socket.socket, tls: ServerTls | None) -> None:
        while not self._stopping.is_set():
            self._hold_back()
            try:
                accepted, address = bound.accept()
            except OSError as fault:
                if self._stopping.is_set() or fault.errno in _SHUT:
                    return
                self._doorkeeper.unaccepted(fault)
                self._stopping.wait(0.1)
                continue
            self._serve(accepted, str(address[0]), tls)

    def _hold_back(self) -> None:
        """Let another process accept first that has fewer connections, if it is there to."""
        if self._place is None:
            return
        counts, number = self._place.counts, self._place.number
        counts.set_load(number, self.open_connections)
        until = time.monotonic() + _HOLD_BACK_S
        while counts.is_heavier(number) and time.monotonic() < until:
            time.sleep(0.001)

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
            if self._place is not None:
                self._place.counts.set_load(self._place.number, self.open_connections)

    def _join(self, deadline: float, *, associations_only: bool) -> None:
        while time.monotonic() < deadline:
            if not self._doorkeeper.connections(associated_only=associations_only):
                return
            time.sleep(0.02)
