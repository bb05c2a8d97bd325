"""Orthanc, as Debian packages it, for tests that need an archive that nobody here wrote."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.store.peers import Archive


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 60.0) -> Any:
    """Wait for something to become true; what it became."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"it did not happen within {seconds} s")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Orthanc:
    """A running one, with AE title ORTHANC, that knows modality ``overread``."""

    port: int
    http: int

    @property
    def archive(self) -> Archive:
        return Archive(name="orthanc", ae_title="ORTHANC", host="127.0.0.1", port=self.port)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, body: object) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", content, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()

    def take(self, *paths: Path) -> None:
        """Put files into it."""
        for path in paths:
            self.post("/instances", path.read_bytes())


@contextmanager
def running_orthanc(folder: Path, overread_port: int, **settings: object) -> Iterator[Orthanc]:
    """Start one; skips the test where it is not installed."""
    if not shutil.which("Orthanc", path="/usr/sbin:/usr/bin"):
        pytest.skip("needs the Debian package orthanc")
    peer = Orthanc(free_port(), free_port())
    modality: Mapping[str, object] = {"AET": "OVERREAD", "Host": "127.0.0.1", "Port": overread_port}
    config = {
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "DicomPort": peer.port,
        "HttpPort": peer.http,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": False,
        "Plugins": [],
        "RemoteAccessAllowed": False,
        "OverwriteInstances": False,
        "DicomModalities": {"overread": modality},
        **settings,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(config))
    with (folder / "orthanc.log").open("ab") as log:
        process = subprocess.Popen(
            ["/usr/sbin/Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log, env={**os.environ, "TCP_NODELAY": "1"}
        )
    try:
        until(lambda: answers(peer.port) and answers(peer.http))
        yield peer
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:  # it is of no use any more, and the tests that follow shall not fail for it
            process.kill()
            process.wait()
