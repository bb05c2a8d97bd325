"""The Celery application of a worker process: prefork, one job at a time, torch only in the child."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
import warnings
from typing import Any, Final, NoReturn

import redis
from celery import Celery, signals
from celery.platforms import SecurityWarning
from celery.worker import state

from node.store.broker import QUEUE, celery_options, redis_url
from node.store.messages import ANALYSE
from node.store.process import die_with_parent
from node.store.settings import Settings
from workers.tasks import AnalyseTask, OpenWorkshop, open_workshop
from workers.watch import DEAF_AFTER_S, QueueWatch

_LAST_WORDS_S: Final = 10.0
"""Seconds that a deaf worker has to end by itself."""


def build_app(settings: Settings, task: AnalyseTask) -> Celery:
    """The application, with the one task that `node.store.messages` names."""
    app = Celery("overread", set_as_current=False)
    app.conf.update(celery_options(settings))
    app.task(task.__call__, name=ANALYSE, shared=False)
    return app


def serve(settings: Settings, opens: OpenWorkshop = open_workshop, deaf_after_s: float = DEAF_AFTER_S) -> int:
    """Work until SIGTERM, then end the job at hand and return the exit status.

    A worker that no longer hears the queue starts itself anew, in the place that it has: nobody else is needed for that.

    Parameters
    ----------
    settings
        The worker's.
    opens
        Opens catalog, spool and models in the child.
    deaf_after_s
        See `workers.watch.QueueWatch`.
    """
    name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    task = AnalyseTask(settings, name, opens)
    app = build_app(settings, task)
    parent = os.getpid()

    def child_started(**_: Any) -> None:
        die_with_parent(parent, signal.SIGKILL)
        threading.Thread(target=task.warm, name="warm", daemon=True).start()

    def keep_our_logging(**_: Any) -> None:
        """Celery sets up no logging of its own where this signal has a receiver."""

    # Celery warns of root because messages could be pickles; ours are JSON only, and a container has no other user.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    signals.worker_process_init.connect(child_started, weak=False)
    signals.setup_logging.connect(keep_our_logging, weak=False)
    stop, deaf = threading.Event(), threading.Event()
    watch = _watch(settings, deaf, deaf_after_s)
    threading.Thread(target=watch.run, args=(stop,), name="queue-watch", daemon=True).start()
    worker = app.Worker(
        hostname=f"overread@{socket.gethostname()}",
        pool_cls="prefork",
        concurrency=1,
        queues=[QUEUE],
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    stop.set()
    if deaf.is_set():
        start_anew()
    return int(worker.exitcode or 0)


def start_anew() -> NoReturn:
    """Become a new process of the same command line, under the same process id; children of this one end with its threads."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell: what was started, started again


def _watch(settings: Settings, deaf: threading.Event, deaf_after_s: float) -> QueueWatch:
    client = redis.Redis.from_url(redis_url(settings), socket_timeout=5, socket_connect_timeout=5)

    def waiting() -> int:
        try:
            return int(client.llen(QUEUE))
        except redis.RedisError as fault:
            raise ConnectionError("the queue does not answer") from fault

    def ended() -> None:
        if state.should_stop is not None:  # it is ending anyhow, because it was told to
            return
        deaf.set()
        threading.Timer(_LAST_WORDS_S, start_anew).start()
        os.kill(os.getpid(), signal.SIGTERM)

    return QueueWatch(
        waiting=waiting,
        busy=lambda: bool(state.reserved_requests),
        taken=lambda: sum(state.total_count.values()),
        ended=ended,
        deaf_after_s=deaf_after_s,
    )
