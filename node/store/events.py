"""Events that concern the node and no study: what was turned away at its door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Rejection(StrEnum):
    """Kinds of event that tell of something turned away."""

    ASSOCIATION = "association rejected"
    CONTEXT = "context rejected"
    CONNECTION = "connection refused"
    ABORTED = "association aborted"
    OBJECT = "object refused"


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """An event of no study.

    Parameters
    ----------
    first_at, last_at
        When it came first and last; the same again within an hour is the same event.
    detail
        For a person: who, why, what to change; without patient data.
    count
        How often it came.
    """

    first_at: datetime
    last_at: datetime
    kind: str
    detail: str
    count: int
