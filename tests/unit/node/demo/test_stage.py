from __future__ import annotations

from pathlib import Path

import pytest

from node.demo import stage
from node.store.errors import Permanent


def test_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert stage.cache_folder() == tmp_path / "overread"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert stage.cache_folder() == Path.home() / ".cache" / "overread"


def test_a_node_that_does_not_start_says_where_its_log_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(stage.sys, "executable", "/bin/false")
    with pytest.raises(Permanent, match=r"ended with status 1: its log is .*serve\.log"), stage.Stage(tmp_path, 1.0):
        pytest.fail("it started")


def test_everything_it_started_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A node that never accepts, does not end on SIGTERM and leaves a child behind.
    script = tmp_path / "node.sh"
    script.write_text("#!/bin/sh\ntrap '' TERM\nsleep 300 & echo $! > " + str(tmp_path / "child") + "\nwait\nsleep 300\n")
    script.chmod(0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(stage.sys, "executable", str(script))
    monkeypatch.setattr(stage, "START_S", 1.0)
    monkeypatch.setattr(stage, "STOP_S", 0.5)
    with pytest.raises(Permanent, match="did not accept"), stage.Stage(tmp_path, 1.0):
        pytest.fail("it started")
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "status"
    assert not child.exists() or "zombie" in child.read_text()
