"""The first promise: what was acknowledged is on stable storage, and is there after any death of the listener."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pydicom
import pytest

from node.store.catalog.catalog import open_catalog
from node.store.peers import Peer
from node.store.settings import Settings
from node.store.spool import Spool
from node.store_scu import StoreScu
from tests.unit.node.listener.encoded import EXPLICIT, image, write

pytestmark = [pytest.mark.slow, pytest.mark.promise, pytest.mark.timeout(120)]

STRACE = "/usr/bin/strace"
LISTEN = [sys.executable, "-c", "from node.cli import main; main()", "listen", "--host", "127.0.0.1", "--port", "0"]


@contextmanager
def listening(data: Path, *before: str, limits: str = "") -> Iterator[tuple[subprocess.Popen[str], Peer]]:
    """A listener process on `data`; ended by SIGKILL if it still runs."""
    config = data.parent / "overread.toml"
    config.write_text(f'data = "{data}"\n[limits]\ndisk_reserve_mb = 0\n{limits}\n')
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [*before, *LISTEN, "--config", str(config)], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", said)
            assert match, said
            yield process, Peer(ae_title="OVERREAD", host="127.0.0.1", port=int(match[1]))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def known(data: Path) -> set[str]:
    catalog = open_catalog(Settings(data=data))
    try:
        return set(catalog.intake.known_paths("1.2.3"))
    finally:
        catalog.close()


def eventually_known(data: Path, paths: set[str]) -> bool:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        if known(data) >= paths:
            return True
        time.sleep(0.1)
    return False


def study(folder: Path, count: int, size: int = 200_000) -> list[Path]:
    folder.mkdir()
    return [
        write(folder, image(number, pixels=number.to_bytes(2, "little") * (size // 2)), EXPLICIT)
        for number in range(1, count + 1)
    ]


def test_kill_in_mid_transfer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    files = study(tmp_path / "study", 120)
    acknowledged: set[str] = set()
    left = list(files)
    for stop_after in (7, 30, 55):
        with listening(data) as (process, peer):
            for count, verdict in enumerate(StoreScu(peer, "MODALITY", timeout_s=5).send(left), 1):
                if verdict.stored:
                    acknowledged.add(f"in/1.2.3/1.2.3.4/{verdict.sop_instance_uid}.dcm")
                if count == stop_after:
                    os.killpg(process.pid, signal.SIGKILL)
        left = [path for path in files if f"in/1.2.3/1.2.3.4/{path.name}" not in acknowledged]
    assert 90 <= len(acknowledged) < 120
    spool = Spool(data / "spool")
    for path in acknowledged:
        kept = pydicom.dcmread(spool.absolute(path))
        assert kept.PixelData == pydicom.dcmread(tmp_path / "study" / Path(path).name).PixelData

    with listening(data):
        assert eventually_known(data, acknowledged), "the start-up scan tells the catalog what it does not know"
    assert {found.path for found in spool.scan()} >= acknowledged
    assert list((data / "spool" / "tmp").rglob("*.part")) == []


def test_sigterm_lets_the_sender_finish(tmp_path: Path) -> None:
    files = study(tmp_path / "study", 20)
    with listening(tmp_path / "data") as (process, peer):
        stored = []
        for count, verdict in enumerate(StoreScu(peer, "MODALITY").send(files), 1):
            stored.append(verdict.stored)
            if count == 3:
                process.terminate()
        assert stored == [True] * 20
        assert process.wait(20) == 0
    assert len(known(tmp_path / "data")) == 20


CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<rest>.*)$")


def calls(trace: Path) -> list[tuple[str, str]]:
    """System calls that succeeded, in the order in which they began: name and arguments."""
    found = []
    unfinished: dict[str, int] = {}
    for line in trace.read_text(errors="replace").splitlines():
        thread = line.split(" ", 1)[0]
        if "resumed>" in line:
            place = unfinished.pop(thread, None)
            if place is not None:
                name, rest = found[place]
                found[place] = ("", "")
                found.append((name, rest))  # what counts is when it returned
            continue
        match = CALL.match(line)
        if match and " = -1 " not in line:
            if "<unfinished" in line:
                unfinished[thread] = len(found)
            found.append((match["name"], match["rest"]))
    return [call for call in found if call[0]]


@pytest.mark.peer
@pytest.mark.skipif(not Path(STRACE).exists(), reason="needs the Debian package strace")
def test_file_and_directories_are_synced_before_the_answer(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    watched = "trace=fdatasync,fsync,link,linkat,sendto,sendmsg,write"
    files = study(tmp_path / "study", 5)
    with listening(tmp_path / "data", STRACE, "-f", "-y", "-e", watched, "-e", "signal=none", "-s", "16", "-o", str(trace)) as (
        process,
        peer,
    ):
        verdicts = list(StoreScu(peer, "MODALITY").send(files))
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
    assert [verdict.stored for verdict in verdicts] == [True] * 5

    root = tmp_path / "data" / "spool"
    steps: list[tuple[str, str]] = []
    for name, rest in calls(trace):
        if name in ("write", "sendmsg"):
            continue
        if name == "sendto" and re.match(r'\d+<[^>]*>, "\\4\\0\\0\\0\\0', rest):
            steps.append(("answer", ""))
        elif re.match(rf"\d+<{tmp_path}/data/spool", rest) or (name == "fsync" and re.match(rf"\d+<{tmp_path}/data>", rest)):
            steps.append((name, rest[rest.index("<") + 1 : rest.index(">")]))
        elif name in ("link", "linkat"):
            quoted = re.findall(r'"([^"]*)"', rest)
            steps.append(("link", quoted[0].rsplit("/", 1)[-1] if len(quoted) > 1 else ""))
    answers = [place for place, (name, _) in enumerate(steps) if name == "answer"]
    assert len(answers) == 7, "the listener's own C-ECHO asked and answered, and five objects"
    for number, (before, answer) in enumerate(pairwise(answers[1:])):
        between = steps[before + 1 : answer]
        names = [name for name, _ in between]
        assert names[:2] == ["fdatasync", "link"]
        assert between[0][1].endswith(".part")
        synced = {path for name, path in between[2:] if name == "fsync"}
        assert str(root / "in" / "1.2.3" / "1.2.3.4") in synced
        if number == 0:
            above = [root / "in" / "1.2.3", root / "in", root, root.parent]
            assert synced >= {str(folder) for folder in above}, "each directory that was made is synced in the one above"
