"""The listening socket: bound, and looked at from outside."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.association import echo
from node.store.errors import ConfigurationError, Retryable
from node.store.peers import Peer
from node.store.settings import Settings

_WAITING: Final = 128
"""Connections that the system holds until they are accepted."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The sockets that connections are accepted from: for plain DICOM, for TLS, or both. Processes may inherit them."""

    plain: socket.socket | None = None
    secured: socket.socket | None = None

    @classmethod
    def open(cls, settings: Settings) -> Doors:
        """Listen where the settings say; port 0 lets the system choose.

        Raises
        ------
        ConfigurationError
            Where an address cannot be used.
        """
        plain = bind(settings.host, settings.port) if settings.plain else None
        try:
            return cls(plain, bind(settings.host, settings.tls.port) if settings.tls else None)
        except ConfigurationError:
            if plain:
                plain.close()
            raise

    @property
    def port(self) -> int:
        """For plain DICOM."""
        return _port(self.plain)

    @property
    def tls_port(self) -> int:
        """For TLS."""
        return _port(self.secured)

    @property
    def ports(self) -> dict[str, int]:
        """All of them, by what the log calls them."""
        found = {"port": self.port} if self.plain else {}
        return found | ({"tls_port": self.tls_port} if self.secured else {})

    def shut(self) -> None:
        """Accept no more, in any process."""
        for bound in filter(None, (self.plain, self.secured)):
            with contextlib.suppress(OSError):
                bound.shutdown(socket.SHUT_RDWR)
            bound.close()

    def close(self) -> None:
        """Have no more to do with them in this process."""
        for bound in filter(None, (self.plain, self.secured)):
            bound.close()


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Raises
    ------
    ConfigurationError
        Where it cannot be used.
    """
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
        raise ConfigurationError(f"cannot listen on {host}:{port} ({fault.strerror}): choose another --port or --host") from fault
    return bound


def _port(bound: socket.socket | None) -> int:
    if bound is None:
        raise ConfigurationError("the listener was not started, or does not listen there")
    return int(bound.getsockname()[1])


def check_that_it_answers(settings: Settings, doors: Doors) -> None:
    """Send a C-ECHO to ourselves, where we listen for plain DICOM: over TLS it would need a certificate of a sender.

    Raises
    ------
    Retryable
        Where it is not answered with success.
    """
    if doors.plain is None:
        return
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104
    status = echo(Peer(ae_title=settings.ae_title, host=host, port=doors.port), settings.ae_title)
    if status:
        raise Retryable(f"the listener answers its own C-ECHO with {status:04X}")


def listener_id(data: Path, doors: Doors) -> str:
    """A new id of the listener on that data folder and those ports: what comes before the slash is the same at every start.

    By it a listener knows which associations its predecessor left open, and leaves those of others on the same catalog alone.
    """
    place = data / "listener-place"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(uuid.uuid4().hex[:16])
    name = place.read_text(encoding="ascii").strip() or "unnamed"  # made by another process that died right then
    ports = "+".join(str(port) for port in doors.ports.values())
    return f"{name[:16]}:{ports}/{uuid.uuid4().hex}"
