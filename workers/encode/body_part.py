"""Body part and side of a series (PS3.3 section C.7.3.1), for objects whose modules ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset

UNPAIRED: Final = frozenset(
    {"ABDOMEN", "BRAIN", "CHEST", "HEAD", "HEART", "NECK", "PELVIS", "SKULL", "CSPINE", "TSPINE", "LSPINE"}
)
"""Body parts that have no side, in the standard's terms (PS3.16 annex L)."""


def put_body_part(target: Dataset, sources: Sequence[Dataset]) -> None:
    """Name the body part where it has no side, else the side that all sources state.

    Where they state none Laterality is left empty: nobody can tell whether it is missing.
    """
    part = str(sources[0].get("BodyPartExamined") or "")
    sides = {str(source.get("ImageLaterality") or source.get("Laterality") or "") for source in sources}
    if part in UNPAIRED:
        target.BodyPartExamined = part
    else:
        target.Laterality = next(iter(sides)) if sides in ({"L"}, {"R"}) else None
