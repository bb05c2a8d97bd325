from __future__ import annotations

from pathlib import Path

from node.check.door import MOST, check_door
from node.check.verdict import Level
from node.store.catalog.catalog import open_catalog
from node.store.settings import Settings


def test_says_whose_associations_are_accepted(tmp_path: Path) -> None:
    [anybody] = check_door(Settings(data=tmp_path / "none"))
    assert (anybody.level, anybody.subject) == (Level.OK, "any")
    listed = Settings.model_validate({"data": tmp_path / "none", "accept": "listed", "sources": [{"ae_title": "CT_1"}]})
    assert [one.says for one in check_door(listed)] == ["only from 1 in [[sources]]"]


def test_what_was_turned_away_is_worth_a_note_with_what_to_change(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    catalog = open_catalog(settings)
    catalog.intake.tally("association rejected", "no source lists MR_1 (10.0.0.9): add [[sources]]", 17)
    catalog.intake.event("refused", "an object of CT_1")
    catalog.close()
    _, turned_away = check_door(settings)
    assert (turned_away.level, turned_away.subject) == (Level.NOTE, "association rejected")
    assert "17 times" in turned_away.says
    assert turned_away.says.endswith("no source lists MR_1 (10.0.0.9)")
    assert turned_away.to_do == "add [[sources]]"


def test_many_are_not_listed_one_by_one(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    catalog = open_catalog(settings)
    for number in range(MOST + 3):
        catalog.intake.tally("context rejected", f"CT_{number} proposed Modality Worklist: take it out there", 1)
    catalog.close()
    found = list(check_door(settings))
    assert len(found) == 1 + MOST + 1
    assert "3 more" in found[-1].says


def test_a_host_that_nobody_knows_is_a_fault(tmp_path: Path) -> None:
    sources = [{"ae_title": "CT_1", "hosts": ["no-such-host.invalid", "localhost", "10.0.0.0/8"]}]
    _, unknown = check_door(Settings.model_validate({"data": tmp_path / "none", "accept": "listed", "sources": sources}))
    assert (unknown.level, unknown.subject) == (Level.FAULT, "no-such-host.invalid")
