"""Start the parts of one machine, start again what dies, and end them in order. Light: it outlives them all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from node.store.process import die_with_parent

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
STEADY_S: Final = 60.0
"""Seconds of life after which a part that dies is started at once again."""

GRACE_S: Final = 3.0
"""Seconds beyond the time for draining before a part is killed."""

CONFIGURATION: Final = 2
"""Exit status of a command whose settings cannot be used: starting it again gives the same answer."""


class Report(Protocol):
    """Takes what happens to the parts. Not our log, which would cost this process, that only waits, a fifth of its memory."""

    def __call__(self, event: str, **values: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One process to keep.

    Parameters
    ----------
    name
        For the log.
    command
        Program and arguments.
    at_parents_death
        What the kernel sends it when the supervisor dies.
    """

    name: str
    command: tuple[str, ...]
    at_parents_death: signal.Signals = signal.SIGTERM


@dataclass(slots=True)
class _Child:
    part: Part
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    wait_s: float = FIRST_WAIT_S
    deaths: list[int] = field(default_factory=list)


class Supervisor:
    """Keeps processes; single-threaded, polled by `tend`.

    Parameters
    ----------
    environment
        Of the processes.
    drain_s
        Seconds that a part may take to end what it has begun.
    report
        Is told what happens.
    """

    def __init__(self, environment: Mapping[str, str], drain_s: float, report: Report) -> None:
        self._report = report
        self._environment = dict(environment)
        self._drain_s = drain_s
        self._children: dict[str, _Child] = {}

    def start(self, part: Part) -> None:
        """Start a part and keep it from now on."""
        child = self._children[part.name] = _Child(part)
        self._spawn(child)

    def tend(self) -> None:
        """Start again what has died, after waits that grow while it keeps dying."""
        now = time.monotonic()
        for child in self._children.values():
            if child.process is not None and child.process.poll() is not None:
                self._buried(child, now)
            if child.process is None and child.start_at <= now:
                self._spawn(child)

    def pids(self) -> dict[str, int]:
        """Process ids of the parts that live, by name."""
        return {
            name: child.process.pid for name, child in self._children.items() if child.process and child.process.poll() is None
        }

    def misconfigured(self) -> str | None:
        """Name of a part that ended because the settings cannot be used; None where there is none."""
        return next((name for name, child in self._children.items() if CONFIGURATION in child.deaths), None)

    def stop(self, *names: str) -> None:
        """End parts (all, where none is named): ask, wait for what they have begun, then kill what is left of them."""
        children = [self._children.pop(name) for name in names or tuple(self._children) if name in self._children]
        for child in children:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + self._drain_s + GRACE_S
        while time.monotonic() < deadline and any(child.process and child.process.poll() is None for child in children):
            time.sleep(0.05)
        for child in children:
            if child.process and child.process.poll() is None:
                self._report("part killed", part=child.part.name, drain_s=self._drain_s)
            _signal(child, signal.SIGKILL)
            if child.process:
                child.process.wait()

    def _spawn(self, child: _Child) -> None:
        parent, number = os.getpid(), child.part.at_parents_death
        child.process = subprocess.Popen(
            child.part.command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then ends the parts in order
            preexec_fn=lambda: die_with_parent(parent, number),  # noqa: PLW1509 - safe: this process has one thread
        )
        child.started_at = time.monotonic()
        self._report("part started", part=child.part.name, pid=child.process.pid)

    def _buried(self, child: _Child, now: float) -> None:
        if child.process is None:
            return
        status = child.process.returncode
        _signal(child, signal.SIGKILL)  # what it left of its session
        if now - child.started_at >= STEADY_S:
            child.wait_s = FIRST_WAIT_S
        child.deaths.append(status)
        child.start_at = now + child.wait_s
        self._report("part died", part=child.part.name, status=status, again_in_s=child.wait_s)
        child.wait_s = min(child.wait_s * 2, LONGEST_WAIT_S)
        child.process = None


def _signal(child: _Child, number: signal.Signals) -> None:
    """Signal a part's whole session when it is to be killed, else the part, which knows its own children."""
    if child.process is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number == signal.SIGKILL:
            os.killpg(child.process.pid, number)
        elif child.process.poll() is None:
            child.process.send_signal(number)


def overread_command(name: str, *arguments: str) -> tuple[str, ...]:
    """Command line of one of our commands under this very interpreter; the working directory is not searched for modules."""
    return (sys.executable, "-P", "-m", "node.cli", name, *arguments)
