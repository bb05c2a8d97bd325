"""The catalog as its users see it: one narrow port for each of them. `node.store.catalog` implements them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from node.store.commitment import Asked, CommitmentTask, CommitmentView, Outcome, Reference
from node.store.events import NodeEvent
from node.store.proof import ProofTask
from node.store.records import (
    Arrival,
    Association,
    Broken,
    Claim,
    DueStudy,
    FetchTask,
    KeptView,
    OutboxItem,
    QueueView,
    Removable,
    Removal,
    Removed,
    ResultSet,
    StackPlan,
    StoredInstance,
    StudyView,
    Wanted,
)
from node.store.signals import Arrived, Receiving, Series, Signal, SignalKind


class IntakeLog(Protocol):
    """What the listener writes. Calls may come from many threads."""

    def listener_started(self, listener_id: str) -> None:
        """Close what the predecessor of this listener left open: what comes before the slash of its id is the same."""
        ...

    def association_opened(self, association: Association) -> None: ...

    def association_closed(self, association_id: str, how: str) -> None:
        """End an association; `how` is ``released``, ``aborted`` or ``lost``."""
        ...

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Record instances that are in the spool, in one transaction; those already known by path are left as they are.

        An instance that comes again after its file was removed is a new one.

        A new instance that is no result of our own sets its study to receiving.
        """
        ...

    def event(self, kind: str, detail: str, study_uid: str | None = None) -> None:
        """Keep something that a person should see; `detail` holds no patient data."""
        ...

    def tally(self, kind: str, detail: str, count: int) -> None:
        """Keep an event of no study that may come often: the same again within an hour adds to its count."""
        ...

    def known_paths(self, study_uid: str) -> frozenset[str]:
        """Paths of the instances on record for a study; for the start-up scan."""
        ...

    def own_results(self, sop_instance_uids: Sequence[str]) -> frozenset[str]:
        """Which of these this installation made."""
        ...


class Worklist(Protocol):
    """What the dispatcher reads and writes: complete studies become revisions with jobs."""

    def receiving(self) -> Sequence[Receiving]:
        """Studies in state receiving, quiet ones first."""
        ...

    def arrived(self, study_id: int) -> Arrived:
        """What is here of a study."""
        ...

    def waits(self, study: Receiving, evidence: str) -> None:
        """Keep what a study waits for, where no image came since."""
        ...

    def instances(self, study_id: int) -> Sequence[StoredInstance]:
        """The newest version of each instance that is not a result of our own; of those that were removed, the row alone."""
        ...

    def open_revision(self, due: DueStudy, stacks: Sequence[StackPlan]) -> int:
        """Write revision, stacks, decisions and jobs in one transaction; return the revision's number.

        A chosen model whose stack digest and fingerprint are those of an earlier job keeps that job; an earlier job of the
        same model and stack key that has not ended is superseded. Does nothing and returns 0 where an image has arrived since.
        """
        ...

    def due_jobs(self, limit: int) -> Sequence[int]:
        """Ids of jobs that wait for a worker (never enqueued, enqueued long ago, or whose lease has run out), oldest first.

        Marks them as enqueued now, so that the next sweep leaves them alone for a while.
        """
        ...


class Signals(Protocol):
    """What scanners and archives say about studies beside sending images."""

    def say(self, kind: SignalKind, uid: str, source: str, status: str, by_study: Mapping[str | None, Series]) -> None:
        """Keep a message; one of the same kind and UID about the same study takes the place of the earlier.

        Under the key None: instances whose study the message does not name.
        """
        ...

    def status(self, kind: SignalKind, uid: str) -> str | None:
        """The status of a message; None where it was never received."""
        ...

    def change(self, kind: SignalKind, uid: str, status: str, series: Series | None) -> None:
        """Give a message, about whatever studies it is, another status, and other instances where `series` is not None."""
        ...

    def about(self, study_uid: str) -> Sequence[Signal]:
        """All that was said about a study, oldest first."""
        ...

    def newest(self) -> datetime | None:
        """When anything was last said about any study."""
        ...


