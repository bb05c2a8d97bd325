"""A probability in words: present, absent or unsure, and how likely."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from models.labels import Finding
from models.manifest import Manifest
from models.prediction import Rating


class Verdict(StrEnum):
    """What is reported of a finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNSURE = "unsure"


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


def in_words(probability: float) -> str:
    """How likely, as a radiologist would say it."""
    for bound, words in ((0.05, "very unlikely"), (0.35, "unlikely"), (0.65, "may or may not be there"), (0.95, "likely")):
        if probability < bound:
            return words
    return "very likely"
