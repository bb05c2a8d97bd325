"""Studies, events and destinations as JSON values: what ``--json`` of the commands that show them prints.

The keys are stable: a key is added, never renamed or taken away (docs/operations.md lists them). Dates are ISO 8601 in UTC. UIDs,
states, reasons and figures only: the catalog's views hold no patient data.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from node.page.standing import Standing
from node.store.commitment import CommitmentView
from node.store.events import NodeEvent
from node.store.records import DecisionView, DeliveryView, JobView, StudyView
from node.store.signals import SignalView

Plain = dict[str, Any]


def study_in_brief(view: StudyView) -> Plain:
    """A study without its parts, for lists."""
    return {
        "study_uid": view.study_uid,
        "state": str(view.state),
        "revision": view.revision,
        "instances": view.instances,
        "series": view.series,
        "modalities": list(view.modalities),
        "calling_ae": view.calling_ae,
        "first_arrival_at": _moment(view.first_arrival_at),
        "last_arrival_at": _moment(view.last_arrival_at),
        "evidence": view.evidence,
        "incomplete": view.incomplete,
        "originals_removed_at": _moment(view.originals_removed_at) if view.originals_removed_at else None,
        "results_removed_at": _moment(view.results_removed_at) if view.results_removed_at else None,
        "jobs": [job_in_full(job) for job in view.jobs],
        "deliveries": [delivery_in_full(delivery) for delivery in view.deliveries],
    }


def study_in_full(view: StudyView) -> Plain:
    """A study with its jobs, decisions, deliveries and events."""
    return study_in_brief(view) | {
        "decisions": [decision_in_full(decision) for decision in view.decisions],
        "events": [{"at": _moment(at), "kind": kind, "detail": detail} for at, kind, detail in view.events],
        "signals": [signal_in_full(signal) for signal in view.signals],
        "commitments": [commitment_in_full(one) for one in view.commitments],
    }


def job_in_full(job: JobView) -> Plain:
    """A job, what it found, and the objects it made."""
    return {
        "job_id": job.job_id,
        "model": job.model,
        "stack": job.stack,
        "series_uid": job.series_uid,
        "state": str(job.state),
        "reason": job.reason,
        "revision": job.revision,
        "attempt": job.attempt,
        "findings": list(job.summary.get("findings", [])),
        "measurements": list(job.summary.get("measurements", [])),
        "notes": list(job.summary.get("notes", [])),
        "objects": [
            {
                "kind": made.kind,
                "sop_class_uid": made.sop_class_uid,
                "sop_instance_uid": made.sop_instance_uid,
                "series_uid": made.series_uid,
                "sha256": made.sha256,
                "size_bytes": made.size_bytes,
            }
            for made in job.objects
        ],
    }


def delivery_in_full(delivery: DeliveryView) -> Plain:
    """One object on its way to one destination."""
    return {
        "delivery_id": delivery.delivery_id,
        "job_id": delivery.job_id,
        "destination": delivery.destination,
        "kind": delivery.kind,
        "sop_instance_uid": delivery.sop_instance_uid,
        "state": str(delivery.state),
        "attempt": delivery.attempt,
        "reason": delivery.reason,
        "next_at": _moment(delivery.next_at) if delivery.next_at else None,
        "urgent": delivery.urgent,
        "proof": delivery.proof,
        "proof_reason": delivery.proof_reason,
    }


def decision_in_full(view: DecisionView) -> Plain:
    """Why a model reads, or does not read, a stack."""
    return {
        "revision": view.revision,
        "stack": view.stack,
        "series_uid": view.series_uid,
        "description": view.description,
        "slices": view.slices,
        "model": view.decision.model,
        "outcome": str(view.decision.outcome),
        "route": view.decision.route,
        "reason": view.decision.reason,
        "destinations": list(view.decision.destinations),
    }


def event_in_full(event: NodeEvent) -> Plain:
    """An event of no study."""
    return {
        "first_at": _moment(event.first_at),
        "last_at": _moment(event.last_at),
        "kind": event.kind,
        "detail": event.detail,
        "count": event.count,
    }


def destination_in_full(one: Standing) -> Plain:
    """How it stands with one destination."""
    queue, broken = one.queue, one.broken
    return {
        "name": one.name,
        "address": one.address,
        "circuit": str(one.circuit),
        "down_since": _moment(broken.since) if broken else None,
        "failures": broken.failures if broken else 0,
        "next_at": _moment(broken.next_at) if broken else None,
        "reason": broken.reason if broken else "",
        "waiting": queue.waiting,
        "oldest_at": _moment(queue.oldest_at) if queue.oldest_at else None,
        "failed": queue.failed,
        "held": queue.held,
        "not_proven_yet": queue.unproven_yet,
        "not_proven": queue.unproven,
    }


def signal_in_full(signal: SignalView) -> Plain:
    """What was said about a study beside its images."""
    return {
        "at": _moment(signal.at),
        "kind": str(signal.kind),
        "source": signal.source,
        "status": signal.status,
        "named": signal.named,
        "arrived": signal.arrived,
    }


def commitment_in_full(view: CommitmentView) -> Plain:
    """A storage commitment request and what became of it."""
    return {
        "at": _moment(view.at),
        "requestor": view.requestor,
        "transaction_uid": view.transaction_uid,
        "policy": view.policy,
        "state": str(view.state),
        "named": view.named,
        "committed": view.committed,
        "failed": view.failed,
        "attempt": view.attempt,
        "reason": view.reason,
        "next_at": _moment(view.next_at) if view.next_at else None,
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
