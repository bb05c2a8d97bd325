"""One wake-up call from claim to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from node.store.errors import OverreadError, Refused, Retryable
from node.store.faults import tell
from node.store.log import get_logger
from node.store.messages import AnalyseMessage
from node.store.ports import JobDesk
from node.store.records import Claim, ResultSet
from workers.lease import Lease

FIRST_WAIT_S: Final = 15.0
"""Seconds before the second try of a job that may succeed later; doubled each time."""

LONGEST_WAIT_S: Final = 3600.0
MOST_ATTEMPTS: Final = 16
"""Tries of a job that may succeed later; with the waits above, the last is about eight hours after the first."""

log = get_logger(__name__)


class Answer(StrEnum):
    """What became of one wake-up call."""

    NOT_DUE = "not due"
    PUBLISHED = "published"
    REFUSED = "refused"
    RETRY = "retry"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a worker's child needs to answer.

    Parameters
    ----------
    desk
        The workers' port of the catalog.
    analyse
        Makes the results of a claim, in the spool, unpublished. Raises `Refused`, `Retryable` or `Permanent`.
    """

    desk: JobDesk
    analyse: Callable[[Claim], ResultSet]


def answer(message: AnalyseMessage, shop: Workshop, worker: str, lease_s: float) -> Answer:
    """Claim the job of a message, work on it, and end it in the catalog: published, refused, failed or due again.

    Parameters
    ----------
    worker
        Unique to the worker process that runs one job at a time.
    lease_s
        Seconds that the claim holds without a heartbeat.
    """
    claim = shop.desk.claim(message.job_id, worker, lease_s)
    if claim is None:
        log.info("job not due", job_id=message.job_id)
        return Answer.NOT_DUE
    log.info("job claimed", job_id=claim.job_id, study_uid=claim.study_uid, model=claim.model, attempt=claim.attempt)
    with Lease(shop.desk, claim, lease_s):
        given, held = _worked(claim, shop)
    given = given if held else Answer.LOST
    log.info("job answered", job_id=claim.job_id, study_uid=claim.study_uid, model=claim.model, answer=given.value)
    return given


def _worked(claim: Claim, shop: Workshop) -> tuple[Answer, bool]:
    """The answer, and whether the claim still held when it was given."""
    try:
        results = shop.analyse(claim)
    except Refused as refused:
        return Answer.REFUSED, shop.desk.refuse(claim, refused.reason, refused.code)
    except (Retryable, MemoryError) as fault:
        reason = "there was not enough memory" if isinstance(fault, MemoryError) else str(fault)
        if claim.attempt < MOST_ATTEMPTS:
            return Answer.RETRY, shop.desk.fail(claim, reason, wait_s(claim.attempt))
        return Answer.FAILED, shop.desk.fail(claim, f"{reason} (tried {claim.attempt} times)", None)
    except OverreadError as fault:
        return Answer.FAILED, shop.desk.fail(claim, str(fault), None)
    except Exception as fault:  # noqa: BLE001 - a library's fault ends this job with a reason, not the worker
        log.error("job broke", job_id=claim.job_id, model=claim.model, reason=tell(fault))
        return Answer.FAILED, shop.desk.fail(claim, f"the model broke on this stack: {tell(fault)}", None)
    return Answer.PUBLISHED, shop.desk.publish(claim, results)


def wait_s(attempt: int) -> float:
    """Seconds to wait after the `attempt`-th try, from 1."""
    return min(FIRST_WAIT_S * 2.0 ** (attempt - 1), LONGEST_WAIT_S)
