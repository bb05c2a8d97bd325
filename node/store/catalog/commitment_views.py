"""Requests to commit as a person reads them: on the page, in the terminal, in the metrics."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from node.store.catalog.tables import asked_commitments, commitment_items, commitments, instances
from node.store.commitment import COMMITTED, CommitmentView
from node.store.states import CommitmentState

_ENDED: Final = (CommitmentState.REPORTED, CommitmentState.FAILED)


def commitment_views(connection: sa.Connection, limit: int, study_id: int | None = None) -> list[CommitmentView]:
    """Requests that wait, those that could not be reported, the others; newest first. Of a study: those that name its images."""
    items = commitment_items.c
    urgency = sa.case(
        (commitments.c.state == CommitmentState.REPORTED, 2), (commitments.c.state == CommitmentState.FAILED, 1), else_=0
    )
    chosen = sa.select(commitments.c.id).order_by(urgency, commitments.c.id.desc()).limit(limit)
    if study_id is not None:
        ours = sa.select(instances.c.sop_instance_uid).where(instances.c.study_id == study_id)
        chosen = chosen.where(commitments.c.id.in_(sa.select(items.commitment_id).where(items.sop_instance_uid.in_(ours))))
    ids = list(connection.execute(chosen).scalars())
    counted = (
        sa.select(
            items.commitment_id.label("id"),
            sa.func.count().label("named"),
            sa.func.count().filter(items.failure == COMMITTED).label("committed"),
            sa.func.count().filter(items.failure != COMMITTED).label("failed"),
        )
        .where(items.commitment_id.in_(ids))
        .group_by(items.commitment_id)
    )
    counts = {row.id: row for row in connection.execute(counted)}
    rows = {row.id: row for row in connection.execute(sa.select(commitments).where(commitments.c.id.in_(ids)))}
    return [
        CommitmentView(
            at=row.created_at,
            requestor=row.requestor,
            transaction_uid=row.transaction_uid,
            policy=row.policy,
            state=row.state,
            named=counts[row.id].named,
            committed=counts[row.id].committed,
            failed=counts[row.id].failed,
            attempt=row.attempt,
            reason=row.reason,
            next_at=None if row.state in _ENDED else row.due_at,
        )
        for row in (rows[found] for found in ids)
    ]


def asked_by_archive(connection: sa.Connection) -> dict[tuple[str, bool], int]:
    """How many requests of ours there are, by archive and whether it has reported."""
    reported = asked_commitments.c.answered_at.is_not(None)
    counted = sa.select(asked_commitments.c.archive, reported, sa.func.count()).group_by(asked_commitments.c.archive, reported)
    return {(row[0], bool(row[1])): int(row[2]) for row in connection.execute(counted)}
