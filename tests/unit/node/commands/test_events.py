"""``overread events``, and the end of ``overread studies``, over a real catalog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.commands.events import app
from node.commands.studies import studies
from node.store.catalog.catalog import open_catalog
from node.store.settings import Settings

DETAIL = "no source lists MR_1 (10.0.0.9): add [[sources]]"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    catalog = open_catalog(Settings(data=tmp_path))
    catalog.intake.tally("association rejected", DETAIL, 1)
    catalog.intake.tally("association rejected", DETAIL, 11)
    catalog.intake.event("finished", "revision 1 is read", "1.2.3")
    catalog.close()
    return tmp_path


def test_events_of_the_node_are_listed_with_their_count(data: Path) -> None:
    said = CliRunner().invoke(app, ["--data", str(data), "--json"])
    assert said.exit_code == 0, said.output
    [event] = json.loads(said.stdout)
    assert (event["kind"], event["detail"], event["count"]) == ("association rejected", DETAIL, 12)
    table = CliRunner().invoke(app, ["--data", str(data)], env={"COLUMNS": "200"})
    assert DETAIL in table.stdout


def test_studies_say_who_was_turned_away(data: Path) -> None:
    said = CliRunner().invoke(studies, ["--data", str(data)], env={"COLUMNS": "200"})
    assert said.exit_code == 0, said.output
    assert DETAIL in said.stdout
    assert "12" in said.stdout
    assert "overread events" in said.stdout


def test_a_quiet_node_says_so(tmp_path: Path) -> None:
    open_catalog(Settings(data=tmp_path)).close()
    assert "Nothing happened" in CliRunner().invoke(app, ["--data", str(tmp_path)]).stdout
