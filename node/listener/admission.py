"""Who is let in: an association request against the sources and limits of the settings (PS3.8 section 9.3.4)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node import upper_layer
from node.listener.negotiation import Unsupported
from node.listener.open_associations import Full, InProcess, OpenAssociations
from node.store.settings import Settings
from node.store.sources import Address, Caller, Source, Unlisted, address_of, find_source

_PERMANENT: Final = 1
_TRANSIENT: Final = 2
_SERVICE_USER: Final = 1
_ACSE: Final = 2
_PRESENTATION: Final = 3
_APPLICATION_CONTEXT_NOT_SUPPORTED: Final = 2
_PROTOCOL_VERSION_NOT_SUPPORTED: Final = 2
_CALLING_AE_NOT_RECOGNISED: Final = 3
_CALLED_AE_NOT_RECOGNISED: Final = 7
_CONGESTION: Final = 1
_LOCAL_LIMIT: Final = 2
REJECTIONS: Final = (
    (
        _PERMANENT,
        _SERVICE_USER,
        _CALLING_AE_NOT_RECOGNISED,
        "calling AE title, its host or its certificate not listed among the sources",
    ),
    (_PERMANENT, _SERVICE_USER, _CALLED_AE_NOT_RECOGNISED, "the source may not call that AE title"),
    (
        _TRANSIENT,
        _PRESENTATION,
        _LOCAL_LIMIT,
        "as many associations open as are allowed, in all or of the source; or no room on the disk",
    ),
    (_TRANSIENT, _PRESENTATION, _CONGESTION, "the node is stopping"),
)
"""Result, source and reason of every A-ASSOCIATE-RJ that is sent, and when."""
_NAMES_S: Final = 60.0
"""Seconds for which the addresses of a host's name are taken as they were found."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """An association that may begin; `source` must leave when it ends."""

    source: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """An association that may not.

    Parameters
    ----------
    pdu
        The A-ASSOCIATE-RJ.
    reason
        For a person: what is wrong and what to change; without what changes from one try to the next.
    """

    pdu: bytes
    reason: str


class Admission:
    """Decides on association requests; threads may share it.

    Parameters
    ----------
    settings
        Uses ``accept``, ``sources`` and ``limits``.
    counts
        What is open; of this process alone where none is given.
    has_room
        Whether the disk has room for more.
    """

    def __init__(
        self, settings: Settings, counts: OpenAssociations | None = None, has_room: Callable[[], bool] = lambda: True
    ) -> None:
        self._has_room = has_room
        self._settings = settings
        self._counts = InProcess() if counts is None else counts
        self._names = _Names()

    def enter(self, caller: Caller) -> Admitted | Rejected:
        """Decide on a request. Who is admitted counts as open until `leave` is called."""
        settings, limits = self._settings, self._settings.limits
        found = find_source(settings.sources, caller, self._names.addresses)
        if isinstance(found, Source):
            key, most = f"source {settings.sources.index(found)}", found.associations or limits.associations_per_source
        elif settings.accept == "listed" and not self._ourselves(caller):
            return _unlisted(caller, *found)
        else:
            key, most = f"{caller.calling_ae}@{caller.host}", limits.associations_per_source
        if not caller.echo_only and not self._has_room():
            return _no_room(limits.disk_reserve_mb)
        full = self._counts.enter(key, limits.associations, most)
        if full is None:
            return Admitted(key)
        return _full(caller, full, limits.associations if full is Full.TOTAL else most or 0)

    def leave(self, admitted: Admitted) -> None:
        """An admitted association has ended."""
        self._counts.leave(admitted.source)

    def _ourselves(self, caller: Caller) -> bool:
        """Whether this is the node's own C-ECHO, from this machine: by it start-up and ``overread check`` see that we answer."""
        host = address_of(caller.host)
        near = host is not None and (host.is_loopback or host == address_of(caller.own_host))
        return near and caller.echo_only and caller.calling_ae == caller.called_ae == self._settings.ae_title


