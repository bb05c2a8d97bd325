"""A result set's summary in words, the same on the page, in the terminal and from `overread run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

SPREAD: Final = frozenset({"standard deviation", "minimum", "maximum"})
"""Quantities that are left to the full table."""


def summary_in_words(summary: Mapping[str, Any]) -> list[str]:
    """Findings, measurements and notes, a line each."""
    lines = [finding_in_words(finding) for finding in summary.get("findings", [])]
    lines += measurements_in_words(summary.get("measurements", []))
    return [*lines, *(str(note) for note in summary.get("notes", []))]


def finding_in_words(finding: Mapping[str, Any]) -> str:
    """``Pneumonia: present (93 %)``."""
    probability = finding.get("probability")
    share = f" ({percent(float(probability))})" if probability is not None else ""
    return f"{finding.get('name', '')}: {finding.get('verdict', '')}{share}"


def percent(probability: float) -> str:
    """A probability for a person; none is ever shown as certain."""
    if probability > 0.99:
        return "over 99 %"
    return "under 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def measurements_in_words(measurements: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each structure: ``Body: area 57353 mm2, mean 3.79 HU``; the spread of values is left to the full table."""
    by_name: dict[str, list[str]] = {}
    for one in measurements:
        if one.get("quantity") in SPREAD:
            continue
        figure = f"{one.get('quantity', '')} {number(one.get('value'))} {one.get('unit', '')}".strip()
        by_name.setdefault(str(one.get("name", "")), []).append(figure)
    return [f"{name}: {', '.join(figures)}" for name, figures in by_name.items()]


def number(value: object) -> str:
    """A figure as a person writes it: three significant digits, whole numbers from a hundred on."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
