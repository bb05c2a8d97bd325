"""Body part and side of a series (PS3.3 section C.7.3.1), for objects whose modules ask for them."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset

UNPAIRED: Final = frozenset(
    {"ABDOMEN", "BRAIN", "CHEST", "HEAD", "HEART", "NECK", "PELVIS", "SKULL", "CSPINE", "TSPINE", "LSPINE"}
)
"""Body parts that have no side, in the standard's terms (PS3.16 annex L)."""


def put_body_part(target: Dataset, source: Dataset) -> None:
    """Name the source's body part where it has no side, else leave Laterality empty: nobody can tell whether it is missing."""
    part = str(source.get("BodyPartExamined") or "")
    if part in UNPAIRED:
        target.BodyPartExamined = part
    else:
        target.Laterality = None
