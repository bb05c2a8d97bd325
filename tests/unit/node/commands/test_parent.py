"""A supervised process ends with its supervisor, however that ends."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

CHILD = """
import os, sys, threading
from node.commands.parent import watch_parent
gone = threading.Event()
watch_parent(gone.set)
open(sys.argv[1], "w").write("started")
gone.wait(20)
open(sys.argv[1], "w").write("ended" if gone.is_set() else "alone")
"""
PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]]); time.sleep(60)"


def test_a_killed_supervisor_is_noticed(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD, str(said)]) as parent:
        wait_for(said, "started")
        parent.kill()
    wait_for(said, "ended")


def wait_for(path: Path, text: str) -> None:
    until = time.monotonic() + 15
    while not (path.exists() and path.read_text() == text):
        assert time.monotonic() < until, f"{path.name} never said {text}"
        time.sleep(0.05)
