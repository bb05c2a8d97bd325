from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.dispatch import supervisor as module
from node.dispatch.supervisor import Part, Supervisor, overread_command


class Told(list[str]):
    def __call__(self, event: str, **values: object) -> None:
        self.append(f"{event} {values['part']}")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def supervisor(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    made = Supervisor(dict(os.environ), 0.5, told)
    yield made
    made.stop()


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *arguments)


def tend_until(supervisor: Supervisor, condition: object, within_s: float = 10) -> None:
    assert callable(condition)
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        supervisor.tend()
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def test_a_part_that_dies_is_started_again(supervisor: Supervisor, told: Told) -> None:
    supervisor.start(Part("sleeper", python("import time; time.sleep(60)")))
    first = supervisor.pids()["sleeper"]
    os.kill(first, signal.SIGKILL)
    tend_until(supervisor, lambda: supervisor.pids().get("sleeper", first) != first)
    assert told == ["part started sleeper", "part died sleeper", "part started sleeper"]


def test_the_waits_grow(supervisor: Supervisor, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.1)
    supervisor.start(Part("dying", python("raise SystemExit(1)")))
    supervisor._children["dying"].wait_s = 0.1
    tend_until(supervisor, lambda: told.count("part died dying") == 3)
    assert supervisor._children["dying"].wait_s == pytest.approx(0.8)
    assert supervisor.misconfigured() is None


def test_a_part_that_cannot_use_its_settings_is_named(supervisor: Supervisor) -> None:
    supervisor.start(Part("listen", python("raise SystemExit(2)")))
    tend_until(supervisor, lambda: supervisor.misconfigured() == "listen")


def test_parts_are_asked_before_they_are_killed(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    polite = "import signal,sys,time,pathlib\ndef end(*_):\n  pathlib.Path(sys.argv[1]).write_text('drained'); sys.exit(0)\n"
    polite += "signal.signal(signal.SIGTERM, end); pathlib.Path(sys.argv[2]).touch(); time.sleep(60)"
    stubborn = "import signal,sys,time,pathlib\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    stubborn += "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    supervisor.start(Part("polite", python(polite, str(tmp_path / "said"), str(tmp_path / "up1"))))
    supervisor.start(Part("stubborn", python(stubborn, str(tmp_path / "up2"))))
    tend_until(supervisor, lambda: (tmp_path / "up1").exists() and (tmp_path / "up2").exists())
    pids = supervisor.pids()
    supervisor.stop("polite", "stubborn")
    assert (tmp_path / "said").read_text() == "drained"
    assert "part killed stubborn" in told
    assert "part killed polite" not in told
    assert all(gone(pid) for pid in pids.values())
    assert supervisor.pids() == {}


def test_a_killed_part_takes_its_own_children_along(supervisor: Supervisor, tmp_path: Path) -> None:
    code = "import subprocess,sys,time,pathlib\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    code += "pathlib.Path(sys.argv[1]).write_text(str(child.pid)); time.sleep(60)"
    supervisor.start(Part("parent", python(code, str(tmp_path / "pid"))))
    tend_until(supervisor, lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    grandchild = int((tmp_path / "pid").read_text())
    os.kill(supervisor.pids()["parent"], signal.SIGKILL)
    tend_until(supervisor, lambda: gone(grandchild))


def test_parts_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys,time,os\nfrom node.dispatch.supervisor import Part, Supervisor\n"
        "keeper = Supervisor(dict(os.environ), 1, lambda event, **values: None)\n"
        "keeper.start(Part('sleeper', (sys.executable, '-c', 'import time; time.sleep(60)')))\n"
        "print(keeper.pids()['sleeper'], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 5
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_our_commands_run_under_this_interpreter() -> None:
    command = overread_command("listen", "--config", "x")
    assert command[0] == sys.executable
    assert command[-3:] == ("listen", "--config", "x")


def test_the_supervisor_is_light() -> None:
    code = "import sys, node.commands.serve, node.dispatch.supervisor, node.dispatch.premises; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "celery", "torch", "numpy", "pydicom", "structlog", "redis"} & set(loaded)
