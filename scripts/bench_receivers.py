"""C-STORE receivers to measure, each started on an empty folder and ended again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_LISTEN = "import sys; sys.argv[0] = 'overread'; from node.cli import main; main()"
_NOTHING_SYNCED = "import os; os.fsync = os.fdatasync = lambda descriptor: None; "
"""Of the benchmark alone: no setting, flag or variable of Overread can do this."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Parameters
    ----------
    syncs
        Whether an object is on stable storage when it is answered.
    command
        From folder and port to the command line.
    """

    name: str
    syncs: bool
    command: Callable[[Path, int], list[str]]


def _overread(folder: Path, port: int, before: str = "") -> list[str]:
    config = folder / "overread.toml"
    limits = "disk_reserve_mb = 0\nidle_s = 600\n"  # a machine that stops for a while breaks nothing off
    config.write_text(f'data = "{folder}/data"\nhost = "127.0.0.1"\nport = {port}\n[limits]\n{limits}')
    return [sys.executable, "-P", "-c", before + _LISTEN, "listen", "--config", str(config)]


def _storescp(folder: Path, port: int) -> list[str]:
    return ["/usr/bin/storescp", "--fork", "--output-directory", str(folder), str(port)]


def _orthanc(folder: Path, port: int) -> list[str]:
    config = folder / "orthanc.json"
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "DicomPort": port,
        "HttpServerEnabled": False,
        "SyncStorageArea": True,
        "Plugins": [],
        "DicomAlwaysAllowStore": True,
    }
    config.write_text(json.dumps(settings))
    return ["/usr/sbin/Orthanc", str(config)]


def _pynetdicom(folder: Path, port: int) -> list[str]:
    return [sys.executable, "-P", "-m", "pynetdicom", "storescp", str(port), "-q", "-od", str(folder)]


RECEIVERS = (
    Receiver("overread", True, _overread),
    Receiver("overread-nosync", False, lambda folder, port: _overread(folder, port, _NOTHING_SYNCED)),
    Receiver("storescp", False, _storescp),
    Receiver("orthanc", True, _orthanc),
    Receiver("pynetdicom", False, _pynetdicom),
)


class Running:
    """A receiver that accepts, and what it has used so far."""

    def __init__(self, process: psutil.Process, port: int) -> None:
        self.port = port
        self._process = process
        self._peak = 0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)

    def cpu_s(self) -> float:
        """CPU seconds of the process tree, dead and reaped children too."""
        total = 0.0
        for one in self._tree():
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory_mb(self) -> float:
        """Memory of the process tree, MB: proportional (PSS), so that what forks share counts once."""
        kilobytes = 0
        for one in self._tree():
            try:
                lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kilobytes / 1024

    def watch(self) -> None:
        """Sample the memory from now on."""
        self._watch.start()

    def peak_mb(self) -> float:
        """The most memory seen since `watch`."""
        self._ended.set()
        self._watch.join()
        return self._peak

    def _sample(self) -> None:
        while True:
            self._peak = max(self._peak, self.memory_mb())
            if self._ended.wait(0.2):
                return

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@contextmanager
def running(receiver: Receiver, folder: Path) -> Iterator[Running]:
    """Start a receiver on an empty folder; ended with all that it started."""
    folder.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            receiver.command(folder, port), stdout=log, stderr=log, env=environment, start_new_session=True, cwd=folder
        )
    try:
        _wait(process, port, folder)
        yield Running(psutil.Process(process.pid), port)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    until = time.monotonic() + 60
    echo = ["/usr/bin/echoscu", "-aec", "ANY-SCP", "127.0.0.1", str(port)]
    while subprocess.run(echo, check=False, capture_output=True).returncode:
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"a receiver does not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
    time.sleep(0.5)  # what it does once at its start is not measured
