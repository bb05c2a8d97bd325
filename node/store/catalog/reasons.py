"""Why files of a study stay: one table for each kind, read by every removal. What is kept for a new reason gets a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from node.store.catalog.tables import (
    associations,
    commitment_items,
    commitments,
    deliveries,
    instances,
    jobs,
    proofs,
    result_objects,
    studies,
)
from node.store.commitment import COMMITTED, NODE
from node.store.records import Removed
from node.store.states import ENDED_JOBS, DeliveryState, JobState, ProofState, StudyState

_NOT_THERE: Final = (DeliveryState.FAILED, DeliveryState.HELD)
"""A person may want it sent again."""


@dataclass(frozen=True, slots=True)
class Ages:
    """How old is old enough.

    Parameters
    ----------
    settled_before
        The last image, answer and delivery of a study must be older than this.
    failed_before
        So must those of a study with a failed job or delivery, which a person may want to mend.
    """

    settled_before: datetime
    failed_before: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that may still need the files of a study.

    Parameters
    ----------
    says
        For a person, after "kept:".
    holds
        A condition on the row of `studies`, correlated with it.
    """

    says: str
    holds: Callable[[Ages], sa.ColumnElement[bool]]


def _unread(_: Ages) -> sa.ColumnElement[bool]:
    return studies.c.state != StudyState.FINISHED


def _unfinished_job(_: Ages) -> sa.ColumnElement[bool]:
    return _job(jobs.c.state.not_in(sorted(ENDED_JOBS)))


def _unfinished_delivery(_: Ages) -> sa.ColumnElement[bool]:
    return _delivery(deliveries.c.state.in_([DeliveryState.DUE, DeliveryState.SENDING]))


def _open_association(_: Ages) -> sa.ColumnElement[bool]:
    sent = (
        sa.select(instances.c.id)
        .join(associations, associations.c.association_id == instances.c.association_id)
        .where(instances.c.study_id == studies.c.id, associations.c.closed_at.is_(None))
    )
    return sent.exists()


def _lately(ages: Ages) -> sa.ColumnElement[bool]:
    return sa.or_(
        studies.c.last_arrival_at > ages.settled_before,
        _job(jobs.c.ended_at > ages.settled_before),
        _delivery(deliveries.c.ended_at > ages.settled_before),
    )


def _failed_lately(ages: Ages) -> sa.ColumnElement[bool]:
    return sa.or_(
        _job(sa.and_(jobs.c.state == JobState.FAILED, jobs.c.ended_at > ages.failed_before)),
        _delivery(sa.and_(deliveries.c.state.in_(_NOT_THERE), deliveries.c.ended_at > ages.failed_before)),
    )


def _failed_delivery(_: Ages) -> sa.ColumnElement[bool]:
    return _delivery(deliveries.c.state.in_(_NOT_THERE))


def _unproven(_: Ages) -> sa.ColumnElement[bool]:
    """A destination said that it stored a result and has not proven that it keeps it."""
    open_ = sa.select(proofs.c.id).where(proofs.c.delivery_id == deliveries.c.id, proofs.c.state != ProofState.PROVEN)
    return _delivery(open_.exists())


def _never_delivered(_: Ages) -> sa.ColumnElement[bool]:
    """A result set of which nothing was sent anywhere: the files here are the only ones."""
    sent = sa.select(deliveries.c.id).where(
        deliveries.c.study_id == jobs.c.study_id,  # of which there is an index
        deliveries.c.job_id == jobs.c.id,
        deliveries.c.state == DeliveryState.SENT,
    )
    made = sa.select(result_objects.c.id).where(result_objects.c.job_id == jobs.c.id)
    return _job(sa.and_(made.exists(), ~sent.exists()))


def _committed(_: Ages) -> sa.ColumnElement[bool]:
    """Somebody was told, or may be told, that it is safe here and that their own may go."""
    promised = (
        sa.select(commitment_items.c.id)
        .join(commitments, commitment_items.c.commitment_id == commitments.c.id)
        .join(instances, instances.c.sop_instance_uid == commitment_items.c.sop_instance_uid)
        .where(
            instances.c.study_id == studies.c.id,
            commitments.c.policy == NODE,
            sa.or_(commitment_items.c.failure == COMMITTED, commitment_items.c.failure.is_(None)),
        )
    )
    return promised.exists()


def _job(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.select(jobs.c.id).where(jobs.c.study_id == studies.c.id, condition).exists()


def _delivery(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.select(deliveries.c.id).where(deliveries.c.study_id == studies.c.id, condition).exists()


_BOTH: Final = (
    Reason("its images are still arriving or being read", _unread),
    Reason("a job of it waits or runs", _unfinished_job),
    Reason("results of it wait for a destination", _unfinished_delivery),
    Reason("an association that sent images of it is open", _open_association),
    Reason("its last image, answer or delivery is not old enough", _lately),
)

REASONS: Final[dict[Removed, tuple[Reason, ...]]] = {
    Removed.ORIGINALS: (
        *_BOTH,
        Reason("a job or delivery of it failed not long ago: a person may want it read or sent again", _failed_lately),
        Reason("it is committed: whoever sent it was told that it is safe here", _committed),
    ),
    Removed.RESULTS: (
        *_BOTH,
        Reason("a delivery of it failed and can be sent again", _failed_delivery),
        Reason("results of it were never delivered: these files are the only ones", _never_delivered),
        Reason("a destination has not proven that it keeps a result that it was sent", _unproven),
    ),
}
"""A study's files of a kind may go when none of that kind's reasons holds."""


def nothing_keeps(what: Removed, ages: Ages) -> sa.ColumnElement[bool]:
    """The condition on a row of `studies` under which its files may go."""
    return sa.and_(*(sa.not_(reason.holds(ages)) for reason in REASONS[what]))
