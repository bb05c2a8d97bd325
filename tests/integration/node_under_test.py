"""A whole node for a test: ``overread serve`` in a folder of its own, a logging archive behind it, and the means to hurt it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from node.doubles.archive import Archive
from node.store.peers import Peer
from node.store_scu import StoreScu, Verdict

T = TypeVar("T")

OVERREAD = [sys.executable, "-c", "from node.cli import main; main()"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], T | None], timeout_s: float, said: str) -> T:
    """The first value of `what` that is true; fails with `said` when there is none in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"{said}: not within {timeout_s} s")


@dataclass
class Node:
    """A running node; `start` again after `kill_everything` uses the same data folder."""

    folder: Path
    archive: Archive
    quiet_s: float = 1.0
    lease_s: float = 60.0
    port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    top: str = ""
    """Further keys of the configuration's top level."""
    tables: str = ""
    """Further tables of the configuration."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def peer(self) -> Peer:
        return Peer(ae_title="OVERREAD", host="127.0.0.1", port=self.port)

    @property
    def config(self) -> Path:
        return self.folder / "overread.toml"

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.config.write_text(
            f"""data = "{self.folder / "data"}"
host = "127.0.0.1"
port = {self.port}
http = "127.0.0.1:{self.http_port}"
quiet_s = {self.quiet_s}
pull = false
{self.top}
[limits]
lease_s = {self.lease_s}
drain_s = 5
disk_reserve_mb = 10
delivery_first_wait_s = 0.5
delivery_longest_wait_s = 2
[[destinations]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {self.archive.port}
{self.tables}
""",
            encoding="utf-8",
        )
        log = (self.folder / "serve.log").open("ab")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*OVERREAD, "serve", "--config", str(self.config)], stdout=log, stderr=log, env=environment, start_new_session=True
        )
        log.close()
        wait_for(self.accepts, 30, f"listener accepts, see {self.folder / 'serve.log'}")

    def accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def processes(self, command: str | None = None) -> list[psutil.Process]:
        """The node's processes, or those that run one command of ours (``work``, ``listen`` …) and what these started."""
        assert self.process is not None
        try:
            family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        if command is None:
            return family
        chosen: dict[int, psutil.Process] = {}
        for process in family:
            try:
                if command in process.cmdline():
                    for one in (process, *process.children(recursive=True)):
                        chosen[one.pid] = one
            except psutil.NoSuchProcess:
                continue
        return list(chosen.values())

    def signal(self, command: str | None, number: signal.Signals) -> int:
        """Send a signal to processes (see `processes`); how many there were."""
        sent = 0
        for process in self.processes(command):
            try:
                process.send_signal(number)
                sent += 1
            except psutil.NoSuchProcess:
                continue
        return sent

    def kill_everything(self) -> None:
        self.signal(None, signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM, as an init system would; the exit status."""
        assert self.process is not None
        family = self.processes()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(40)
        finally:
            _, alive = psutil.wait_procs(family, timeout=5)
            for process in alive:
                process.kill()
        return status

    def send(self, paths: Sequence[Path], calling_ae: str = "MODALITY") -> list[Verdict]:
        return list(StoreScu(self.peer, calling_ae).send(paths))

    def study(self, uid: str) -> dict[str, Any] | None:
        """What ``overread study UID --json`` says, None while it knows nothing of it."""
        said = subprocess.run([*OVERREAD, "study", uid, "--json", "--config", str(self.config)], capture_output=True, check=False)
        return json.loads(said.stdout) if said.returncode == 0 and said.stdout else None

    def finished(self, uid: str, timeout_s: float = 60, revision: int = 1) -> dict[str, Any]:
        """The study once it is finished at that revision and all that is due for it was delivered."""

        def look() -> dict[str, Any] | None:
            study = self.study(uid)
            if not study or study["state"] != "finished" or study["revision"] < revision:
                return None
            return study if all(one["state"] == "sent" for one in study["deliveries"]) else None

        try:
            return wait_for(look, timeout_s, f"study {uid} is finished")
        except AssertionError as late:
            tail = (self.folder / "serve.log").read_text(errors="replace")[-4000:]
            raise AssertionError(f"{late}; it is {json.dumps(self.study(uid), indent=1)[:3000]}; log: {tail}") from late


@contextmanager
def running_node(folder: Path, **settings: Any) -> Iterator[Node]:
    archive = Archive(folder / "archive", ae_title="ARCHIVE")
    archive.start()
    node = Node(folder / "node", archive, **settings)
    try:
        node.start()
        yield node
    finally:
        if node.process is not None and node.process.poll() is None:
            node.stop()
        archive.stop()
        shutil.rmtree(folder / "node" / "data", ignore_errors=True)
