"""Rules are checked when loaded and never raise when asked."""

from __future__ import annotations

import pytest

from node.routing.facts import FACTS, Kind
from node.routing.rules import Rule, Sentence, show
from node.store.errors import ConfigurationError

CT = {"modality": "CT", "slices": 20, "slice_spacing_mm": 5.0, "localizer": False, "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('modality == "CT"', True),
        ('modality in ["CR", "DX"]', False),
        ("slices >= 10 and slice_spacing_mm <= 5", True),
        ('"AXIAL" in ImageType', True),
        ("not localizer", True),
        ('SeriesDescription =~ ".*lung.*"', False),
        ('BodyPartExamined == ""', True),
        ("KVP == null", True),
        ("(KVP ?? 120) == 120", True),
        ("KVP > 100", False),
        ("KVP < 100", False),
        ("KVP == null or KVP < 100", True),
        ("true", True),
        ("false", False),
    ],
)
def test_a_rule_holds_or_not(expression: str, expected: bool) -> None:
    assert Rule(expression, "test").holds(CT) is expected


@pytest.mark.parametrize("name", sorted(FACTS))
def test_every_fact_may_be_absent(name: str) -> None:
    probe = {Kind.TEXT: f'{name} == "x"', Kind.TEXTS: f'"x" in {name}', Kind.NUMBER: f"{name} > 1", Kind.TRUTH: name}
    assert Rule(probe[FACTS[name].kind], "test").holds({}) is False


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ('modalty == "CT"', "did you mean modality?"),
        ('SeriesDescripton == "x"', "did you mean SeriesDescription?"),
        ('PatientName == "Doe"', "unknown fact PatientName"),
        ('modality == "CT" and', "cannot be used"),
        ("modality > 3", "cannot be used"),
        ("slices + 1", "neither true nor false"),
        ("modality", "neither true nor false"),
        ("slices >= modality", "cannot be used"),
    ],
)
def test_what_cannot_be_right_is_found_when_loaded(expression: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match="route thorax") as error:
        Rule(expression, "route thorax")
    assert words in str(error.value)


def test_why_not_names_what_the_rule_looked_at() -> None:
    assert Rule('modality == "MR" and slices > 3', "t").why_not(CT) == "modality is CT, slices is 20"
    assert Rule("KVP > 100", "t").why_not(CT) == "KVP is not stated"
    assert Rule("false", "t").why_not(CT) == "it is never true"


def test_sentences_are_filled_with_facts() -> None:
    sentence = Sentence("reads CT, this is {modality} ({BodyPartExamined}), {slices} slices", "t")
    assert sentence.fill(CT) == "reads CT, this is CT (not stated), 20 slices"


@pytest.mark.parametrize("template", ["this is {modalty}", "this is {", "this is {PatientName}", "{0}"])
def test_sentences_are_checked_when_loaded(template: str) -> None:
    with pytest.raises(ConfigurationError, match="model x"):
        Sentence(template, "model x")


def test_nothing_that_identifies_a_patient_is_a_fact() -> None:
    forbidden = ("patientname", "patientid", "birth", "accession", "address", "referring", "operator", "physician", "comments")
    assert not [name for name in FACTS if any(word in name.lower() for word in forbidden)]


def test_values_are_shown_for_a_person() -> None:
    assert [show(value) for value in (None, "", [], True, False, 2.50, ["A", "B"], "x")] == [
        *("not stated", "not stated", "not stated", "true", "false", "2.5", "A\\B", "x")
    ]
