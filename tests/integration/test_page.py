"""``overread page`` as a process: it answers, keeps its token to itself, and ends in order."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx


def test_page_answers_and_ends_in_order(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    data, base = tmp_path / "data", f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "node.cli", "page", "--data", str(data), "--http", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as page:
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    health = httpx.get(f"{base}/healthz")
                    break
                except httpx.TransportError:
                    assert page.poll() is None
                    assert time.monotonic() < end
                    time.sleep(0.1)
            token = (data / "page-token").read_text().strip()
            assert health.json()["faults"].keys() <= {"disk"}
            assert httpx.get(base).status_code == 401
            assert httpx.get(base, headers={"Authorization": f"Bearer {token}"}).status_code == 200
            assert httpx.get(base, params={"token": token}).status_code == 303
            assert stat.S_IMODE((data / "page-token").stat().st_mode) == 0o600
            assert 'overread_studies{state="finished"} 0.0' in httpx.get(f"{base}/metrics").text
        finally:
            page.send_signal(signal.SIGTERM)
            said, _ = page.communicate(timeout=30)
    assert page.returncode == 0, said
    assert token not in said
