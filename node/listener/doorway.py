"""The listening socket: bound, and looked at from outside."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import Final

from node.association import echo
from node.store.errors import ConfigurationError, Retryable
from node.store.settings import Peer, Settings

_WAITING: Final = 128
"""Connections that the system holds until they are accepted."""


def bind(host: str, port: int) -> socket.socket:
    """Listen there; port 0 lets the system choose.

    Raises
    ------
    ConfigurationError
        Where the address cannot be used.
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


def check_that_it_answers(settings: Settings, port: int) -> None:
    """Send a C-ECHO to ourselves.

    Raises
    ------
    Retryable
        Where it is not answered with success.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104
    status = echo(Peer(ae_title=settings.ae_title, host=host, port=port), settings.ae_title)
    if status:
        raise Retryable(f"the listener answers its own C-ECHO with {status:04X}")


def listener_id(data: Path, port: int) -> str:
    """A new id of the listener on that data folder and port: what comes before the slash is the same at every start.

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
    return f"{name[:16]}:{port}/{uuid.uuid4().hex}"
