"""Storage commitment (PS3.4 annex J) as the catalog keeps it: who asked for what, and what became of each instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from node.store.states import CommitmentState


class Failure(IntEnum):
    """Values of Failure Reason (0008,1197) (PS3.3 section C.14.1.1), and 0 for what is committed."""

    NONE = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_CONFLICT = 0x0119
    CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION = 0x0131
    RESOURCE_LIMITATION = 0x0213


COMMITTED: Final = int(Failure.NONE)
NODE: Final = "node"
"""Policy: this node is the archive."""
ARCHIVE: Final = "archive:"
"""Policy: the archive of the name that follows decides."""

Outcome = Mapping[str, int]
"""`COMMITTED` or a failure reason, by SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance, as requests name it."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentTask:
    """A request to commit that is owned until its lease ends: to be decided, or to be reported.

    Parameters
    ----------
    requestor
        Calling AE title of the request; the report goes there.
    called_ae
        The AE title that it called us by.
    policy
        `NODE`, or `ARCHIVE` with a name.
    references
        What it names, in its order.
    outcome
        What is decided so far.
    asked_uid
        Transaction UID of our own request to the archive; empty where none was made.
    """

    commitment_id: int
    fence: int
    state: CommitmentState
    transaction_uid: str
    requestor: str
    called_ae: str
    policy: str
    references: tuple[Reference, ...]
    outcome: Outcome
    attempt: int
    created_at: datetime
    asked_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentView:
    """A request to commit as a person sees it.

    Parameters
    ----------
    policy
        `NODE`, or `ARCHIVE` with a name.
    named, committed, failed
        Instances: all, those decided as committed, and those reported as failed.
    reason
        Why it waits, or why its report could not be brought.
    next_at
        When it is looked at next; None where nothing is left to do.
    """

    at: datetime
    requestor: str
    transaction_uid: str
    policy: str
    state: CommitmentState
    named: int
    committed: int
    failed: int
    attempt: int
    reason: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to commit that we made; `outcome` is None until it is answered."""

    transaction_uid: str
    archive: str
    asked_at: datetime
    outcome: Outcome | None
