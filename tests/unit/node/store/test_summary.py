from __future__ import annotations

import pytest

from node.store.summary import measurements_in_words, number, percent, summary_in_words


@pytest.mark.parametrize(
    ("value", "words"), [(2310.44, "2310"), (99.96, "100"), (12.345, "12.3"), (0.01234, "0.0123"), (7, "7"), (0, "0"), ("?", "?")]
)
def test_number(value: object, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.9312, "93 %"), (0.9999, "over 99 %"), (1.0, "over 99 %"), (0.004, "under 1 %"), (0.0, "under 1 %")],
)
def test_nothing_is_certain(probability: float, words: str) -> None:
    assert percent(probability) == words


def test_figures_of_one_structure_are_one_line() -> None:
    body = [
        {"name": "Body", "quantity": "area", "value": 57353.2, "unit": "mm2"},
        {"name": "Bone", "quantity": "area", "value": 2.0},
    ]
    body += [{"name": "Body", "quantity": "mean", "value": 3.791, "unit": "HU"}]
    body += [{"name": "Body", "quantity": "maximum", "value": 900, "unit": "HU"}]
    assert measurements_in_words(body) == ["Body: area 57353 mm2, mean 3.79 HU", "Bone: area 2"]


def test_a_summary_is_findings_measurements_and_notes() -> None:
    finding = {"name": "Pneumonia", "verdict": "present", "probability": 0.93}
    lung = {"name": "Right lung", "quantity": "volume", "value": 2310.44, "unit": "ml"}

    said = summary_in_words({"findings": [finding], "measurements": [lung], "notes": ["cut off"]})

    assert said == ["Pneumonia: present (93 %)", "Right lung: volume 2310 ml", "cut off"]
    assert summary_in_words({}) == []
