"""A probability in words: present, absent or unsure, and how likely."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from models.labels import Finding
from models.manifest import Manifest
from models.prediction import Rating
from workers.encode.language import message


class Verdict(StrEnum):
    """What is reported of a finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNSURE = "unsure"


WORDS: Final = {
    Verdict.PRESENT: message("present"),
    Verdict.ABSENT: message("absent"),
    Verdict.UNSURE: message("unsure"),
}
ORDER: Final = {
    Verdict.PRESENT: message("the likeliest"),
    Verdict.ABSENT: message("less likely"),
    Verdict.UNSURE: message("not excluded"),
}
"""Where findings exclude one another."""
LIKELY: Final = (
    (0.05, message("very unlikely")),
    (0.35, message("unlikely")),
    (0.65, message("may or may not be there")),
    (0.95, message("likely")),
)
CERTAIN: Final = message("very likely")


def verdict(finding: Finding, probability: float) -> Verdict:
    """Unsure between the manifest's two bounds (both included), else present from the threshold on."""
    if finding.unsure and finding.unsure[0] <= probability <= finding.unsure[1]:
        return Verdict.UNSURE
    return Verdict.PRESENT if probability >= finding.threshold else Verdict.ABSENT


def answers(manifest: Manifest, ratings: Sequence[Rating]) -> dict[str, Verdict]:
    """What is reported of each rated finding, by its key.

    Where the findings exclude one another the likeliest is present and the others are absent, but for one that reaches its
    threshold all the same: that is unsure, so that nobody takes a melanoma that came second for excluded.
    """
    each = {rating.key: verdict(manifest.finding(rating.key), rating.probability) for rating in ratings}
    if not manifest.one_of or not ratings:
        return each
    first = max(ratings, key=lambda rating: rating.probability).key
    return {
        key: Verdict.PRESENT if key == first else Verdict.ABSENT if one is Verdict.ABSENT else Verdict.UNSURE
        for key, one in each.items()
    }


def raised(manifest: Manifest, ratings: Sequence[Rating]) -> list[str]:
    """Keys of the findings that are reported as present, or whose probability reaches the threshold at which they would be.

    The second are those of which the report says that they are unsure, or not excluded: they may be urgent all the same.
    """
    said = answers(manifest, ratings)
    return [
        one.key for one in ratings if said[one.key] is Verdict.PRESENT or one.probability >= manifest.finding(one.key).threshold
    ]


def in_words(probability: float) -> str:
    """How likely, as a radiologist would say it."""
    return next((words for bound, words in LIKELY if probability < bound), CERTAIN)
