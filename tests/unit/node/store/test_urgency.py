from __future__ import annotations

import pytest

from node.store.urgency import raised, urgent


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("pneumothorax",), ["pneumothorax"]),
        (("pneumo*",), ["pneumonia", "pneumothorax"]),
        (("cxr/pneumonia", "other/pneumothorax"), ["pneumonia"]),
        (("cx?/*",), ["pneumonia", "pneumothorax", "normal"]),
        (("Pneumothorax",), []),
        ((), []),
    ],
)
def test_findings_are_named_by_key_or_by_model_and_key(patterns: tuple[str, ...], expected: list[str]) -> None:
    assert urgent(patterns, "cxr", ["pneumonia", "pneumothorax", "normal"]) == expected


def test_only_raised_findings_count_and_answers_of_earlier_versions_raise_none() -> None:
    findings = [
        {"key": "a", "name": "A", "verdict": "present", "raised": True},
        {"key": "b", "name": "B", "verdict": "absent", "raised": False},
        {"name": "C", "verdict": "present"},
    ]
    assert raised({"findings": findings}) == {"a": "A"}
    assert raised({}) == {}
