"""A node and a receiving archive on loopback, in a folder that goes away afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from node.doubles.archive import Archive, Store
from node.store.errors import Permanent
from node.store.peers import Peer
from node.store.settings import Settings, load_settings

_SERVE: Final = "from node.store.process import die_with_parent; die_with_parent({parent}); from node.cli import main; main()"
"""The node ends even where we are killed and cannot end it."""

START_S = 60.0
STOP_S = 30.0


def cache_folder() -> Path:
    """Where downloads are kept between demonstrations (XDG Base Directory)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "overread"


class Stage:
    """``overread serve`` as a process of its own, and an archive that its results go to.

    Parameters
    ----------
    out
        Where the node's log goes, ``serve.log``.
    quiet_s
        Quiet period of the node, seconds.
    """

    def __init__(self, out: Path, quiet_s: float) -> None:
        self.log = out / "serve.log"
        self._quiet_s = quiet_s
        self._exit = contextlib.ExitStack()
        self._serve: subprocess.Popen[bytes] | None = None
        self.settings = Settings()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.close()

    @property
    def peer(self) -> Peer:
        """The node."""
        return Peer(ae_title=self.settings.ae_title, host="127.0.0.1", port=self.settings.port)

    @property
    def archive_folder(self) -> Path:
        """Where received objects lie, ``UID.dcm``."""
        return self._folder / "archive"

    def stores(self) -> list[Store]:
        """Every store that the archive answered so far, in order."""
        return self._archive.stores()

    def check(self) -> None:
        """See that the node still runs.

        Raises
        ------
        Permanent
            Where it ended; says where its log is.
        """
        if self._serve is not None and self._serve.poll() is not None:
            raise Permanent(f"the node ended with status {self._serve.returncode}: its log is {self.log}")

    def _start(self) -> None:
        self._folder = Path(
            self._exit.enter_context(tempfile.TemporaryDirectory(prefix="overread-demo-", ignore_cleanup_errors=True))
        )
        self._archive = self._exit.enter_context(Archive(self.archive_folder, ae_title="ARCHIVE"))
        data = self._folder / "data"
        data.mkdir(mode=0o700)
        cache = cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        (data / "cache").symlink_to(cache)  # weights that are fetched outlive the demonstration
        config = self._folder / "overread.toml"
        config.write_text(_configuration(data, self._quiet_s, self._archive.port), encoding="utf-8")
        self.settings = load_settings(config, environment={})
        self._serve = self._exit.enter_context(_serving(config, self.log))
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            self.check()
            with socket.socket() as probe:
                if probe.connect_ex((self.peer.host, self.peer.port)) == 0:
                    return
            time.sleep(0.1)
        raise Permanent(f"the node did not accept associations within {START_S:.0f} s: its log is {self.log}")


def _configuration(data: Path, quiet_s: float, archive_port: int) -> str:
    dicom_port, http_port = _free_ports(2)
    return f"""data = "{data}"
host = "127.0.0.1"
port = {dicom_port}
http = "127.0.0.1:{http_port}"
quiet_s = {quiet_s}
[[destinations]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {archive_port}
"""


@contextlib.contextmanager
def _serving(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    # The folder and the settings are the demonstration's own, whatever a node of the user's is told.
    environment = {key: value for key, value in os.environ.items() if key not in {"OVERREAD_DATA", "OVERREAD_CONFIG"}}
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches us alone, and we stop the node in order.
        serve = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE.format(parent=os.getpid()), "serve", "--config", str(config)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield serve
    finally:
        _end(serve)


def _end(serve: subprocess.Popen[bytes]) -> None:
    serve.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            serve.wait(STOP_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(serve.pid, signal.SIGKILL)  # whatever is left of it, children too
        serve.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
