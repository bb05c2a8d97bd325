"""Which of the four standard mammograms an image is."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset

from node.store.attributes import item, items, number, text

STANDARD_VIEWS: Final = ("L-CC", "R-CC", "L-MLO", "R-MLO")
"""Side (Image Laterality) and view of a screening examination."""
FOUR_VIEWS: Final = "four standard views"
"""Name of the group that the four make together."""

_VIEWS: Final = {
    **dict.fromkeys(("399162004", "R-10242", "CC"), "CC"),
    **dict.fromkeys(("399368009", "R-10226", "MLO"), "MLO"),
}
"""CID 4014, SNOMED CT and the SNOMED-RT codes that older equipment writes; View Position where there is no code."""
_HARMLESS: Final = frozenset({"442581004"})
"""CID 4015: nipple in profile."""


def standard_view(dataset: Dataset) -> str:
    """``L-CC``, ``R-CC``, ``L-MLO`` or ``R-MLO`` (PS3.3 sections C.8.11.7, C.8.11.8); ``""`` for every other image.

    Spot compression, magnification, a displaced implant and the other modifiers of CID 4015 make another view of it, and so does
    a Partial View.
    """
    if text(dataset, "Modality").upper() != "MG" or (number(dataset, "NumberOfFrames") or 1) > 1:
        return ""
    if text(dataset, "PartialView").upper() == "YES":
        return ""
    side = (text(dataset, "ImageLaterality") or text(dataset, "Laterality")).upper()
    code = item(dataset, "ViewCodeSequence")
    view = _VIEWS.get(text(code, "CodeValue") if code is not None else text(dataset, "ViewPosition").upper(), "")
    modifiers = {text(one, "CodeValue") for one in items(code, "ViewModifierCodeSequence")}
    if side not in {"L", "R"} or not view or modifiers - _HARMLESS:
        return ""
    return f"{side}-{view}"
