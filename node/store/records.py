"""What the catalog hands out and takes in: plain values, free of SQL and of DICOM objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from node.store.commitment import CommitmentView
from node.store.signals import SignalView
from node.store.states import DeliveryState, JobState, StudyState

Facts = dict[str, Any]
"""JSON values that describe a stack (see `node.routing.facts`); UIDs and technique, no patient data."""


@dataclass(frozen=True, slots=True)
class Association:
    """An association over which images may arrive.

    Parameters
    ----------
    association_id
        Made by the listener, unique over restarts (a UUID).
    listener_id
        The listener process's own id (a UUID made at start); what it left open is closed when the next one starts.
    """

    association_id: str
    listener_id: str
    calling_ae: str
    called_ae: str
    peer_host: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """One instance that is durably in the spool.

    Parameters
    ----------
    path
        Relative to the spool's root.
    version
        1 for the first bytes received under this SOP Instance UID, 2 for the next different ones.
    own_result
        Made by this or another Overread, or derived from what it made: stored, never analysed, never reopens a study.
    association_id
        Over which it came; None when a start-up scan found it.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    path: str
    version: int
    size_bytes: int
    calling_ae: str
    called_ae: str
    received_at: datetime
    own_result: bool
    association_id: str | None = None
    fresh: bool = True
    """Its file is new in the spool; False where the same bytes were there already."""


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """A row of the catalog's instances: `Arrival` with its id."""

    instance_id: int
    arrival: Arrival
    removed_at: datetime | None = None
    """When its file was removed by retention; it cannot be read then."""


class Outcome(StrEnum):
    """What routing decided for one stack and one model."""

    CHOSEN = "chosen"
    NOT_CHOSEN = "not chosen"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a model reads, or does not read, a stack.

    Parameters
    ----------
    model
        Name of the model; ``""`` where the stack is refused as a whole (no pixel data, say) or matched no route.
    fingerprint
        `models.manifest.Manifest.fingerprint`; ``""`` where not chosen.
    route
        Name of the route that matched, or ``"default"`` for the model's own input selection.
    reason
        A sentence for a person.
    destinations
        Names of the destinations of the result; empty where not chosen.
    """

    model: str
    outcome: Outcome
    reason: str
    route: str = "default"
    fingerprint: str = ""
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StackPlan:
    """One stack of a complete study, and what was decided for it.

    Parameters
    ----------
    key
        Unique in its study and the same whenever the same images are split again, e.g. ``"SERIES-UID#2"``.
    instance_ids
        In slice order.
    digest
        SHA-256, hexadecimal, over pixels and geometry of its instances in order; a job runs again only if this changes.
    """

    key: str
    series_uid: str
    description: str
    instance_ids: tuple[int, ...]
    digest: str
    facts: Facts
    decisions: tuple[Decision, ...]
    stands: bool = False
    """Retention has removed images of it: what was read of its series before still holds."""


@dataclass(frozen=True, slots=True)
class Removable:
    """Files of one study that nothing needs any more.

    Parameters
    ----------
    what
        ``originals``, which were received, or ``results``, which were made.
    files
        By the id of the row of an instance or a result object.
    """

    study_id: int
    study_uid: str
    what: Removed
    files: Mapping[int, RemovableFile]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files.values())


class Removed(StrEnum):
    """What retention removes."""

    ORIGINALS = "originals"
    RESULTS = "results"


@dataclass(frozen=True, slots=True)
class RemovableFile:
    """A file in the spool.

    Parameters
    ----------
    path
        Relative to the spool's root.
    sha256
        Hexadecimal, over transfer syntax and data set of an instance; ``""`` before it was taken.
    """

    path: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal that has begun: the catalog counts its files as gone, and each may be there or not."""

    removal_id: int
    removable: Removable


@dataclass(frozen=True, slots=True)
class KeptView:
    """How much retention has removed, and how old the oldest study is whose images are here."""

    removed_studies: int
    removed_files: int
    removed_bytes: int
    last_removed_at: datetime | None
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueStudy:
    """A study that is complete and waits for its stacks to be split and routed."""

    study_id: int
    study_uid: str
    last_arrival_at: datetime
    evidence: str
    """Why it counts as complete, for a person."""
    arrivals: int = 0
    """How many images have arrived, versions included; a plan made for fewer is out of date."""
    incomplete: bool = False
    """It is read as it stands, though something says that more is to come."""
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What its results must say of that, by Series Instance UID; under the empty one for all series."""
    prior_of: str = ""
    """The study that it was fetched as a prior of: it is stored and not read."""


class Wanted(StrEnum):
    """What is fetched from an archive."""

    STUDY = "study"  # the rest of the study itself
    PRIORS = "priors"  # earlier studies of the same patient


@dataclass(frozen=True, slots=True)
class FetchTask:
    """A fetch that is owned until its lease ends; `most` priors, newest first."""

    fetch_id: int
    fence: int
    study_uid: str
    what: Wanted
    archive: str
    most: int
    attempt: int


@dataclass(frozen=True, slots=True)
class SupersededObject:
    """An object of earlier results."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    naming: str = ""


