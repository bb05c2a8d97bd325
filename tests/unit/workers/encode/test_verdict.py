from __future__ import annotations

import pytest

from models.labels import Finding
from tests.unit.workers.encode.samples import FINDINGS
from workers.encode.verdict import in_words, verdict

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
