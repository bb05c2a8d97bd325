"""What is said about a study beside its images: by scanners, archives and whoever asks us to commit. UIDs only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class SignalKind(StrEnum):
    """Who says it, and how."""

    MPPS = "mpps"
    """Modality Performed Procedure Step (PS3.4 annex F): what a scanner made."""
    AVAILABILITY = "availability"
    """Instance Availability Notification (PS3.4 annex R): what an archive has."""
    COMMITMENT = "commitment"
    """A storage commitment request (PS3.4 annex J): what its sender believes to have sent."""
    ARCHIVE = "archive"
    """Our own C-FIND to an archive."""


IN_PROGRESS: Final = "IN PROGRESS"
COMPLETED: Final = "COMPLETED"
DISCONTINUED: Final = "DISCONTINUED"
"""Values of Performed Procedure Step Status (PS3.3 section C.4.14)."""
ANSWERED: Final = "answered"
NO_ANSWER: Final = "no answer"
"""What became of a question to an archive."""

UNKNOWN_SERIES: Final = ""
"""Series of instances that are named without one, as in storage commitment requests."""

Series = Mapping[str, frozenset[str]]
"""SOP Instance UIDs by Series Instance UID."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One message about a study, as it stands now.

    Parameters
    ----------
    uid
        Which message: its SOP Instance UID, Transaction UID, or the name of the archive asked.
    source
        Calling AE title, or the archive's name.
    status
        Of an MPPS and of a question; else empty.
    at
        When it last changed.
    series
        The instances that it names.
    """

    kind: SignalKind
    uid: str
    source: str
    status: str
    at: datetime
    series: Series = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignalView:
    """A signal as a person sees it: how many instances it names, and how many of these are here."""

    kind: SignalKind
    source: str
    status: str
    at: datetime
    named: int
    arrived: int


@dataclass(frozen=True, slots=True)
class Receiving:
    """A study whose images arrive.

    Parameters
    ----------
    since
        When the first image of the revision to come was recorded.
    open_associations
        How many that sent images of it are open.
    evidence
        What was last said about it.
    prior_of
        The study that it was fetched as a prior of; empty where something of it came otherwise.
    """

    study_id: int
    study_uid: str
    calling_ae: str
    arrivals: int
    since: datetime
    last_arrival_at: datetime
    open_associations: int
    evidence: str
    prior_of: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What is here of a study.

    Parameters
    ----------
    series
        Its images, without results of our own.
    ends
        How the associations that sent them ended, and how many.
    """

    series: Series
    ends: Mapping[str, int] = field(default_factory=dict)
