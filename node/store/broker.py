"""Where the queue is and how both of its sides talk to it. It wakes workers and is never the truth (see DESIGN, "Queue")."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from node.store.settings import Settings

QUEUE: Final = "overread"
"""Name of the one list of messages."""

LONGEST_JOB_S: Final = 3600
"""Seconds after which a job that has not ended is taken for stuck and its process is ended."""

_LONGEST_SOCKET: Final = 100
"""Characters of a Unix socket's path; the kernel takes 107."""


def socket_path(data: Path) -> Path:
    """Where the embedded Valkey of a data folder listens.

    Inside the data folder, unless that has too long a name: then in a folder of our own among the temporary files, the same one
    for everybody who asks.
    """
    data = data.resolve()
    inside = data / "queue" / "valkey.sock"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET:
        return inside
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"overread-{os.getuid()}-{name}" / "valkey.sock"


def redis_url(settings: Settings) -> str:
    """URL of the queue as the redis client spells it."""
    if settings.queue_url is None:
        return f"unix://{socket_path(settings.data)}"
    scheme, colon, rest = settings.queue_url.partition("://")
    return {"valkey": "redis", "valkeys": "rediss", "redis+socket": "unix"}.get(scheme, scheme) + colon + rest


def broker_url(settings: Settings) -> str:
    """URL of the queue as Celery spells it."""
    url = redis_url(settings)
    return "redis+socket" + url.removeprefix("unix") if url.startswith("unix://") else url


def celery_options(settings: Settings) -> dict[str, Any]:
    """What Celery must know, the same for the side that sends and the side that works.

    A message is acknowledged when its job has ended, and comes back when its worker's child dies. Everything else that may happen
    to a message is covered by the catalog: leases run out and the dispatcher sends again, so the visibility timeout may be long,
    and no job is ever run twice at once because of it.
    """
    return {
        "broker_url": broker_url(settings),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": 2 * LONGEST_JOB_S,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 5,
        },
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_default_queue": QUEUE,
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_time_limit": LONGEST_JOB_S,
        "worker_prefetch_multiplier": 1,
        "worker_max_tasks_per_child": 500,  # models stay loaded in a child; a leak of a library ends with it
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # the lease decides, not the queue
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }
