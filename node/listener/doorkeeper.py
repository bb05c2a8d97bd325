"""Every connection from its acceptance to its end: who is let in, who must make room, and what is told of those turned away."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from typing import Final

from pydicom.uid import UID

from node.listener.admission import STOPPING, Admission, Admitted, Rejected, unsupported
from node.listener.connection import Connection
from node.listener.negotiation import Negotiated
from node.listener.open_associations import OpenAssociations
from node.listener.rejections import Rejections, Tally
from node.store.events import Rejection
from node.store.settings import Settings
from node.store.sources import Caller

_UNASSOCIATED: Final = 100
"""Connections that may be open without an association, such as probes; the oldest of them makes room for the next."""
_NAMED: Final = 5
"""SOP classes that one event names."""


class Visit:
    """One connection, as the doorkeeper knows it.

    Parameters
    ----------
    host, own_host
        Addresses of the peer, and of ours that it called.
    """

    def __init__(self, doorkeeper: Doorkeeper, connection: Connection, host: str, own_host: str) -> None:
        self.connection = connection
        self.host = host
        self._doorkeeper = doorkeeper
        self._own_host = own_host
        self._who = host
        self.admitted: Admitted | None = None

    def request(self, negotiated: Negotiated) -> bytes | None:
        """Ask for the association to begin; the A-ASSOCIATE-RJ to send where it may not, None where it may."""
        caller = Caller(
            negotiated.calling_ae,
            negotiated.called_ae,
            self.host,
            self._own_host,
            echo_only=negotiated.echo_only,
            certificate_names=self.connection.certificate_names,
        )
        self._who = f"{caller.calling_ae} ({self.host})"
        if negotiated.unsupported is not None:
            return self._doorkeeper.reject(unsupported(negotiated.unsupported, self._who))
        decision = self._doorkeeper.admit(self, caller)
        if not isinstance(decision, Admitted):
            return decision
        if negotiated.refused:
            self._doorkeeper.rejections.note(Rejection.CONTEXT, _contexts(self._who, negotiated.refused))
        return None

    def fault(self, reason: str) -> None:
        """The peer broke the rules, and the association was aborted for it."""
        note = self._doorkeeper.rejections.note
        if self.admitted is None:
            note(Rejection.ASSOCIATION, f"{self._who} asked in a way that cannot be read ({reason}): see what sends there")
        else:
            note(Rejection.ABORTED, f"{self._who} broke the rules ({reason}): see its log, and the network between")

    def refused(self, reason: str) -> None:
        """An object was answered with a failure; which one is in the log, here it only counts."""
        self._doorkeeper.rejections.note(Rejection.OBJECT, f"{self._who} sent what is not kept ({reason}): see what it sends")

    def unheard(self, remark: str) -> None:
        """Somebody meant to request an association and could not, for what `remark` says."""
        self._doorkeeper.rejections.note(Rejection.CONNECTION, f"{self._who} was not understood, {remark}")

    def end(self) -> None:
        """The connection is closed; called once, whatever happened."""
        self._doorkeeper.ended(self)


class Doorkeeper:
    """Keeps the connections of one listener; threads may share it.

    Parameters
    ----------
    settings
        Uses ``accept``, ``sources`` and ``limits``.
    tally
        Takes to the catalog what was turned away.
    counts
        Open associations; of this process alone where none is given.
    has_room
        Whether the disk has room for more.
    """

    def __init__(
        self,
        settings: Settings,
        tally: Tally,
        counts: OpenAssociations | None = None,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.rejections = Rejections(tally)
        self._admission = Admission(settings, counts, has_room)
        self._lock = threading.Lock()
        self._visits: dict[Visit, None] = {}
        self._waiting: dict[Visit, None] = {}
        self._closed = False

    def visit(self, connection: Connection, host: str, own_host: str) -> Visit:
        """Take note of a connection; where too many wait for an association, the oldest of these is ended."""
        visit = Visit(self, connection, host, own_host)
        with self._lock:
            self._visits[visit] = None
            self._waiting[visit] = None
            oldest = next(iter(self._waiting)) if len(self._waiting) > _UNASSOCIATED else None
            if oldest is not None:
                del self._waiting[oldest]
        if oldest is not None:
            oldest.connection.drop()
        return visit

    def admit(self, visit: Visit, caller: Caller) -> Admitted | bytes:
        """Decide on a visit's request; what was decided, or the A-ASSOCIATE-RJ."""
        with self._lock:
            closed = self._closed
        decision = STOPPING if closed else self._admission.enter(caller)
        if not isinstance(decision, Admitted):
            return self.reject(decision)
        with self._lock:
            visit.admitted = decision
            self._waiting.pop(visit, None)
        return decision

    def reject(self, rejected: Rejected) -> bytes:
        """Tell of a rejection; the A-ASSOCIATE-RJ to send."""
        self.rejections.note(Rejection.ASSOCIATION, rejected.reason)
        return rejected.pdu

    def unaccepted(self, fault: OSError) -> None:
        """A connection that waits cannot be accepted now."""
        to_do = "look at the system's log"
        if fault.errno in {errno.EMFILE, errno.ENFILE}:
            to_do = "allow this process more open files (LimitNOFILE of its unit, ulimit -n), or lower limits.associations"
        self.rejections.note(Rejection.CONNECTION, f"connections wait that cannot be accepted ({fault.strerror}): {to_do}")

    def ended(self, visit: Visit) -> None:
        with self._lock:
            self._visits.pop(visit, None)
            self._waiting.pop(visit, None)
        if visit.admitted is not None:
            self._admission.leave(visit.admitted)

    def close(self) -> None:
        """Admit nobody any more."""
        with self._lock:
            self._closed = True

    def connections(self, *, associated_only: bool = False) -> list[Connection]:
        """What is open."""
        with self._lock:
            return [visit.connection for visit in self._visits if visit.admitted is not None or not associated_only]


def _contexts(who: str, refused: Sequence[tuple[str, int]]) -> str:
    names = sorted({UID(uid).name or uid for uid, _ in refused})
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return (
        f"{who} proposed {named}, which this node does not offer: nothing to do if it only proposes it beside storage, else "
        "take it out of what this node is used for there"
    )
