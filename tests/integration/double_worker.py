"""A real worker process (Celery, prefork, catalog, spool folder) whose analysis is a double: ``python -m … SETTINGS JOURNAL``.

What the double does is the name of the model; it appends a line to the journal whenever it begins. A file ``deaf-once`` beside the
journal makes one worker deaf: connected, idle, and no message reaches it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from node.store.broker import QUEUE
from node.store.catalog.catalog import open_catalog
from node.store.errors import Permanent, Refused, Retryable
from node.store.log import configure_logging
from node.store.records import Claim, ResultObject, ResultSet
from node.store.settings import Settings, load_settings
from workers.app import serve
from workers.job import Workshop
from workers.watch import DEAF_AFTER_S

JOURNAL = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()


def open_double(settings: Settings) -> Workshop:
    def analyse(claim: Claim) -> ResultSet:
        with JOURNAL.open("a") as journal:
            journal.write(f"{claim.job_id} {claim.attempt} {os.getpid()}\n")
        return behave(claim, settings.spool)

    return Workshop(open_catalog(settings).desk, analyse)


def behave(claim: Claim, spool: Path) -> ResultSet:
    match claim.model:
        case "slow":
            time.sleep(2.0)
        case "slow-once" if claim.attempt == 1:
            time.sleep(60.0)
        case "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        case "deadly-once" if claim.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "refusing":
            raise Refused("no frame of reference", "no-frame-of-reference")
        case "broken":
            raise Permanent("the model has changed since")
        case "buggy":
            raise ValueError("Yamada^Tarou is not a number")
        case "later" if claim.attempt == 1:
            raise Retryable("the weights cannot be fetched")
        case "torch":
            assert "torch" in sys.modules
    return made(claim, spool)


def made(claim: Claim, spool: Path) -> ResultSet:
    """One object whose bytes and UID depend on nothing but the job, in a folder of this attempt."""
    uid = f"2.25.{claim.job_id}"
    content = f"{claim.study_uid} {claim.stack_key} {claim.model} {claim.created_at.isoformat()}".encode()
    relative = Path("results") / claim.study_uid / f"{claim.job_id}.{claim.fence}" / f"{uid}.dcm"
    (spool / relative).parent.mkdir(parents=True)
    (spool / relative).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    one = ResultObject(
        "seg", "1.2.840.10008.5.1.4.1.1.66.4", uid, "2.25.9", "1.2.840.10008.1.2.1", str(relative), digest, len(content)
    )
    return ResultSet((one,), {"attempt": claim.attempt})


def be_deaf_once(sender: Any, **_: Any) -> None:
    marker = JOURNAL.with_name("deaf-once")
    if marker.exists():
        marker.rename(JOURNAL.with_name("was-deaf"))
        sender.cancel_task_queue(QUEUE)


if __name__ == "__main__":
    configure_logging()
    worker_ready.connect(be_deaf_once, weak=False)
    deaf_after_s = 1.0 if JOURNAL.with_name("deaf-once").exists() else DEAF_AFTER_S
    sys.exit(serve(load_settings(Path(sys.argv[1])), open_double, deaf_after_s))