class Commitments(Protocol):
    """Requests to commit instances (PS3.4 annex J): those made to us, and those that we make."""

    def request(
        self,
        transaction_uid: str,
        *,
        requestor: str,
        called_ae: str,
        policy: str,
        association_id: str,
        references: Sequence[Reference],
    ) -> None:
        """Keep a request; the same one again is reported again, another one of the same UID fails as a duplicate."""
        ...

    def claim(self, registrar: str, lease_s: float) -> CommitmentTask | None:
        """Own a request that is to be decided, or to be reported over an association of ours.

        The latter where the one that it came over has ended, or did not bring the report.
        """
        ...

    def claim_over(self, association_id: str, registrar: str, lease_s: float) -> CommitmentTask | None:
        """Own a report that may go over the association that its request came over."""
        ...

    def unreported(self, association_id: str) -> bool:
        """Whether a request that came over an association waits for its report."""
        ...

    def ask(self, task: CommitmentTask, transaction_uid: str) -> None:
        """Let the report on a request of ours decide a task; that of none where it is empty."""
        ...

    def asking(self, transaction_uid: str, archive: str) -> None:
        """Keep, before it is sent, a request of ours to an archive."""
        ...

    def answered(self, transaction_uid: str, outcome: Outcome) -> bool:
        """Keep an archive's report; False where we never asked."""
        ...

    def asked(self, transaction_uid: str) -> Asked | None:
        """A request of ours, and what came of it."""
        ...

    def here(self, sop_instance_uids: Sequence[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        """SOP class and path, relative to the spool's root, of what is here of these instances."""
        ...

    def decide(self, task: CommitmentTask, outcome: Outcome, *, keep: bool) -> bool:
        """Keep the decision, whose report is due at once; with `keep`, committed instances must still be on record.

        False where the task belongs to somebody else by now, or an instance was removed meanwhile.
        """
        ...

    def reported(self, task: CommitmentTask) -> bool:
        """The requestor took the report."""
        ...

    def retry(self, task: CommitmentTask, reason: str, at: datetime) -> bool:
        """Look at it, or bring it, again then."""
        ...

    def fail(self, task: CommitmentTask, reason: str) -> bool:
        """Give up bringing the report."""
        ...


class Fetches(Protocol):
    """What is to be fetched from archives."""

    def want(self, study_uid: str, what: Wanted, archive: str, most: int = 0) -> None:
        """Wish for the rest of a study or for its priors; a wish that was made before is not made again."""
        ...

    def claim(self, lease_s: float) -> FetchTask | None:
        """Own a fetch that is due."""
        ...

    def done(self, task: FetchTask, said: str) -> bool: ...

    def retry(self, task: FetchTask, reason: str, at: datetime) -> bool: ...

    def fail(self, task: FetchTask, reason: str) -> bool: ...

    def mark_prior(self, study_uid: str, of_study_uid: str) -> bool:
        """Say, before it is fetched, that a study is a prior, and not read for its own sake; False where it is here already."""
        ...

    def fetched_prior(self, study_uid: str) -> None:
        """Say that the fetch of a prior has ended: what comes from now on is read."""
        ...

    def read_after_all(self, study_uid: str) -> bool:
        """Have a study read that was fetched as a prior; False where it was not."""
        ...

    def any_image(self, study_uid: str) -> str | None:
        """Path, relative to the spool's root, of one image of a study; None where none is here."""
        ...


class JobDesk(Protocol):
    """The workers' port."""

    def claim(self, job_id: int, worker: str, lease_s: float) -> Claim | None:
        """Own a due job until `lease_s` from now; None where it is not due any more."""
        ...

    def heartbeat(self, claim: Claim, lease_s: float) -> bool:
        """Prolong the lease; False where it was lost."""
        ...

    def publish(self, claim: Claim, results: ResultSet) -> bool:
        """Publish by compare-and-set on the fence and write one delivery per object and destination; False where it was lost."""
        ...

    def refuse(self, claim: Claim, reason: str, code: str) -> bool:
        """End the job as refused."""
        ...

    def fail(self, claim: Claim, reason: str, retry_in_s: float | None) -> bool:
        """End the job as failed, or, with `retry_in_s`, make it due again then."""
        ...


class Outbox(Protocol):
    """The deliverers' port."""

    def claim(self, destination: str, deliverer: str, lease_s: float, limit: int) -> Sequence[OutboxItem]:
        """Own deliveries to one destination that are due now, objects of one job together.

        Urgent ones are claimed first and alone; else what was tried less comes first.
        """
        ...

    def urgent_waits(self, destination: str) -> bool:
        """Whether something urgent is due for a destination."""
        ...

    def heartbeat(self, items: Sequence[OutboxItem], lease_s: float) -> None: ...

    def stored(self, item: OutboxItem, status: int, note: str = "") -> bool:
        """The peer answered success or a warning for it; the note says how it was sent, where a person should know."""
        ...

    def retry(self, item: OutboxItem, reason: str, at: datetime) -> bool: ...

    def put_back(self, item: OutboxItem, reason: str) -> bool:
        """Leave it due as if it had never been claimed, for it was not tried."""
        ...

    def fail(self, item: OutboxItem, reason: str, *, refused: bool = False) -> bool:
        """Give it up; where it was refused for good, what goes in its place is due."""
        ...

    def hold(self, item: OutboxItem, reason: str) -> bool:
        """Keep it back until a person has looked."""
        ...

    def waiting(self) -> dict[str, int]:
        """How many deliveries wait, by destination."""
        ...

    def send_again(self, study_uid: str, *, release: bool = False) -> int:
        """Make deliveries of a study due again that failed, were held or that the destination does not keep; returns how many.

        With `release` only those that were held, and whatever the destination calls the patient.
        """
        ...


class Breakers(Protocol):
    """Which destinations are down."""

    def open(self, destination: str, broken: Broken) -> None:
        """It is down."""
        ...

    def close(self, destination: str) -> None:
        """It answers again."""
        ...

    def all(self) -> Mapping[str, Broken]:
        """Destinations that are down, by name."""
        ...


class Proofs(Protocol):
    """The provers' port: whether destinations keep what they were sent."""

    def claim(self, destination: str, lease_s: float, limit: int) -> Sequence[ProofTask]:
        """Own proofs that are due, of objects that were sent to one destination, oldest first."""
        ...

    def ask(self, tasks: Sequence[ProofTask], transaction_uid: str) -> None:
        """Let the report on one request of ours prove these; none where it is empty."""
        ...

    def accepted(self, tasks: Sequence[ProofTask]) -> None:
        """The destination took the question: what it has not yet it may have a while from now."""
        ...

    def committed(self, task: ProofTask, *, ends: bool) -> bool:
        """The destination has committed it; with `ends` no more is asked, else it is looked for at once."""
        ...

    def found(self, task: ProofTask) -> bool:
        """It was found there."""
        ...

    def retry(self, task: ProofTask, reason: str, at: datetime) -> bool: ...

    def fail(self, task: ProofTask, reason: str) -> bool: ...


class Removals(Protocol):
    """Retention's port: rows stay, files go."""

    def removable(self, what: Removed, settled_before: datetime, failed_before: datetime, limit: int) -> Sequence[Removable]:
        """Studies of which no reason keeps these files, oldest first.

        Parameters
        ----------
        settled_before
            Their last image, answer and delivery are older than this.
        failed_before
            Those with a failed job or delivery are as old as this.
        """
        ...

    def begin(self, removable: Removable, why: str, settled_before: datetime, failed_before: datetime) -> Removal | None:
        """Count these files as gone from now on; None where something has come to need one of them, or others came."""
        ...

    def finish(self, removal: Removal) -> None:
        """All its files are gone: write that down, and make their places free for the same instances to come again."""
        ...

    def unfinished(self) -> Sequence[Removal]:
        """Removals that a process which died has left half done."""
        ...


class Views(Protocol):
    """What the page and the command line read."""

    def kept(self) -> KeptView:
        """What retention has removed so far, and the oldest study of which originals are here."""
        ...

    def studies(self, limit: int = 100, offset: int = 0) -> Sequence[StudyView]:
        """Newest first, with jobs and deliveries, without decisions and events."""
        ...

    def study(self, study_uid: str) -> StudyView | None: ...

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by state, by what they are: studies, jobs, deliveries, commitments; for the metrics."""
        ...

    def queues(self) -> Mapping[str, QueueView]:
        """How it stands with what was made for each destination, by its name; none for one that never was sent anything."""
        ...

    def commitments(self, limit: int = 100) -> Sequence[CommitmentView]:
        """Storage commitment requests: those that wait, those that could not be reported, the others; newest first."""
        ...

    def asked(self) -> dict[tuple[str, bool], int]:
        """Our own requests to commit, by archive and whether it has reported; for the metrics."""
        ...

    def said(self) -> dict[str, int]:
        """Messages about studies beside their images, by `node.store.signals.SignalKind`; for the metrics."""
        ...

    def node_events(self, since: datetime, limit: int = 100) -> Sequence[NodeEvent]:
        """Events of no study that came since then, those that came last first: objects refused, peers turned away."""
        ...

    def rejected(self) -> dict[str, int]:
        """How often something was turned away, by kind (`node.store.events.Rejection`); for the metrics."""
        ...
