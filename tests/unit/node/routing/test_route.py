"""Which models read a stack, which do not, and why."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from node.routing.route import Router
from node.store.errors import ConfigurationError
from node.store.records import Decision, Facts, Outcome
from node.store.settings import Settings
from tests.unit.node.routing.manifests import LIBRARY, manifest

CT = {"modality": "CT", "slices": 20, "localizer": False, "SeriesDescription": "Thorax"}
FILM = {"modality": "CR", "slices": 1, "localizer": False}
DESTINATIONS = [
    {"name": "pacs", "ae_title": "PACS", "host": "a", "port": 104},
    {"name": "research", "ae_title": "RES", "host": "b", "port": 104},
]


def decide(facts: Facts, *routes: dict, calling: str = "SCANNER", called: str = "OVERREAD") -> dict[str, Decision]:
    settings = Settings.model_validate({"destinations": DESTINATIONS, "routes": list(routes)})
    return {one.model: one for one in Router(settings, LIBRARY).decide(facts, calling, called)}


def chosen(decisions: dict[str, Decision]) -> list[str]:
    return [name for name, one in decisions.items() if one.outcome is Outcome.CHOSEN]


def test_without_routes_each_model_decides_for_itself() -> None:
    decisions = decide(CT)
    assert chosen(decisions) == ["ct-tissue"]
    assert decisions["ct-tissue"].destinations == ("pacs", "research")
    assert decisions["ct-tissue"].fingerprint == LIBRARY["ct-tissue"].fingerprint
    assert decisions["ct-tissue"].route == "default"
    assert decisions["brain-mr"].reason == "reads MR, this is CT"
    assert decisions["brain-mr"].fingerprint == ""
    assert decisions["cxr-tb"].reason == "for research only: read only under a route that names it"
    assert list(decisions) == sorted(LIBRARY)


def test_the_requirement_that_failed_is_told() -> None:
    assert decide({**CT, "localizer": True})["ct-tissue"].reason == "this is a localizer"
    assert decide({"modality": "MR", "slices": 3})["brain-mr"].reason == "needs at least 10 slices, this stack has 3"


def test_a_model_for_research_only_needs_a_route_that_names_it() -> None:
    assert "cxr-tb" not in chosen(decide(FILM, {"name": "all"}))
    assert "research only" in decide(FILM, {"name": "all"})["cxr-tb"].reason
    assert chosen(decide(FILM, {"name": "study", "models": ["cxr-tb"]})) == ["cxr-tb"]


def test_a_model_on_request_needs_a_route_that_names_it() -> None:
    library = {"cxr-fine": manifest("cxr-fine", ("modality == 'CR'", "reads films"), on_request=True)}
    route = {"name": "fine", "models": ["cxr-fine"]}

    (unasked,) = Router(Settings(), library).decide(FILM, "", "")
    (asked,) = Router(Settings.model_validate({"routes": [route]}), library).decide(FILM, "", "")

    assert "on request" in unasked.reason
    assert asked.outcome is Outcome.CHOSEN


def test_the_first_route_that_matches_decides() -> None:
    decisions = decide(
        CT,
        {"name": "films", "when": 'modality == "CR"'},
        {"name": "thorax", "when": 'SeriesDescription =~ "Thor.*"', "models": ["ct-tissue"], "destinations": ["pacs"]},
        {"name": "rest"},
    )
    assert chosen(decisions) == ["ct-tissue"]
    assert decisions["ct-tissue"].route == "thorax"
    assert decisions["ct-tissue"].destinations == ("pacs",)
    assert decisions["ct-tissue"].reason == (
        'route thorax matched; route films did not match: its condition modality == "CR" does not hold: modality is CT'
    )
    assert decisions["brain-mr"].reason == "is not named by route thorax"


def test_a_route_does_not_overrule_what_a_model_can_read() -> None:
    decisions = decide(CT, {"name": "all to brain", "models": ["brain-mr"]})
    assert chosen(decisions) == []
    assert decisions["brain-mr"].reason == "reads MR, this is CT"


def test_also_next_goes_on_and_adds_destinations() -> None:
    decisions = decide(
        CT,
        {"name": "one", "models": ["ct-tissue"], "destinations": ["pacs"], "also_next": True},
        {"name": "two", "destinations": ["research"]},
    )
    assert decisions["ct-tissue"].destinations == ("pacs", "research")
    assert "route one matched" in decisions["ct-tissue"].reason
    assert "route two" in decisions["ct-tissue"].reason
    assert decisions["brain-mr"].route == "two"


@pytest.mark.parametrize(
    ("route", "calling", "called", "matches"),
    [
        ({"calling_ae": ["CT*"]}, "CT7", "OVERREAD", True),
        ({"calling_ae": ["CT*"]}, "MR1", "OVERREAD", False),
        ({"calling_ae": ["CT?", "MR1"]}, "MR1", "OVERREAD", True),
        ({"called_ae": ["AI_CT"]}, "CT7", "OVERREAD", False),
        ({"called_ae": ["AI_*"]}, "CT7", "AI_CT", True),
    ],
)
def test_routes_match_ae_titles(route: dict, calling: str, called: str, matches: bool) -> None:
    decisions = decide(CT, {"name": "r", **route}, calling=calling, called=called)
    assert (chosen(decisions) == ["ct-tissue"]) is matches
    if not matches:
        assert list(decisions) == [""]
        assert "route r did not match" in decisions[""].reason
        assert decisions[""].outcome is Outcome.NOT_CHOSEN


def test_no_route_matched_says_why_for_each() -> None:
    reason = decide(CT, {"name": "a", "calling_ae": ["X"]}, {"name": "b", "when": "KVP > 100"})[""].reason
    assert "route a did not match: it is for calling AE X, this came from SCANNER" in reason
    assert "route b did not match: its condition KVP > 100 does not hold: KVP is not stated" in reason


def test_a_route_of_no_models_reads_nothing() -> None:
    decisions = decide(CT, {"name": "keep out", "models": []})
    assert list(decisions) == [""]
    assert decisions[""].reason == "route keep out: nothing is to be read"


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"name": "r", "when": 'modalty == "CT"'}, "route r: unknown fact modalty in .*did you mean modality"),
        ({"name": "r", "models": ["ct-tisue"]}, "route r names model ct-tisue, did you mean ct-tissue"),
        ({"name": "r", "models": ["spots-9"]}, "spots-9, which is not on this node .*: add it with `overread models add`"),
    ],
)
def test_wrong_routes_are_found_when_loaded(route: dict, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Router(Settings.model_validate({"routes": [route]}), LIBRARY)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("onne", "destination pacs: urgent names finding onne, did you mean one"),
        ("cxr-tv/one", "did you mean cxr-tb/one"),
        ("pneumothorax", "urgent names finding pneumothorax, no model rates one of that key"),
        ("cxr-*/o?e", ""),
        ("one", ""),
    ],
)
def test_urgent_findings_that_no_model_rates_are_found_when_loaded(pattern: str, words: str) -> None:
    settings = Settings.model_validate({"destinations": [{"name": "pacs", "folder": "/x", "urgent": [pattern]}]})
    with pytest.raises(ConfigurationError, match=words) if words else nullcontext():
        Router(settings, LIBRARY)


def test_a_wrong_manifest_is_found_when_loaded() -> None:
    with pytest.raises(ConfigurationError, match="model odd: unknown fact sliced"):
        Router(Settings(), {"odd": manifest("odd", ("sliced > 3", "no"))})


def test_a_cycle_is_given_to_models_of_cycles_only() -> None:
    heart = manifest("heart", ("modality == 'MR'", "reads MR"))
    heart = heart.model_copy(update={"input": heart.input.model_copy(update={"cycles": True})})
    library = {"heart": heart, "head": manifest("head", ("modality == 'MR'", "reads MR"))}
    router = Router(Settings.model_validate({"destinations": DESTINATIONS}), library)
    cycle = {one.model: one for one in router.decide({"modality": "MR", "slices": 8, "phases": 20}, "A", "B")}
    assert chosen(cycle) == ["heart"]
    assert cycle["head"].reason == "reads single images and volumes, this is a cycle"
    volume = {one.model: one for one in router.decide({"modality": "MR", "slices": 8, "phases": 1}, "A", "B")}
    assert chosen(volume) == ["head"]
    assert volume["heart"].reason == "reads cycles, this is one image or one volume"
