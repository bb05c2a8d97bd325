"""A structured report as text: what it says is said, in its order, and nothing else."""

from __future__ import annotations

from pydicom import Dataset

from node.demo.document import Line, lines


def code(meaning: str) -> list[Dataset]:
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = "1", "99TEST", meaning
    return [one]


def item(kind: str, name: str, **values: object) -> Dataset:
    one = Dataset()
    one.ValueType = kind
    one.ConceptNameCodeSequence = code(name)
    for keyword, value in values.items():
        setattr(one, keyword, value)
    return one


def test_headings_texts_codes_and_numbers_in_their_order() -> None:
    measured = Dataset()
    measured.NumericValue = "12.5"
    measured.MeasurementUnitsCodeSequence = code("ml")
    report = item(
        "CONTAINER",
        "Report",
        ContentSequence=[
            item("CODE", "Language", ConceptCodeSequence=code("English")),
            item(
                "CONTAINER",
                "Findings",
                ContentSequence=[
                    item("TEXT", "Finding", TextValue="A <lung>."),
                    item("NUM", "Volume", MeasuredValueSequence=[measured]),
                    item("NUM", "Mean"),
                    item("UIDREF", "Device UID", UID="1.2.3"),
                ],
            ),
        ],
    )
    assert lines(report) == [
        Line(0, "Report", ""),
        Line(1, "Language", "English"),
        Line(1, "Findings", ""),
        Line(2, "Finding", "A <lung>."),
        Line(2, "Volume", "12.5 ml"),
        Line(2, "Mean", "not measured"),
    ]


def test_an_item_without_a_name_is_told_all_the_same() -> None:
    report = item("CONTAINER", "Report")
    nameless = Dataset()
    nameless.ValueType, nameless.TextValue = "TEXT", "words"
    report.ContentSequence = [nameless]
    assert lines(report)[1] == Line(1, "", "words")
