"""The door of a listener that is several processes: limits, certificates, one event for all of them, a thousand probes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from node.association import AssociationRejected, AssociationRejectedForNow, echo
from node.doubles.peer import Requestor
from node.store.catalog.catalog import open_catalog
from node.store.events import NodeEvent
from node.store.peers import Peer
from node.store.settings import Settings
from tests.certificates import Authority
from tests.integration.node_under_test import free_port, wait_for
from tests.unit.node.listener.test_doorkeeper import PROBES
from tests.unit.node.listener.test_session import CONTEXTS

pytestmark = [pytest.mark.timeout(120)]


@contextmanager
def listening(folder: Path, text: str, open_files: int | None = None) -> Iterator[tuple[psutil.Process, Path]]:
    """`overread listen` with these settings; the process and the file that holds all it says."""
    config, said = folder / "overread.toml", folder / "said.txt"
    config.write_text(f'data = "{folder / "data"}"\nhost = "127.0.0.1"\n{text}')
    command = [sys.executable, "-P", "-m", "node.cli", "listen", "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}

    if open_files:
        command = ["sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", *command]
    with (
        said.open("w") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True) as process,
    ):
        try:
            wait_for(lambda: "listening on" in said.read_text(), 60, "it listens")
            yield psutil.Process(process.pid), said
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


def events(folder: Path) -> list[NodeEvent]:
    catalog = open_catalog(Settings(data=folder / "data"))
    try:
        return list(catalog.views.node_events(datetime.now(UTC) - timedelta(hours=1)))
    finally:
        catalog.close()


def test_limits_and_events_are_those_of_all_processes(tmp_path: Path) -> None:
    port = free_port()
    text = f'port = {port}\naccept = "listed"\n[limits]\nreceivers = 3\n[[sources]]\nae_title = "CT_*"\nassociations = 4\n'
    peer = Peer(ae_title="OVERREAD", host="127.0.0.1", port=port)
    with listening(tmp_path, text) as (_, said), ExitStack() as stack:
        for number in range(4):
            stack.enter_context(Requestor(port, CONTEXTS, calling_ae=f"CT_{number}")).associate()
        with pytest.raises(AssociationRejectedForNow, match="as many associations as it allows"):
            echo(peer, "CT_9")
        for _ in range(30):
            with pytest.raises(AssociationRejected, match="does not know our AE title"):
                echo(peer, "MR_1")
    found = {event.detail: event.count for event in events(tmp_path)}
    assert len(found) == 2, found
    assert next(count for detail, count in found.items() if "no source lists MR_1" in detail) == 30
    assert next(count for detail, count in found.items() if "as many as a source may" in detail) == 1
    assert said.read_text().count("MR_1") <= 3 * 4, "each process says it once, and once how often it came again"


def test_certificates_are_judged_in_every_process(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    node, ct = authority.issue("127.0.0.1", file="node"), authority.issue("ct-1.example", file="ct")
    port = free_port()
    text = f"""accept = "listed"
[[sources]]
ae_title = "CT_1"
certificate = "ct-1.example"
[tls]
port = {port}
only = true
certificate = "{node.certificate}"
key = "{node.key}"
client_ca = "{authority.ca}"
[limits]
receivers = 2
"""
    trust = {"tls": True, "ca": authority.ca, "certificate": ct.certificate, "key": ct.key}
    peer = Peer.model_validate({"ae_title": "OVERREAD", "host": "127.0.0.1", "port": port, **trust})
    with listening(tmp_path, text):
        assert [echo(peer, "CT_1") for _ in range(6)] == [0] * 6
        for _ in range(4):
            with pytest.raises(AssociationRejected):
                echo(peer, "CT_2")
        new = authority.issue("127.0.0.1", file="node", valid_days=30)
        assert new == node
        assert [echo(peer, "CT_1") for _ in range(6)] == [0] * 6
    assert [event.count for event in events(tmp_path)] == [4]


def footprint(process: psutil.Process) -> tuple[int, int]:
    """Descriptors and threads of a process and its children."""
    family = [process, *process.children(recursive=True)]
    return sum(one.num_fds() for one in family), sum(one.num_threads() for one in family)


def test_a_thousand_probes_of_several_processes_leave_nothing(tmp_path: Path) -> None:
    port = free_port()
    with listening(tmp_path, f"port = {port}\n[limits]\nreceivers = 2\n") as (process, said):
        peer = Peer(ae_title="OVERREAD", host="127.0.0.1", port=port)
        assert echo(peer, "FIRST") == 0
        wait_for(lambda: settled(process), 20, "its own C-ECHO has gone")
        before, words = footprint(process), said.read_text()
        for number in range(1000):
            with socket.create_connection(("127.0.0.1", port)) as probe, contextlib.suppress(OSError):
                PROBES[number % len(PROBES)](probe)
        assert echo(peer, "NEXT") == 0
        wait_for(lambda: all(now <= then for now, then in zip(footprint(process), before, strict=True)), 20, "nothing is left")
        assert said.read_text() == words
    assert events(tmp_path) == []


def settled(process: psutil.Process) -> bool:
    first = footprint(process)
    time.sleep(0.3)
    return footprint(process) == first


def test_a_process_without_descriptors_says_so_once_and_goes_on(tmp_path: Path) -> None:
    port = free_port()
    text = f"port = {port}\n[limits]\nreceivers = 1\n"
    with listening(tmp_path, text, open_files=70) as (_, said), ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        wait_for(lambda: "allow this process more open files" in said.read_text(), 20, "it says what to do")
        time.sleep(1.0)  # ten more tries
        assert said.read_text().count("allow this process more open files") == 1
        stack.close()
        assert echo(Peer(ae_title="OVERREAD", host="127.0.0.1", port=port), "NEXT", 20.0) == 0
    assert [event.kind for event in events(tmp_path)] == ["connection refused"]
