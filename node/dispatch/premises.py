"""What a node needs for itself before its parts start: a locked data folder, free addresses, settings for the parts."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO, Final, TypeVar

from pydantic import BaseModel

from node.store.errors import ConfigurationError
from node.store.settings import Settings, Tls, dump_settings

Table = TypeVar("Table", bound=BaseModel)

_FREE_WITHIN_S: Final = 4.0
"""Seconds to wait for an address: the parts of a node that was killed may need a moment to go."""


def lock_data_folder(data: Path) -> IO[str]:
    """Take a data folder for this process; the lock goes with the returned file, or with the process.

    Raises
    ------
    ConfigurationError
        Where another node has it, or it cannot be made.
    """
    run = data / "run"
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.mkdir(mode=0o700, exist_ok=True)
        file = (run / "serve.lock").open("a+", encoding="ascii")
    except OSError as fault:
        raise ConfigurationError(f"the data folder {data} cannot be used: {fault.strerror}") from fault
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as taken:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        who = f"another overread serve{f' (process {owner})' if owner else ''}"
        raise ConfigurationError(f"{data} is in use by {who}: stop it, or choose another --data") from taken
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def free_port(host: str, port: int, flag: str) -> int:
    """Return `port` if it can be listened on, or, for 0, one that can.

    Raises
    ------
    ConfigurationError
        Where it cannot; `flag` is the option that chooses another.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + _FREE_WITHIN_S
    while True:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return int(probe.getsockname()[1])
        except OSError as fault:
            if fault.errno != errno.EADDRINUSE:
                raise ConfigurationError(
                    f"{host}:{port} cannot be listened on ({fault.strerror}): choose another with {flag}"
                ) from fault
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{host}:{port} is in use: stop what listens there, or choose another with {flag}"
                ) from fault
        time.sleep(0.2)


def accepts(host: str, port: int) -> bool:
    """Whether something accepts connections there; a host that means all addresses is asked on loopback."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    try:
        socket.create_connection((target, port), timeout=1).close()
    except OSError:
        return False
    return True


def _settled(settings: Settings) -> Tls | None:
    """The table for TLS with a definite port and absolute files."""
    tls = settings.tls
    return None if tls is None else _absolute(tls).model_copy(update={"port": free_port(settings.host, tls.port, "tls.port")})


def _absolute(table: Table) -> Table:
    """A table whose files are named from the root: `overread check` reads the settings elsewhere."""
    return table.model_copy(update={name: value.resolve() for name, value in table if isinstance(value, Path)})


def settle(settings: Settings) -> tuple[Settings, Path]:
    """Settings for the parts (absolute folders, a definite port) and the file that they are told by.

    Raises
    ------
    ConfigurationError
        Where an address is taken.
    """
    http_host, _, http_port = settings.http.rpartition(":")
    if not http_host or not http_port.isdigit():
        raise ConfigurationError(f"http: {settings.http} is not HOST:PORT, e.g. 127.0.0.1:8042")
    http_port = str(free_port(http_host.strip("[]"), int(http_port), "--http"))
    settled = settings.model_copy(
        update={
            "data": settings.data.resolve(),
            "mirror": settings.mirror.resolve() if settings.mirror else None,
            "model_folders": tuple(folder.resolve() for folder in settings.model_folders),
            "port": free_port(settings.host, settings.port, "--port") if settings.plain else settings.port,
            "tls": _settled(settings),
            "archives": tuple(_absolute(archive) for archive in settings.archives),
            "destinations": tuple(_absolute(destination) for destination in settings.destinations),
            "http": f"{http_host}:{http_port}",
        }
    )
    path = settled.data / "run" / "settings.json"
    dump_settings(settled, path)
    return settled, path
