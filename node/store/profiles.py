"""Which kinds of result object each sort of destination is sent, by name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

ResultKind = Literal["seg", "measurements", "report", "capture", "keys", "presentation", "findings", "heatmap", "rejection"]
"""``seg``: Segmentation; ``measurements``: TID 1500; ``report``: readable text; ``capture``: pictures with the answer burned in;
``keys``: selection of key images; ``presentation``: outlines as graphics of a presentation state;
``findings``: TID 1500 with coordinates, a measurement a place; ``heatmap``: Parametric Map;
``rejection``: notes that reject what a later revision replaces."""

SegType = Literal["binary", "whole-bytes", "labelmap"]
"""How segmentations are written: ``binary``, a frame of bits a structure and slice; ``whole-bytes``, the same with a byte a pixel
where BINARY frames are such that viewers lose their way in them; ``labelmap``, the structures of a slice in one frame."""

WRITTEN_AS: Final[dict[SegType, dict[ResultKind, str]]] = {
    "binary": {},
    "whole-bytes": {"seg": "fractional", "measurements": "fractional-measurements"},
    "labelmap": {"seg": "labelmap", "measurements": "labelmap-measurements"},
}
"""Kinds of object that a destination gets in place of others: reports refer to the segmentation that it has."""


def rejected(kind: str) -> str:
    """The kind of object that rejects earlier objects of a kind: a destination is told only of what it was sent."""
    return f"rejected-{kind}"


Profile = Literal["standard", "ohif", "orthanc", "dcm4chee", "any-pacs", "air", "research"]

PROFILES: Final[dict[Profile, tuple[ResultKind, ...]]] = {
    "standard": ("seg", "measurements", "report"),
    "ohif": ("seg", "findings", "report", "capture"),
    "orthanc": ("seg", "measurements", "findings", "report"),
    "dcm4chee": ("seg", "measurements", "findings", "report", "keys", "presentation", "rejection"),
    "any-pacs": ("capture", "report"),
    "air": ("seg", "measurements", "findings", "heatmap", "keys"),
    "research": ("seg", "measurements", "findings", "report", "capture", "heatmap", "keys", "presentation"),
}
"""OHIF shows nothing of a TID 1500 report whose groups carry no coordinates, nor key objects. ``any-pacs`` is for archives and
viewers that know images and text only. ``air`` is what the IHE profile AI Results lets a result be."""

INSTEAD: Final[dict[Profile, dict[ResultKind, ResultKind]]] = {
    "dcm4chee": {"seg": "capture"},
    "air": {"seg": "capture"},
}
"""By profile: what is sent in place of a kind that the destination refuses for good. It is made whether it is needed or not."""

SEG_TYPES: Final[dict[Profile, SegType]] = {"ohif": "whole-bytes", "orthanc": "whole-bytes"}
"""By profile: how segmentations are written for it, where that is not ``binary``."""

Language = Literal["en", "de", "es", "fr"]
"""RFC 5646 codes of the languages that texts for people are written in."""

LANGUAGES: Final[dict[Language, str]] = {"en": "English", "de": "German", "es": "Spanish", "fr": "French"}
"""Code meanings of the codes of RFC 5646 that PS3.16 CID 5000 is made of."""

ENGLISH: Final[Language] = "en"

MESSAGES: Final = frozenset({"hl7", "fhir"})
"""Kinds that are no DICOM objects, for destinations of their own (`node.store.destinations`)."""

SPOKEN: Final = MESSAGES | {"report", "capture", "keys", "presentation"}
"""Kinds that hold texts for people; all else is codes and numbers, with the English names of the standard."""


def in_language(kind: str, language: str) -> str:
    """A kind as the catalog has it: ``report`` in English, ``report.de`` in German; what holds no text has no language."""
    return kind if language == ENGLISH or kind not in SPOKEN else f"{kind}.{language}"


def language_of(kind: str) -> Language:
    """The language of a kind as the catalog has it."""
    stated = kind.partition(".")[2]
    return next((language for language in LANGUAGES if language == stated), ENGLISH)


def usual(kind: str) -> str:
    """The kind that stands for one that was not made: English for another language, BINARY for other segmentations."""
    plain = kind.partition(".")[0]
    for others in WRITTEN_AS.values():
        for common, special in others.items():
            if plain in (special, rejected(special)):
                return common if plain == special else rejected(common)
    return plain


def taken(wanted: Collection[str], made: Collection[str]) -> frozenset[str]:
    """Which kinds of those made a destination takes: the usual where its own was not made, e.g. before that was set."""
    return frozenset(kind if kind in made else usual(kind) for kind in wanted)
