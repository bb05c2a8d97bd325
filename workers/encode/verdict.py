"""A probability in words: present, absent or unsure, and how likely."""

from __future__ import annotations

from enum import StrEnum

from models.labels import Finding


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


def in_words(probability: float) -> str:
    """How likely, as a radiologist would say it."""
    for bound, words in ((0.05, "very unlikely"), (0.35, "unlikely"), (0.65, "may or may not be there"), (0.95, "likely")):
        if probability < bound:
            return words
    return "very likely"
