"""A structured report as text: headings, sentences and numbers, in the order in which they stand in the object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, slots=True)
class Line:
    """A heading or an item of a report.

    Parameters
    ----------
    depth
        0 for the title, 1 for its sections, and so on.
    name
        Meaning of the concept name; empty where there is none.
    value
        Text, code meaning, or number with unit; empty for a container.
    """

    depth: int
    name: str
    value: str


def lines(report: Dataset) -> list[Line]:
    """Every container, text, code and number of a report (PS3.3 section C.17.3); references and UIDs are left out."""
    return list(_lines(report, 0))


def _lines(item: Dataset, depth: int) -> Iterator[Line]:
    value = _value(item)
    if value is not None:
        yield Line(depth, _meaning(item, "ConceptNameCodeSequence"), value)
    for part in item.get("ContentSequence", ()):
        yield from _lines(part, depth + 1)


def _value(item: Dataset) -> str | None:
    """What an item says; None for what is not for reading."""
    kind = item.get("ValueType")
    if kind == "CONTAINER":
        return ""
    if kind == "TEXT":
        return str(item.TextValue)
    if kind == "CODE":
        return _meaning(item, "ConceptCodeSequence")
    if kind == "NUM":
        measured = item.get("MeasuredValueSequence")
        if not measured:
            return "not measured"
        unit = _meaning(measured[0], "MeasurementUnitsCodeSequence")
        return f"{measured[0].NumericValue} {unit}"
    return None


def _meaning(item: Dataset, keyword: str) -> str:
    codes: Any = item.get(keyword)
    return str(codes[0].get("CodeMeaning", "")) if codes else ""
