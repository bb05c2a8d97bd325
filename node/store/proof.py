"""Proof that a destination keeps what it was sent: its own commitment (PS3.4 annex J), and that it can be found there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from node.store.commitment import Reference

DESTINATION: Final = "destination:"
"""What stands before a destination's name where the catalog keeps whom we asked to commit."""


@dataclass(frozen=True, slots=True)
class ProofTask:
    """An object that was sent, of which the proof is owned until its lease ends.

    Parameters
    ----------
    asked_uid
        Transaction UID of our request to commit it; empty where none is open.
    committed
        Whether the destination has committed it.
    accepted_at
        When the destination first took the question that is open (its commitment, or whether it is there); None: not yet.
    """

    proof_id: int
    fence: int
    study_uid: str
    series_uid: str
    reference: Reference
    asked_uid: str
    committed: bool
    attempt: int
    accepted_at: datetime | None