class _Names:
    """Addresses of the hosts that sources name; kept for a while, and longer where the name service does not answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, frozenset[Address]]] = {}

    def addresses(self, name: str) -> frozenset[Address]:
        with self._lock:
            until, known = self._known.get(name, (0.0, frozenset[Address]()))
        if time.monotonic() < until:
            return known
        try:  # without the lock: a name service that is slow holds up this caller only
            found = {address_of(str(entry[4][0])) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
            known = frozenset(address for address in found if address is not None)
        except OSError:
            pass  # what was known before still counts
        with self._lock:
            self._known[name] = time.monotonic() + _NAMES_S, known
        return known


def rejection(result: int, source: int, diagnostic: int) -> bytes:
    """An A-ASSOCIATE-RJ (PS3.8 section 9.3.4)."""
    return bytes((upper_layer.A_ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, result, source, diagnostic))


def unsupported(what: Unsupported, who: str) -> Rejected:
    """The rejection of a request that asks for something else than DICOM's one protocol and application context."""
    pdu = {
        Unsupported.PROTOCOL_VERSION: rejection(_PERMANENT, _ACSE, _PROTOCOL_VERSION_NOT_SUPPORTED),
        Unsupported.APPLICATION_CONTEXT: rejection(_PERMANENT, _SERVICE_USER, _APPLICATION_CONTEXT_NOT_SUPPORTED),
    }
    return Rejected(pdu[what], f"{who} asked for another {what} than DICOM has: see what sends there")


STOPPING: Final = Rejected(rejection(_TRANSIENT, _PRESENTATION, _CONGESTION), "this node is stopping")


def _unlisted(caller: Caller, unlisted: Unlisted, near: tuple[Source, ...]) -> Rejected:
    calling, called, host = caller.calling_ae, caller.called_ae, caller.host
    if unlisted is Unlisted.CALLED_AE:
        titles = ", ".join(dict.fromkeys(title for source in near for title in source.called_ae))
        return Rejected(
            rejection(_PERMANENT, _SERVICE_USER, _CALLED_AE_NOT_RECOGNISED),
            f"sources let {calling} ({host}) call {titles}, it called {called}: correct the called AE title there, or add "
            f"{called} to called_ae of the source",
        )
    pdu = rejection(_PERMANENT, _SERVICE_USER, _CALLING_AE_NOT_RECOGNISED)
    if unlisted is Unlisted.CERTIFICATE:
        wanted = ", ".join(dict.fromkeys(str(source.certificate) for source in near))
        shown = f"one for {', '.join(sorted(caller.certificate_names))}" if caller.certificate_names else "none"
        return Rejected(
            pdu,
            f"the source of {calling} ({host}) must show a certificate for {wanted}, it showed {shown}: "
            "correct certificate of the source, or what is configured there",
        )
    if unlisted is Unlisted.HOST:
        hosts = ", ".join(dict.fromkeys(one for source in near for one in source.hosts))
        return Rejected(
            pdu, f"sources list {calling} at {hosts}, it called from {host}: add {host} to hosts of the source if it may"
        )
    return Rejected(
        pdu,
        f'no source lists {calling} ({host}), which called {called}: add [[sources]] with ae_title = "{calling}" if it may send, '
        "or correct the calling AE title there",
    )


def _no_room(reserve_mb: int) -> Rejected:
    return Rejected(
        rejection(_TRANSIENT, _PRESENTATION, _LOCAL_LIMIT),
        f"less than {reserve_mb} MB are free on the disk of the spool, the reserve of this node: make room there, or set "
        "[retention]; who was rejected will try again",
    )


def _full(caller: Caller, full: Full, most: int) -> Rejected:
    pdu = rejection(_TRANSIENT, _PRESENTATION, _LOCAL_LIMIT)
    who = f"{caller.calling_ae} ({caller.host})"
    if full is Full.SOURCE:
        reason = (
            f"{who} has {most} associations open, as many as a source may: it will try again, or raise associations of the source"
        )
    else:
        reason = f"{who} found all {most} associations taken: it will try again, or raise limits.associations"
    return Rejected(pdu, reason)
