"""``overread demo`` with studies of one's own: exit status, files, and that nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread

from tests.integration.phantom import ct_phantom

pytestmark = [pytest.mark.slow, pytest.mark.promise, pytest.mark.timeout(300)]


def start(folder: Path, *paths: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder / "tmp"), "COLUMNS": "150"}
    (folder / "tmp").mkdir()
    command = [sys.executable, "-m", "node.cli", "demo", *map(str, paths), "--out", str(folder / "out")]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def left_running(folder: Path) -> list[str]:
    """Command lines of processes of this demonstration."""
    return [
        " ".join(process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline", "environ"])
        if (process.info["environ"] or {}).get("TMPDIR") == str(folder / "tmp")
    ]


def test_own_studies_are_read_or_refused_and_nothing_stays(tmp_path: Path) -> None:
    whole, broken = ct_phantom(tmp_path / "whole"), ct_phantom(tmp_path / "broken", missing_slice=3)
    demo = start(tmp_path, tmp_path / "whole", tmp_path / "broken")
    said, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, said
    assert "ct-tissue" in said
    assert "missing" in said
    results = tmp_path / "out" / whole.study_uid
    assert {dcmread(path).Modality for path in results.glob("*.dcm")} == {"SEG", "SR"}
    assert json.loads((results / "study.json").read_text())["state"] == "finished"
    assert not list((tmp_path / "out" / broken.study_uid).glob("*.dcm"))
    page = (tmp_path / "out" / "pictures.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/jpeg;base64,') >= 2
    assert "Right lung" in page
    assert "Nothing came back" in page
    assert (tmp_path / "out" / "pictures.html").resolve().as_uri() in said
    assert (tmp_path / "out" / "pictures.jpg").stat().st_size > 10_000
    assert not left_running(tmp_path)
    assert not list((tmp_path / "tmp").glob("overread-demo-*"))


def test_stopping_it_stops_everything(tmp_path: Path) -> None:
    ct_phantom(tmp_path / "whole")
    demo = start(tmp_path, tmp_path / "whole")
    end = time.monotonic() + 60
    while not any(" listen " in f"{line} " for line in left_running(tmp_path)):
        assert time.monotonic() < end, "the node did not start"
        time.sleep(0.2)
    demo.send_signal(signal.SIGTERM)
    said, _ = demo.communicate(timeout=90)
    assert demo.returncode == 130, said
    assert not left_running(tmp_path)


def test_killing_it_ends_the_node_too(tmp_path: Path) -> None:
    ct_phantom(tmp_path / "whole")
    demo = start(tmp_path, tmp_path / "whole")
    end = time.monotonic() + 60
    while not any(" listen " in f"{line} " for line in left_running(tmp_path)):
        assert time.monotonic() < end, "the node did not start"
        time.sleep(0.2)
    demo.kill()
    demo.communicate(timeout=30)
    end = time.monotonic() + 60
    while left_running(tmp_path):
        assert time.monotonic() < end, left_running(tmp_path)
        time.sleep(0.2)
