"""Objects that accompany images: they say something of them, are never read, and never extend or reopen a study."""

from __future__ import annotations

from typing import Final

COMPANIONS: Final = (
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports, key object selections, dose reports
    "1.2.840.10008.5.1.4.1.1.66.4",  # segmentation
    "1.2.840.10008.5.1.4.1.1.66.5",  # surface segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # label map segmentation
    "1.2.840.10008.5.1.4.1.1.104.",  # encapsulated documents
)
"""How SOP Class UIDs of such objects begin (PS3.4 section B.5)."""


def is_companion(sop_class_uid: str) -> bool:
    """Whether objects of that SOP class accompany images."""
    return any(
        sop_class_uid == beginning or (beginning.endswith(".") and sop_class_uid.startswith(beginning))
        for beginning in COMPANIONS
    )
