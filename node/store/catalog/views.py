"""What the page and the command line read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from node.store.catalog.commitment_views import asked_by_archive, commitment_views
from node.store.catalog.engine import Database
from node.store.catalog.results import object_columns, result_object
from node.store.catalog.signals import signal_views, signals_by_kind
from node.store.catalog.tables import (
    Moment,
    commitments,
    decisions,
    deliveries,
    events,
    instances,
    jobs,
    proofs,
    removals,
    result_objects,
    revisions,
    stacks,
    studies,
)
from node.store.commitment import CommitmentView
from node.store.events import NodeEvent, Rejection
from node.store.records import (
    Decision,
    DecisionView,
    DeliveryView,
    JobView,
    KeptView,
    Outcome,
    QueueView,
    Removed,
    ResultObject,
    StudyView,
)
from node.store.states import CommitmentState, DeliveryState, JobState, ProofState, StudyState

T = TypeVar("T")
_COUNTED: Final = (
    (studies, StudyState),
    (jobs, JobState),
    (deliveries, DeliveryState),
    (commitments, CommitmentState),
)


class SqlViews:
    """`node.store.ports.Views` on the catalog's database.

    Parameters
    ----------
    database
        The catalog's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def studies(self, limit: int = 100, offset: int = 0) -> Sequence[StudyView]:
        """Newest first, with jobs and deliveries, without decisions and events."""
        newest = sa.select(studies).order_by(studies.c.last_arrival_at.desc(), studies.c.id.desc()).limit(limit).offset(offset)
        with self._database.read() as connection:
            rows = connection.execute(newest).all()
            return _views(connection, rows)

    def study(self, study_uid: str) -> StudyView | None:
        """All that is known of one study."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(studies).where(studies.c.uid == study_uid)).all()
            if not rows:
                return None
            row = rows[0]
            view = _views(connection, rows, decided=_decisions(connection, row.id), happened=_events(connection, row.uid))[0]
            return replace(
                view,
                signals=signal_views(connection, row.uid, _images(connection, row.id)),
                commitments=tuple(commitment_views(connection, 100, row.id)),
            )

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by state: ``{"studies": {...}, "jobs": {...}, …}``; states without rows count 0."""
        counted: dict[str, dict[str, int]] = {}
        with self._database.read() as connection:
            for table, terms in _COUNTED:
                by_state = sa.select(table.c.state, sa.func.count()).group_by(table.c.state)
                found = {row[0]: row[1] for row in connection.execute(by_state)}
                counted[table.name] = {state.value: found.get(state, 0) for state in terms}
        return counted

    def queues(self) -> Mapping[str, QueueView]:
        """How it stands with what was made for each destination, by its name."""
        waits = deliveries.c.state.in_([DeliveryState.DUE, DeliveryState.SENDING])
        sent = deliveries.c.state == DeliveryState.SENT  # what is sent again is proven anew
        counted = (
            sa.select(
                deliveries.c.destination,
                sa.func.count().filter(waits).label("waiting"),
                sa.func.min(deliveries.c.created_at, type_=Moment).filter(waits).label("oldest_at"),
                sa.func.count().filter(deliveries.c.state == DeliveryState.FAILED).label("failed"),
                sa.func.count().filter(deliveries.c.state == DeliveryState.HELD).label("held"),
                sa.func.count().filter(sent, proofs.c.state.in_([ProofState.DUE, ProofState.ASKING])).label("unproven_yet"),
                sa.func.count().filter(sent, proofs.c.state == ProofState.UNPROVEN).label("unproven"),
            )
            .outerjoin(proofs, proofs.c.delivery_id == deliveries.c.id)
            .group_by(deliveries.c.destination)
        )
        with self._database.read() as connection:
            found = [row._asdict() for row in connection.execute(counted)]
        return {row.pop("destination"): QueueView(**row) for row in found}

    def commitments(self, limit: int = 100) -> Sequence[CommitmentView]:
        """Storage commitment requests: those that wait, those that could not be reported, the others; newest first."""
        with self._database.read() as connection:
            return commitment_views(connection, limit)

    def asked(self) -> dict[tuple[str, bool], int]:
        """Our own requests to commit, by archive and whether it has reported."""
        with self._database.read() as connection:
            return asked_by_archive(connection)

    def said(self) -> dict[str, int]:
        """Messages about studies beside their images, by kind; kinds that never came count 0."""
        with self._database.read() as connection:
            return signals_by_kind(connection)

    def kept(self) -> KeptView:
        """What retention has removed so far, and the oldest study of which originals are here."""
        originals = removals.c.what == Removed.ORIGINALS.value
        removed = sa.select(
            sa.func.count(removals.c.study_id.distinct()).filter(originals).label("studies"),
            sa.func.coalesce(sa.func.sum(removals.c.objects), 0).label("files"),
            sa.func.coalesce(sa.func.sum(removals.c.size_bytes), 0).label("size_bytes"),
            sa.func.max(removals.c.ended_at).label("last_at"),
        ).where(removals.c.ended_at.is_not(None))
        oldest = sa.select(sa.func.min(studies.c.last_arrival_at)).where(studies.c.originals_removed_at.is_(None))
        with self._database.read() as connection:
            row = connection.execute(removed).one()
            oldest_at = connection.execute(oldest).scalar_one()
        return KeptView(row.studies, int(row.files), int(row.size_bytes), row.last_at, oldest_at)

    def node_events(self, since: datetime, limit: int = 100) -> Sequence[NodeEvent]:
        """Events of no study that came since then, those that came last first."""
        last_at = sa.func.coalesce(events.c.last_at, events.c.at, type_=Moment)
        ordered = (
            sa.select(events, last_at.label("came_last"))
            .where(events.c.study_uid.is_(None), last_at >= since)
            .order_by(last_at.desc(), events.c.id.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return [NodeEvent(row.at, row.came_last, row.kind, row.detail, row.times) for row in connection.execute(ordered)]

    def rejected(self) -> dict[str, int]:
        """How often something was turned away, by kind of rejection; kinds that never came count 0."""
        by_kind = sa.select(events.c.kind, sa.func.sum(events.c.times)).where(events.c.kind.in_(list(Rejection)))
        with self._database.read() as connection:
            found = {
                row[0]: int(row[1])
                for row in connection.execute(by_kind.where(events.c.study_uid.is_(None)).group_by(events.c.kind))
            }
        return {kind.value: found.get(kind.value, 0) for kind in Rejection}


def _removed_at(connection: sa.Connection, ids: list[int]) -> dict[tuple[int, str], datetime]:
    """When files of a study were last removed, by study and what they were."""
    latest = (
        sa.select(removals.c.study_id, removals.c.what, sa.func.max(removals.c.ended_at).label("at"))
        .where(removals.c.study_id.in_(ids), removals.c.ended_at.is_not(None))
        .group_by(removals.c.study_id, removals.c.what)
    )
    return {(row.study_id, row.what): row.at for row in connection.execute(latest)}


def _views(
    connection: sa.Connection,
    rows: Sequence[sa.Row[Any]],
    decided: tuple[DecisionView, ...] = (),
    happened: tuple[tuple[Any, str, str], ...] = (),
) -> list[StudyView]:
    ids = [row.id for row in rows]
    jobs_by_study = _jobs(connection, ids)
    deliveries_by_study = _deliveries(connection, ids)
    counts = _counts(connection, ids)
    removed_at = _removed_at(connection, ids)
    incomplete = _incomplete(connection, ids)
    return [
        StudyView(
            study_uid=row.uid,
            state=row.state,
            revision=row.revision,
            instances=sum(one.instances for one in counts[row.id]),
            series=len({one.series_uid for one in counts[row.id]}),
            modalities=tuple(sorted({one.modality for one in counts[row.id] if one.modality})),
            calling_ae=row.calling_ae,
            first_arrival_at=row.first_arrival_at,
            last_arrival_at=row.last_arrival_at,
            evidence=row.evidence,
            jobs=tuple(jobs_by_study[row.id]),
            deliveries=tuple(deliveries_by_study[row.id]),
            decisions=decided,
            events=happened,
            originals_removed_at=removed_at.get((row.id, Removed.ORIGINALS)),
            results_removed_at=removed_at.get((row.id, Removed.RESULTS)),
            incomplete=(row.id, row.revision) in incomplete,
        )
        for row in rows
    ]


def _counts(connection: sa.Connection, ids: list[int]) -> defaultdict[int, list[sa.Row[Any]]]:
    """Images by study, series and modality; results of our own are not images of the study, versions of one image count once."""
    counted = (
        sa.select(
            instances.c.study_id,
            instances.c.series_uid,
            instances.c.modality,
            sa.func.count(instances.c.sop_instance_uid.distinct()).label("instances"),
        )
        .where(instances.c.study_id.in_(ids), instances.c.own_result.is_(False))
        .group_by(instances.c.study_id, instances.c.series_uid, instances.c.modality)
    )
    return _grouped(connection.execute(counted).all(), lambda row: row)


def _incomplete(connection: sa.Connection, ids: list[int]) -> set[tuple[int, int]]:
    """``(study id, number)`` of the revisions that were read as they stood."""
    marked = sa.select(revisions.c.study_id, revisions.c.number).where(revisions.c.study_id.in_(ids), revisions.c.incomplete)
    return {(row.study_id, row.number) for row in connection.execute(marked)}


def _images(connection: sa.Connection, study_id: int) -> list[str]:
    """SOP Instance UIDs of a study's images."""
    uids = sa.select(instances.c.sop_instance_uid).where(instances.c.study_id == study_id, instances.c.own_result.is_(False))
    return list(connection.execute(uids).scalars())


def _jobs(connection: sa.Connection, ids: list[int]) -> defaultdict[int, list[JobView]]:
    made = (
        sa.select(result_objects.c.job_id, *object_columns())
        .join(jobs, result_objects.c.job_id == jobs.c.id)
        .where(jobs.c.study_id.in_(ids))
        .order_by(result_objects.c.id)
    )
    objects: defaultdict[int, list[ResultObject]] = defaultdict(list)
    for row in connection.execute(made):
        objects[row.job_id].append(result_object(row))

    def view(row: sa.Row[Any]) -> JobView:
        return JobView(
            job_id=row.id,
            model=row.model,
            stack=row.stack_key,
            series_uid=row.series_uid,
            state=row.state,
            reason=row.reason,
            revision=row.revision,
            attempt=row.attempt,
            summary=row.summary,
            objects=tuple(objects[row.id]),
        )

    rows = connection.execute(sa.select(jobs).where(jobs.c.study_id.in_(ids)).order_by(jobs.c.id)).all()
    return _grouped(rows, view)


def _deliveries(connection: sa.Connection, ids: list[int]) -> defaultdict[int, list[DeliveryView]]:
    def view(row: sa.Row[Any]) -> DeliveryView:
        return DeliveryView(
            delivery_id=row.id,
            job_id=row.job_id,
            destination=row.destination,
            kind=row.kind,
            sop_instance_uid=row.sop_instance_uid,
            state=row.state,
            attempt=row.attempt,
            reason=row.reason,
            next_at=row.due_at if row.state == DeliveryState.DUE else None,
            proof=_proof(row) if row.proof_state and row.state == DeliveryState.SENT else "",
            proof_reason=row.proof_reason or "",
            urgent=row.urgent,
        )

    joined = (
        sa.select(
            deliveries,
            result_objects.c.kind,
            result_objects.c.sop_instance_uid,
            proofs.c.state.label("proof_state"),
            proofs.c.reason.label("proof_reason"),
            proofs.c.committed_at,
            proofs.c.found_at,
        )
        .join(result_objects, deliveries.c.object_id == result_objects.c.id)
        .outerjoin(proofs, proofs.c.delivery_id == deliveries.c.id)
        .where(deliveries.c.study_id.in_(ids))
        .order_by(deliveries.c.id)
    )
    return _grouped(connection.execute(joined).all(), view)


def _proof(row: sa.Row[Any]) -> str:
    if row.proof_state == ProofState.UNPROVEN:
        return "not proven"
    if row.found_at is not None:
        return "found"
    return "committed" if row.committed_at is not None else "not proven yet"


def _decisions(connection: sa.Connection, study_id: int) -> tuple[DecisionView, ...]:
    joined = (
        sa.select(revisions.c.number, stacks.c.key, stacks.c.series_uid, stacks.c.description, stacks.c.slices, decisions)
        .join(stacks, decisions.c.stack_id == stacks.c.id)
        .join(revisions, stacks.c.revision_id == revisions.c.id)
        .where(revisions.c.study_id == study_id)
        .order_by(revisions.c.number, stacks.c.position, decisions.c.id)
    )
    return tuple(
        DecisionView(
            revision=row.number,
            stack=row.key,
            series_uid=row.series_uid,
            description=row.description,
            slices=row.slices,
            decision=Decision(
                model=row.model,
                outcome=Outcome(row.outcome),
                reason=row.reason,
                route=row.route,
                fingerprint=row.fingerprint,
                destinations=tuple(row.destinations),
            ),
        )
        for row in connection.execute(joined)
    )


def _events(connection: sa.Connection, study_uid: str) -> tuple[tuple[Any, str, str], ...]:
    ordered = sa.select(events).where(events.c.study_uid == study_uid).order_by(events.c.id)
    return tuple((row.at, row.kind, row.detail) for row in connection.execute(ordered))


def _grouped(rows: Sequence[sa.Row[Any]], view: Callable[[sa.Row[Any]], T]) -> defaultdict[int, list[T]]:
    """Views by the study that their rows belong to."""
    grouped: defaultdict[int, list[T]] = defaultdict(list)
    for row in rows:
        grouped[row.study_id].append(view(row))
    return grouped
