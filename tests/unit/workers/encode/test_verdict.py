from __future__ import annotations

import pytest

from models.labels import Finding
from models.prediction import Rating
from tests.unit.workers.encode.samples import FINDINGS, manifest
from workers.encode.verdict import answers, in_words, verdict

WITH_DOUBT = Finding.model_validate(FINDINGS[0])
WITHOUT = WITH_DOUBT.model_copy(update={"unsure": None})


@pytest.mark.parametrize(
    ("finding", "probability", "expected"),
    [
        (WITH_DOUBT, 0.39, "absent"),
        (WITH_DOUBT, 0.4, "unsure"),
        (WITH_DOUBT, 0.5, "unsure"),
        (WITH_DOUBT, 0.6, "unsure"),
        (WITH_DOUBT, 0.61, "present"),
        (WITHOUT, 0.499, "absent"),
        (WITHOUT, 0.5, "present"),
    ],
)
def test_a_probability_becomes_a_verdict(finding: Finding, probability: float, expected: str) -> None:
    assert verdict(finding, probability) == expected


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.01, "very unlikely"), (0.2, "unlikely"), (0.5, "may or may not be there"), (0.8, "likely"), (1.0, "very likely")],
)
def test_a_probability_is_said_in_words(probability: float, expected: str) -> None:
    assert in_words(probability) == expected


def test_one_of_several_findings_is_the_answer_and_none_that_reaches_its_threshold_is_excluded() -> None:
    named = [{**FINDINGS[0], "key": key, "threshold": 0.25, "unsure": None} for key in ("naevus", "melanoma", "cyst")]
    ratings = tuple(Rating(key, value) for key, value in (("naevus", 0.6), ("melanoma", 0.3), ("cyst", 0.1)))
    told = answers(manifest(structures=[], findings=named, one_of=True), ratings)
    assert told == {"naevus": "present", "melanoma": "unsure", "cyst": "absent"}
    assert answers(manifest(structures=[], findings=named), ratings) == {
        "naevus": "present",
        "melanoma": "present",
        "cyst": "absent",
    }


def test_the_likeliest_is_the_answer_also_below_its_threshold() -> None:
    named = [{**FINDINGS[0], "key": key, "threshold": 0.5, "unsure": None} for key in ("naevus", "melanoma", "cyst")]
    ratings = tuple(Rating(key, value) for key, value in (("naevus", 0.4), ("melanoma", 0.35), ("cyst", 0.25)))
    told = answers(manifest(structures=[], findings=named, one_of=True), ratings)
    assert told == {"naevus": "present", "melanoma": "absent", "cyst": "absent"}
