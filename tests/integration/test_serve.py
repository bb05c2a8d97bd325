"""`overread serve` as a user starts it, stops it and kills it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from node.dispatch.embedded import answers
from node.store.broker import socket_path

PARTS = {"listen", "dispatch", "page", "work"}


def until(condition: Callable[[], object], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Node:
    """One ``overread serve`` on a data folder."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.said = data.parent / f"{data.name}.log"
        command = [sys.executable, "-P", "-m", "node.cli", "serve", "--data", str(data), "--host", "127.0.0.1", "--port", "0"]
        with self.said.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--http", "127.0.0.1:0", *arguments], stdout=log, stderr=log, start_new_session=True
            )

    def ready(self) -> None:
        until(lambda: "Ctrl-C stops it" in self.said.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said.read_text()

    @property
    def port(self) -> int:
        found = re.search(r"accepts images on 127.0.0.1 port (\d+)", self.said.read_text())
        assert found
        return int(found[1])

    def parts(self) -> dict[str, psutil.Process]:
        """Processes that `serve` has started, by command; the embedded server is ``queue``."""
        named = {}
        for child in psutil.Process(self.process.pid).children():
            try:
                command = child.cmdline()
            except psutil.Error:  # it has just died
                continue
            if command and "overread-queue" in command[0]:
                named["queue"] = child
            elif "node.cli" in command:
                named[command[command.index("node.cli") + 1]] = child
        return named

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "data", "--to", "pacs=PACS@127.0.0.1:104", "--quiet", "1")
    made.ready()
    yield made
    made.process.kill()
    made.process.wait()


def test_it_starts_what_one_machine_needs_and_sigterm_ends_it_all(node: Node) -> None:
    until(lambda: set(node.parts()) >= PARTS | {"queue"})
    until(lambda: answers(socket_path(node.data)))
    socket.create_connection(("127.0.0.1", node.port), timeout=5).close()
    assert "pacs  PACS@127.0.0.1:104" in node.said.read_text()
    family = node.family()
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(40) == 0
    assert psutil.wait_procs(family, timeout=5)[1] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", node.port), timeout=5)


def test_a_second_node_on_the_folder_says_so(node: Node) -> None:
    second = Node(node.data.parent / "data")
    assert second.process.wait(30) == 2


def test_a_part_that_is_killed_comes_back_and_the_listener_at_its_port(node: Node) -> None:
    until(lambda: set(node.parts()) >= PARTS | {"queue"})
    port, before = node.port, {name: part.pid for name, part in node.parts().items()}
    for name in ("listen", "queue"):
        os.kill(before[name], signal.SIGKILL)
    until(lambda: {name: part.pid for name, part in node.parts().items()}.keys() >= {"listen", "queue"})

    def accepts() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    until(accepts)
    until(lambda: answers(socket_path(node.data)))
    after = {name: part.pid for name, part in node.parts().items()}
    assert after["listen"] != before["listen"]
    assert after["queue"] != before["queue"]


def test_a_killed_node_leaves_nothing_and_may_be_started_again(node: Node) -> None:
    until(lambda: set(node.parts()) >= PARTS | {"queue"})
    family = node.family()
    node.process.kill()
    node.process.wait()
    assert psutil.wait_procs(family, timeout=30)[1] == []
    again = Node(node.data)
    try:
        again.ready()
    finally:
        again.process.terminate()
        assert again.process.wait(40) == 0


def test_settings_that_cannot_be_used_end_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "overread.toml").write_text("quite_s = 3")
    node = Node(tmp_path / "data", "--config", str(tmp_path / "overread.toml"))
    assert node.process.wait(30) == 2
    assert "unknown key quite_s, did you mean quiet_s?" in node.said.read_text()


def test_a_route_that_names_no_model_ends_it_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "overread.toml").write_text('[[routes]]\nname = "r"\nmodels = ["ct-tisue"]')
    node = Node(tmp_path / "data", "--config", str(tmp_path / "overread.toml"))
    assert node.process.wait(60) == 2
    assert "ct-tisue" in node.said.read_text()
    assert "dispatch cannot start with these settings" in node.said.read_text()
