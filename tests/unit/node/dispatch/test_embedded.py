from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from node.dispatch import embedded
from node.dispatch.embedded import answers, ask, make_folder, take_over
from node.dispatch.queue import JobQueue, QueueDown
from node.store.broker import QUEUE, redis_url, socket_path
from node.store.errors import ConfigurationError, Retryable
from node.store.messages import AnalyseMessage
from node.store.settings import Settings


def command(data: Path) -> list[str]:
    return [sys.executable, "-m", "node.dispatch.embedded", str(data)]


def wait_for(condition: Callable[[], object], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def server(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command(data)) as process:
        wait_for(lambda: answers(socket_path(data)) or process.poll() is not None)
        assert process.poll() is None
        try:
            yield process
        finally:
            process.terminate()


def test_what_was_sent_is_there_after_a_crash(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with server(tmp_path) as process, JobQueue(settings) as queue:
        assert queue.length() == 0
        queue.send(AnalyseMessage(7))
        assert queue.length() == 1
        with redis.Redis.from_url(redis_url(settings)) as client:
            text = client.lindex(QUEUE, 0)
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert client.config_get("port") == {"port": "0"}
        assert b'"task": "overread.analyse"' in text
        time.sleep(1.2)  # the file is synced once a second
        process.kill()
        process.wait()
        with pytest.raises(QueueDown):
            queue.length()
        with pytest.raises(QueueDown):
            queue.send(AnalyseMessage(8))
    with server(tmp_path), JobQueue(settings) as queue:
        assert queue.length() == 1


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    with server(tmp_path):
        assert stat.S_IMODE(socket_path(tmp_path).stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "queue").stat().st_mode) == 0o700


def test_a_server_that_was_left_over_is_ended_first(tmp_path: Path) -> None:
    with server(tmp_path) as left_over, subprocess.Popen(command(tmp_path)) as second:
        try:
            assert left_over.wait(10) == 0
            wait_for(lambda: answers(socket_path(tmp_path)))
            assert second.poll() is None
        finally:
            second.terminate()


def test_a_stale_socket_is_removed(tmp_path: Path) -> None:
    path = socket_path(tmp_path)
    with server(tmp_path) as process:
        process.kill()
        process.wait()
    assert path.exists()
    assert not answers(path)
    os.close(take_over(tmp_path / "queue", path))
    assert not path.exists()


def test_a_long_data_folder_has_its_socket_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / ("x" * 100)
    data.mkdir()
    assert len(str(socket_path(data))) < 100
    assert socket_path(data) == socket_path(data)
    assert socket_path(data) != socket_path(tmp_path)
    with server(data):
        assert ask(socket_path(data), b"PING") == b"+PONG\r\n"
    socket_path(data).parent.rmdir()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    code = "import subprocess,sys,time\np = subprocess.Popen([sys.executable, '-m', 'node.dispatch.embedded', sys.argv[1]])\n"
    code += "print(p.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_for(lambda: answers(socket_path(tmp_path)))
        os.kill(parent.pid, signal.SIGKILL)
    stat_file = Path(f"/proc/{pid}/stat")
    wait_for(lambda: not stat_file.exists() or " Z " in stat_file.read_text(), 5)


def test_a_server_that_does_not_stop_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_GOES_S", 0.2)
    with server(tmp_path) as stuck:
        os.kill(stuck.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Retryable, match="does not stop"):
                take_over(tmp_path / "queue", socket_path(tmp_path))
        finally:
            os.kill(stuck.pid, signal.SIGCONT)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made"):
        make_folder(tmp_path / "file" / "queue")
