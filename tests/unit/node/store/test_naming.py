from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from node.store.destinations import FolderDestination
from node.store.naming import DESCRIPTION, LARGEST_NUMBER, NUMBER, OWN, SeriesNaming, closest

NUMBERS = {"kind": 1, "revision": 2, "source": 7, "number": 54321}
TEXTS = {
    "model": "cxr-lungs",
    "version": "1.0",
    "kind": "segmentation",
    "revision": "2",
    "source": "Thorax pa",
    "description": "AI segmentation (Overread cxr-lungs)",
}


def destination(**says: object) -> FolderDestination:
    return FolderDestination.model_validate({"name": "a", "folder": "/x", **says})


@pytest.mark.parametrize(
    ("template", "number"),
    [
        (9000, 9000),
        ("9000", 9000),
        ("90{kind}", 901),
        ("9{source:03}{kind}", 90071),
        ("{number}", 54321),
        ("{revision:02}00", 200),
    ],
)
def test_numbers_are_made_of_digits_and_fields(template: int | str, number: int) -> None:
    assert destination(series_number=template).naming.numbered(NUMBERS) == number


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("AI {model} {kind}", "AI cxr-lungs segmentation"),
        ("{description}", TEXTS["description"]),
        ("KI zu {source}, Stand {revision}", "KI zu Thorax pa, Stand 2"),
        ("{{AI}}", "{AI}"),
    ],
)
def test_descriptions_are_made_of_text_and_fields(template: str, text: str) -> None:
    assert destination(series_description=template).naming.described(TEXTS) == text


@pytest.mark.parametrize(
    ("key", "template", "says"),
    [
        ("series_number", "9{knd}", "unknown field {knd}: did you mean kind?"),
        ("series_number", "9{model}", "unknown field {model}: "),
        ("series_number", "A{kind}", "'A9', which is no whole number"),
        ("series_number", "-1", "no whole number"),
        ("series_number", -1, "no whole number"),
        ("series_number", True, "valid string"),
        ("series_number", "", "no whole number"),
        ("series_number", "{number}{number}", "IS holds at most 2147483647: shorten it"),
        ("series_number", 2**31, "IS holds at most 2147483647"),
        ("series_number", "{kind:9}", "states '9' for {kind}: only widths as in {kind:03}"),
        ("series_number", "{kind:>99999999}", "only widths as in"),
        ("series_number", "{kind.real}", "unknown field {kind.real}"),
        ("series_number", "{kind", "is no template"),
        ("series_description", "AI {modle}", "unknown field {modle}: did you mean model?"),
        ("series_description", "AI {}", "unknown field {}"),
        ("series_description", "AI {model!r}", "converts {model}"),
        ("series_description", "AI {model:99}", "states a width for {model}"),
        ("series_description", "A" * 65, "makes at least 65 characters, LO holds 64: shorten it"),
        ("series_description", "A" * 60 + "{kind}", "makes at least 72 characters"),
        ("series_description", "A\\B", "without backslashes"),
        ("series_description", "A\nB", "printable text"),
        ("series_description", " ", "printable text"),
        ("series_description", "AI {model} }", "is no template"),
    ],
)
def test_templates_that_cannot_be_used_are_found_when_loaded(key: str, template: object, says: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        destination(**{key: template})
    assert says in str(wrong.value)


def test_without_templates_nothing_changes() -> None:
    assert destination().naming == OWN
    assert (OWN.key, OWN.numbered(NUMBERS), OWN.described(TEXTS)) == ("", 54321, TEXTS["description"])


def test_another_naming_has_another_key_and_the_same_one_the_same() -> None:
    namings = [SeriesNaming("9000"), SeriesNaming(None, "9000"), SeriesNaming("9001"), SeriesNaming("9000", "AI"), OWN]
    assert len({one.key for one in namings}) == len(namings)
    assert SeriesNaming("9000").key == destination(series_number=9000).naming.key


def test_a_number_that_is_cannot_hold_is_not_written() -> None:
    values = {**NUMBERS, "source": LARGEST_NUMBER}
    assert SeriesNaming("9{source}").numbered(values) == values["number"]


@given(st.sampled_from(sorted(NUMBER)), st.integers(0, 9), st.integers(1, 999), st.integers(0, LARGEST_NUMBER))
def test_whatever_the_source_the_number_fits(field: str, kind: int, revision: int, source: int) -> None:
    naming = destination(series_number=f"9{{{field}}}").naming
    made = naming.numbered({"kind": kind, "revision": revision, "source": source, "number": 10000})
    assert 0 <= made <= LARGEST_NUMBER


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [("a", {"", "a"}, "a"), ("b", {"", "a"}, ""), ("", {"a", "b"}, "a"), ("c", {"b", "a"}, "a"), ("a", set(), None)],
)
def test_what_is_wanted_else_our_own_else_any(wanted: str, there: set[str], found: str | None) -> None:
    assert closest(wanted, there) == found


def test_every_field_has_a_value_to_try() -> None:
    assert destination(series_description="".join(f"{{{field}}}" for field in DESCRIPTION)).naming.described(TEXTS)
    for field in NUMBER:
        assert destination(series_number=f"{{{field}}}").naming.numbered(NUMBERS)
