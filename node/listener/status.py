"""One table from what went wrong to the status that the sender gets (PS3.4 section B.2.3, PS3.7 annex C)."""

from __future__ import annotations

from typing import Final

from node.store.errors import NotUnderstood, OverreadError, StorageFull
from node.store.spool import StorageFailed

SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
INVALID_INSTANCE: Final = 0x0117
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
UNRECOGNISED_OPERATION: Final = 0x0211
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000


class InvalidInstanceUid(NotUnderstood):
    """The SOP Instance UID breaks the rules for UIDs."""


class NotStorage(NotUnderstood):
    """A C-STORE on a presentation context that is not for storage."""


class IdentityMismatch(NotUnderstood):
    """Command and data set name different objects, or the data set does not say what every object must."""


STATUS: Final[tuple[tuple[type[OverreadError], int], ...]] = (
    (StorageFull, OUT_OF_RESOURCES),
    (StorageFailed, OUT_OF_RESOURCES),  # senders try again after A700, and give up after most others
    (InvalidInstanceUid, INVALID_INSTANCE),
    (NotStorage, SOP_CLASS_NOT_SUPPORTED),
    (IdentityMismatch, DOES_NOT_MATCH),
    (NotUnderstood, CANNOT_UNDERSTAND),
    (OverreadError, PROCESSING_FAILURE),
)
"""The first row that fits decides."""


def status_of(fault: OverreadError) -> int:
    """The status that answers a C-STORE which ended in `fault`."""
    return next(status for kind, status in STATUS if isinstance(fault, kind))