@dataclass(frozen=True, slots=True)
class Superseded:
    """The newest published results of the same model for the same stack, from an earlier revision or run."""

    revision: int
    run: int
    fingerprint: str
    objects: tuple[SupersededObject, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker owns until its lease ends.

    Parameters
    ----------
    fence
        Fencing token: publishing, refusing and failing compare it and do nothing when it has moved on.
    instance_paths
        Absolute paths of the stack's instances, in slice order.
    revision
        Number of the study's revision, from 1.
    run
        Number of the analysis of the same revision, from 1 (raised by "analyse again").
    created_at
        When the job was made; the content date and time of all its results, so that encoding again gives the same bytes.
    """

    job_id: int
    fence: int
    study_uid: str
    series_uid: str
    stack_key: str
    facts: Facts
    model: str
    fingerprint: str
    instance_paths: tuple[str, ...]
    revision: int
    run: int
    attempt: int
    created_at: datetime
    installation: str
    """UUID of this installation; one of the roots of every UID that it makes."""
    superseded: Superseded | None = None
    """What this job's results replace."""


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One DICOM object that was made, in the spool.

    Parameters
    ----------
    kind
        ``seg``, ``measurements``, ``report`` …
    path
        Relative to the spool's root.
    naming
        `node.store.naming.SeriesNaming.key` of its series.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    transfer_syntax_uid: str
    path: str
    sha256: str
    size_bytes: int
    naming: str = ""


@dataclass(frozen=True, slots=True)
class ResultSet:
    """All that one job made, published together or not at all.

    Parameters
    ----------
    summary
        What a person reads in a table, as JSON values: ``{"findings": [{"key", "name", "probability", "verdict", "raised",
        "calibration"}], "measurements": [{"name", "quantity", "value", "unit"}], "notes": [...]}``; no patient data.
    """

    objects: tuple[ResultObject, ...]
    summary: Facts


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One object for one destination, claimed for sending.

    Parameters
    ----------
    path
        Absolute.
    fence
        Fencing token of the delivery's lease.
    released
        Whether a person said that it is to be sent whatever the destination calls the patient.
    urgent
        Whether it goes before all that is not.
    """

    delivery_id: int
    fence: int
    destination: str
    study_uid: str
    result: ResultObject
    path: str
    attempt: int
    released: bool = False
    job_id: int = 0
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """A destination that is down.

    Parameters
    ----------
    since
        When that was noticed.
    failures
        Tries in a row that came to nothing.
    next_at
        When it is tried again.
    reason
        Of the last one.
    """

    since: datetime
    failures: int
    next_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class QueueView:
    """What waits for a destination, and what came to no good end there.

    Parameters
    ----------
    waiting
        Deliveries that are due, wait for their next try or are being sent.
    oldest_at
        Since when the one that waits longest does; None where none waits.
    failed, held
        Deliveries that a person has to look at.
    unproven_yet, unproven
        Of what was sent: what it has not proven yet that it keeps, and what it did not prove.
    """

    waiting: int = 0
    oldest_at: datetime | None = None
    failed: int = 0
    held: int = 0
    unproven_yet: int = 0
    unproven: int = 0


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as a person sees it."""

    job_id: int
    model: str
    stack: str
    series_uid: str
    state: JobState
    reason: str
    revision: int
    attempt: int
    summary: Facts
    objects: tuple[ResultObject, ...]


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery as a person sees it."""

    delivery_id: int
    job_id: int
    destination: str
    kind: str
    sop_instance_uid: str
    state: DeliveryState
    attempt: int
    reason: str
    next_at: datetime | None
    proof: str = ""
    """What the destination has proven since: ``committed``, ``found``, ``not proven`` or ``not proven yet``; empty: not asked."""
    proof_reason: str = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class DecisionView:
    """A routing decision as a person sees it."""

    revision: int
    stack: str
    series_uid: str
    description: str
    slices: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class StudyView:
    """A study as a person sees it; `evidence` says why it was taken as complete."""

    study_uid: str
    state: StudyState
    revision: int
    instances: int
    series: int
    modalities: tuple[str, ...]
    calling_ae: str
    first_arrival_at: datetime
    last_arrival_at: datetime
    evidence: str
    jobs: tuple[JobView, ...] = ()
    deliveries: tuple[DeliveryView, ...] = ()
    decisions: tuple[DecisionView, ...] = ()
    events: tuple[tuple[datetime, str, str], ...] = ()
    """``(at, kind, detail)``, oldest first."""
    incomplete: bool = False
    """Its newest revision was read though something said that more was to come."""
    signals: tuple[SignalView, ...] = ()
    """What was said about it beside its images, oldest first."""
    commitments: tuple[CommitmentView, ...] = ()
    """Storage commitment requests that name images of it, newest first."""
    originals_removed_at: datetime | None = None
    """When retention last removed received images of it."""
    results_removed_at: datetime | None = None
    """When retention last removed result objects of it."""
