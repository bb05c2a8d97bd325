"""Whether destinations answer, and who answers on our own port."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from node.association import AssociationRejected, AssociationRejectedForNow
from node.check.verdict import Checked, fault, note, ok
from node.store.destinations import (
    AnyDestination,
    Destination,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
    WebDestination,
)
from node.store.errors import OverreadError
from node.store.peers import Archive, Peer
from node.store.settings import Settings

Echo = Callable[[Peer, str, float], int]
"""Sends one C-ECHO (peer, our AE title, timeout in seconds) and returns the status; raises `OverreadError` where none comes."""

TIMEOUT_S = 5.0
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - the name of all interfaces, not a choice of them


def echo_peer(peer: Peer, calling_ae: str, timeout_s: float) -> int:
    """One C-ECHO over an association of its own (PS3.4 annex A)."""
    from node.association import echo

    return echo(peer, calling_ae, timeout_s)


def check_destinations(settings: Settings, echo: Echo = echo_peer) -> Iterator[Checked]:
    """Ask each destination for a C-ECHO, all at once."""
    if not settings.destinations:
        yield note(
            "destination",
            "none",
            "results are made and kept, but sent nowhere",
            "add one with --to NAME=AET@HOST:PORT or [[destinations]] in overread.toml",
        )
        return
    with ThreadPoolExecutor(len(settings.destinations)) as pool:
        yield from pool.map(lambda one: _checked(one, settings, echo), settings.destinations)


def check_archives(settings: Settings, echo: Echo = echo_peer) -> Iterator[Checked]:
    """Ask each archive that studies are looked for in, fetched from or committed by for a C-ECHO."""
    for archive in settings.archives:
        yield _answers("archive", archive, settings, echo)


def check_requestors(settings: Settings, echo: Echo = echo_peer) -> Iterator[Checked]:
    """Ask whoever takes storage commitment reports for a C-ECHO; a note where none comes, for a scanner need not answer it."""
    for source in settings.sources:
        if source.commitment == "off" or source.report_to is None or set("*?") & set(source.ae_title):
            continue
        peer = Peer(ae_title=source.ae_title, **source.report_to.model_dump())
        try:
            echo(peer, settings.ae_title, TIMEOUT_S)
        except OverreadError as unreachable:
            yield note(
                "report_to", str(peer), str(unreachable), "see that it takes reports there; those that wait are tried again"
            )
        else:
            yield ok("report_to", str(peer), "answers, and may take storage commitment reports")


def _checked(destination: AnyDestination, settings: Settings, echo: Echo) -> Checked:
    if isinstance(destination, WebDestination):
        return _archive(destination)
    if isinstance(destination, FolderDestination):
        return _folder(destination)
    if isinstance(destination, Hl7Destination):
        return _interface(destination)
    if isinstance(destination, FhirDestination):
        return _fhir(destination)
    return _answers("destination", destination, settings, echo)


def _archive(destination: WebDestination) -> Checked:
    """Ask a web archive for one study, which any DICOMweb service answers (QIDO-RS, PS3.18 section 10.6)."""
    from node.delivery.stow import ask

    where = f"{destination.name} ({destination})"
    said = ask(destination, TIMEOUT_S)
    if said:
        return fault("destination", where, said, "see url, credentials and certificates in overread.toml, and whether it runs")
    return ok("destination", where, "answers a DICOMweb query")


def _interface(destination: Hl7Destination) -> Checked:
    """Connect to an HL7 interface, over TLS where that is asked for: there is no message that asks for nothing."""
    from node.delivery.mllp import connected

    where = f"{destination.name} ({destination})"
    try:
        connected(destination.mllp, TIMEOUT_S).close()
    except OverreadError as unreachable:
        return fault("destination", where, str(unreachable), "see that it listens there")
    return ok("destination", where, "takes a connection")


def _fhir(destination: FhirDestination) -> Checked:
    """Ask a FHIR server for its capability statement, which every server has."""
    from node.delivery.fhir import ask

    where = f"{destination.name} ({destination})"
    if said := ask(destination, TIMEOUT_S):
        return fault("destination", where, said, "see fhir, credentials and certificates in overread.toml, and whether it runs")
    return ok("destination", where, "says what it is capable of")


def _folder(destination: FolderDestination) -> Checked:
    where = f"{destination.name} ({destination})"
    if not destination.folder.is_dir():
        return fault("destination", where, "the folder is not there", "make it, or mount the share")
    if not os.access(destination.folder, os.W_OK | os.X_OK):
        return fault("destination", where, "the folder cannot be written", "give this user the right to")
    return ok("destination", where, "the folder can be written")


def _answers(part: str, peer: Destination | Archive, settings: Settings, echo: Echo) -> Checked:
    """Whether a peer answers our C-ECHO."""
    where, calling_ae = f"{peer.name} ({peer})", peer.calling_ae or settings.ae_title
    try:
        status = echo(peer, calling_ae, TIMEOUT_S)
    except OverreadError as unreachable:
        return fault(part, where, str(unreachable), f"see that it runs, and that it knows {calling_ae} as a calling AE title")
    if status:
        return fault(part, where, f"answers C-ECHO with status {status:04X}", f"see the {part}'s own log")
    return ok(part, where, f"answers C-ECHO from {calling_ae}")


def check_own_port(settings: Settings, echo: Echo = echo_peer) -> Iterator[Checked]:
    """See whether the DICOM port is free, or who has it."""
    if not settings.plain:
        return
    where = f"{settings.host}:{settings.port}"
    taken = _taken(settings.host, settings.port)
    if taken is None:
        yield ok("port", where, "free for DICOM")
        return
    if taken != errno.EADDRINUSE:
        yield fault(
            "port", where, f"cannot be listened on: {errno.errorcode.get(taken, taken)}", "choose another with --host and --port"
        )
        return
    host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    ours = Peer(ae_title=settings.ae_title, host=host, port=settings.port)
    try:
        answered = echo(ours, settings.ae_title, TIMEOUT_S) == 0
    except (AssociationRejected, AssociationRejectedForNow) as rejected:
        yield note("port", where, f"a DICOM node answers there, and takes no association now: {rejected}", "look again later")
        return
    except OverreadError:
        answered = False
    if answered:
        yield ok("port", where, f"a DICOM node answers C-ECHO there as {settings.ae_title}: this node runs")
    else:
        yield fault(
            "port",
            where,
            "another program has it",
            f"find it with: ss -ltnp 'sport = :{settings.port}', or choose another --port",
        )


def _taken(host: str, port: int) -> int | None:
    """The system's error number when we try to listen; None where it works."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return error.errno or errno.EADDRNOTAVAIL
    return None
