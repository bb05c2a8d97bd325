"""Real processes for the tests of what happens when they die: embedded Valkey and workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from node.dispatch.dispatcher import Dispatcher
from node.dispatch.embedded import answers
from node.dispatch.judge import Judge
from node.dispatch.queue import JobQueue
from node.store.broker import socket_path
from node.store.catalog.catalog import Catalog
from node.store.clock import SystemClock
from node.store.records import Decision, Outcome, StackPlan, StoredInstance
from node.store.settings import Settings, dump_settings
from tests.story import Story


def until(condition: Callable[[], object], within_s: float = 90.0, what: str = "it") -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.05)


class Parts:
    """A node without listener: its queue, its workers, and the dispatcher turned by hand."""

    def __init__(self, settings: Settings, catalog: Catalog, folder: Path) -> None:
        self.settings = settings
        self.catalog = catalog
        self.story = Story(catalog, SystemClock())  # type: ignore[arg-type]
        self.journal = folder / "journal"
        self.journal.touch()
        self._told = folder / "settings.json"
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._queue: JobQueue | None = None
        dump_settings(settings, self._told)

    def start_queue(self) -> subprocess.Popen[bytes]:
        process = self._start("queue", "-m", "node.dispatch.embedded", str(self.settings.data))
        until(lambda: answers(socket_path(self.settings.data)), what="an answer of the queue")
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", "-m", "tests.integration.double_worker", str(self._told), str(self.journal))

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log, start_new_session=True)
        self._processes.append(process)
        return process

    def study(self, model: str, uid: str = "1.2.3") -> None:
        """A study of one image, complete at once, that `model` reads."""
        self.story.arrive(1, study=uid, modality=model)

    def dispatcher(self) -> Dispatcher:
        if self._queue is None:
            self._queue = JobQueue(self.settings)
        worklist, intake = self.catalog.worklist, self.catalog.intake
        judge = Judge(worklist, self.catalog.signals, self.settings, SystemClock())
        return Dispatcher(worklist, intake, plan, self._queue, judge=judge, clock=SystemClock())

    def turn_until(self, condition: Callable[[], object], within_s: float = 120.0) -> None:
        """Turn the dispatcher until something is true."""
        loop = self.dispatcher()

        def turned() -> object:
            loop.plan()
            loop.enqueue()
            return condition()

        until(turned, within_s, "the outcome")

    def finished(self, uid: str = "1.2.3") -> bool:
        view = self.catalog.views.study(uid)
        return view is not None and view.state == "finished"

    def begun(self) -> list[str]:
        """Lines of the journal: job, attempt, process."""
        return self.journal.read_text().splitlines()

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def close(self) -> None:
        if self._queue:
            self._queue.close()
        for process in self._processes:
            kill_all(process)


def plan(instances: list[StoredInstance] | tuple[StoredInstance, ...] | object) -> tuple[StackPlan, ...]:
    """One stack of everything, read by the model that its modality names, for the destination pacs."""
    there = list(instances)  # type: ignore[call-overload]
    model = there[0].arrival.modality
    decision = Decision(model, Outcome.CHOSEN, "the test says so", fingerprint="f" * 64, destinations=("pacs",))
    ids = tuple(one.instance_id for one in there)
    return (StackPlan("s#1", there[0].arrival.series_uid, "", ids, "0" * 64, {}, (decision,)),)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """``kill -9`` of a process and of all that it started."""
    for pid in [process.pid, *children(process)]:
        try:
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def signal_all(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    for pid in [process.pid, *children(process)]:
        os.kill(pid, number)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
