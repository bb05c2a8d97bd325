"""The catalog's tables. Their history is in `node.store.migrations`; both must say the same (a test compares them)."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from node.store.signals import SignalKind
from node.store.states import CommitmentState, DeliveryState, FetchState, JobState, ProofState, StudyState

SCHEMA: Final = "0011"
"""Newest revision in `node.store.migrations`."""


class Moment(sa.types.TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so what it gives back is marked as UTC again."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the catalog takes moments with a time zone only")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Word(sa.types.TypeDecorator[StrEnum]):
    """A term of one of our enums, kept as its text, so that a state that is added needs no change of the schema.

    Parameters
    ----------
    terms
        The enum.
    """

    impl = sa.String(32)
    cache_ok = True

    def __init__(self, terms: type[StrEnum]) -> None:
        super().__init__()
        self.terms = terms

    def process_bind_param(self, value: StrEnum | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else self.terms(value).value

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> StrEnum | None:  # noqa: ARG002
        return None if value is None else self.terms(value)


UID = sa.String(64)
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

installation = sa.Table(
    "installation",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("uuid", sa.String(36), nullable=False),
)

associations = sa.Table(
    "associations",
    metadata,
    sa.Column("association_id", sa.String(64), primary_key=True),
    sa.Column("listener_id", sa.String(64), nullable=False),
    sa.Column("calling_ae", sa.String(16), nullable=False),
    sa.Column("called_ae", sa.String(16), nullable=False),
    sa.Column("peer_host", sa.String(255), nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("closed_at", Moment, index=True),
    sa.Column("how", sa.String(16)),
)

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("uid", UID, nullable=False, unique=True),
    sa.Column("state", Word(StudyState), nullable=False, index=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("calling_ae", sa.String(16), nullable=False),
    sa.Column("first_arrival_at", Moment, nullable=False),
    sa.Column("last_arrival_at", Moment, nullable=False, index=True),
    sa.Column(
        "arrivals", sa.Integer, nullable=False
    ),  # images, versions included: tells a plan made before one from one made after
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("receiving_since", Moment),  # when the first image of the revision to come was recorded
    sa.Column("originals_removed_at", Moment),  # when the last of its received files was removed; none is here then
    sa.Index("ix_studies_originals_removed_at_last_arrival_at", "originals_removed_at", "last_arrival_at"),
)

removals = sa.Table(
    "removals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey("studies.id"), nullable=False, index=True),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("why", sa.String(16), nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment, index=True),  # none: files of it may still be there
    sa.Column("objects", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
)

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey("studies.id"), nullable=False, index=True),
    sa.Column("series_uid", UID, nullable=False),
    sa.Column("sop_instance_uid", UID, nullable=False, index=True),
    sa.Column("sop_class_uid", UID, nullable=False),
    sa.Column("transfer_syntax_uid", UID, nullable=False),
    sa.Column("modality", sa.String(16), nullable=False),
    sa.Column("path", sa.String(512), nullable=False, unique=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("calling_ae", sa.String(16), nullable=False),
    sa.Column("called_ae", sa.String(16), nullable=False),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("own_result", sa.Boolean, nullable=False),
    sa.Column(
        "association_id", sa.String(64), index=True
    ),  # no foreign key: an image is recorded whatever became of the association
    sa.Column("removal_id", sa.Integer, index=True),  # by which its file was or is being removed; the row stays
    sa.Column("sha256", sa.String(64)),  # of transfer syntax and data set, taken when it was removed
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey("studies.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("incomplete", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("study_id", "number"),
)

stacks = sa.Table(
    "stacks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("revision_id", sa.ForeignKey("revisions.id"), nullable=False, index=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("series_uid", UID, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("slices", sa.Integer, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
)

stack_instances = sa.Table(
    "stack_instances",
    metadata,
    sa.Column("stack_id", sa.ForeignKey("stacks.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("instance_id", sa.ForeignKey("instances.id"), nullable=False),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey("studies.id"), nullable=False, index=True),
    sa.Column("stack_id", sa.ForeignKey("stacks.id"), nullable=False),
    sa.Column("stack_key", sa.String(255), nullable=False),
    sa.Column("series_uid", UID, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("state", Word(JobState), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),  # how often it was claimed
    sa.Column("deaths", sa.Integer, nullable=False),  # how many of these claims ended without an answer
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("worker", sa.String(128)),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("enqueued_at", Moment),
    sa.Column("lease_until", Moment),
    sa.Column("ended_at", Moment),
    sa.Column("summary", sa.JSON, nullable=False),
    sa.UniqueConstraint("study_id", "stack_key", "model", "fingerprint", "revision", "run"),
    sa.Index("ix_jobs_state_due_at", "state", "due_at"),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("stack_id", sa.ForeignKey("stacks.id"), nullable=False, index=True),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("destinations", sa.JSON, nullable=False),
    sa.Column(
        "job_id", sa.ForeignKey("jobs.id"), index=True
    ),  # the job that carries a chosen decision out, perhaps an earlier one
)

result_objects = sa.Table(
    "result_objects",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.ForeignKey("jobs.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("sop_class_uid", UID, nullable=False),
    sa.Column("sop_instance_uid", UID, nullable=False, unique=True),
    sa.Column("series_uid", UID, nullable=False),
    sa.Column("transfer_syntax_uid", UID, nullable=False),
    sa.Column("path", sa.String(512), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("naming", sa.String(8), nullable=False, server_default=""),  # of its series; "": as Overread names them
    sa.Column("removal_id", sa.Integer, index=True),  # by which its file was or is being removed; the row stays
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey("studies.id"), nullable=False, index=True),
    sa.Column("job_id", sa.ForeignKey("jobs.id"), nullable=False),
    sa.Column("object_id", sa.ForeignKey("result_objects.id"), nullable=False),
    sa.Column("destination", sa.String(128), nullable=False),
    sa.Column("state", Word(DeliveryState), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("deliverer", sa.String(128)),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("status", sa.Integer),  # DIMSE status of the last answer (PS3.7 annex C)
    sa.Column("released", sa.Boolean, nullable=False, server_default=sa.false()),  # a person said that it is to be sent as it is
    sa.Column("urgent", sa.Boolean, nullable=False, server_default=sa.false()),  # sent before all that is not
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("lease_until", Moment),
    sa.Column("ended_at", Moment),
    sa.UniqueConstraint("object_id", "destination"),
    sa.Index("ix_deliveries_destination_state_due_at", "destination", "state", "due_at"),
)

proofs = sa.Table(
    "proofs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("delivery_id", sa.ForeignKey("deliveries.id"), nullable=False, unique=True),
    sa.Column("destination", sa.String(128), nullable=False),
    sa.Column("state", Word(ProofState), nullable=False),
    sa.Column("asked_uid", UID, nullable=False),  # Transaction UID of our request to commit; "" where none is open
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("lease_until", Moment),
    sa.Column("accepted_at", Moment),  # when the destination first took the question that is open; null: not yet
    sa.Column("committed_at", Moment),
    sa.Column("found_at", Moment),
    sa.Column("ended_at", Moment),
    sa.Index("ix_proofs_destination_state_due_at", "destination", "state", "due_at"),
    sa.Index("ix_proofs_asked_uid", "asked_uid"),
)

breakers = sa.Table(
    "breakers",
    metadata,
    sa.Column("destination", sa.String(128), primary_key=True),
    sa.Column("since", Moment, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("next_at", Moment, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("study_uid", UID, index=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("times", sa.Integer, nullable=False, server_default="1"),  # how often it came within an hour
    sa.Column("last_at", Moment),
    sa.Index("ix_events_kind_at", "kind", "at"),
)

signals = sa.Table(
    "signals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_uid", UID, index=True),  # no foreign key: scanners speak of studies before they send them; null: not said
    sa.Column("kind", Word(SignalKind), nullable=False),
    sa.Column("uid", sa.String(128), nullable=False),
    sa.Column("source", sa.String(128), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("at", Moment, nullable=False, index=True),
    sa.UniqueConstraint("uid", "kind", "study_uid"),
)

signal_instances = sa.Table(
    "signal_instances",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("signal_id", sa.ForeignKey("signals.id"), nullable=False, index=True),
    sa.Column("series_uid", UID, nullable=False),
    sa.Column("sop_instance_uid", UID, nullable=False, index=True),
)

commitments = sa.Table(
    "commitments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("transaction_uid", UID, nullable=False, index=True),
    sa.Column("requestor", sa.String(16), nullable=False),
    sa.Column("called_ae", sa.String(16), nullable=False),
    sa.Column("policy", sa.String(140), nullable=False),
    sa.Column("association_id", sa.String(64), nullable=False, index=True),
    sa.Column("state", Word(CommitmentState), nullable=False),
    sa.Column("duplicate", sa.Boolean, nullable=False),  # of a transaction UID that stood for something else
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("registrar", sa.String(128)),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("asked_uid", UID, nullable=False),  # of our own request to the archive; empty where none was made
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("lease_until", Moment),
    sa.Column("ended_at", Moment),
    sa.Index("ix_commitments_state_due_at", "state", "due_at"),
)

commitment_items = sa.Table(
    "commitment_items",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("commitment_id", sa.ForeignKey("commitments.id"), nullable=False, index=True),
    sa.Column("sop_class_uid", UID, nullable=False),
    sa.Column("sop_instance_uid", UID, nullable=False, index=True),
    sa.Column("failure", sa.Integer),  # 0: committed; a failure reason (PS3.3 section C.14.1.1); null: not decided
)

asked_commitments = sa.Table(
    "asked_commitments",
    metadata,
    sa.Column("transaction_uid", UID, primary_key=True),
    sa.Column("archive", sa.String(128), nullable=False),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("answered_at", Moment),
    sa.Column("outcome", sa.JSON),
)

fetches = sa.Table(
    "fetches",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_uid", UID, nullable=False),
    sa.Column("what", sa.String(16), nullable=False),  # the study itself, or its priors
    sa.Column("archive", sa.String(128), nullable=False),
    sa.Column("most", sa.Integer, nullable=False),  # priors
    sa.Column("state", Word(FetchState), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("lease_until", Moment),
    sa.Column("ended_at", Moment),
    sa.UniqueConstraint("study_uid", "what", "archive"),
    sa.Index("ix_fetches_state_due_at", "state", "due_at"),
)

priors = sa.Table(
    "priors",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_uid", UID, nullable=False, index=True),
    sa.Column("of_study_uid", UID, nullable=False),
    sa.Column("until", Moment),  # what arrives later is none of the fetch; null while it is fetched
    sa.UniqueConstraint("study_uid", "of_study_uid"),
)
