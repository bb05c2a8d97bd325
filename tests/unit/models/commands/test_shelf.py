from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.commands.shelf import app
from models.manifest import read_library
from node.store.errors import ConfigurationError
from tests.unit.models.test_weights import FROM_AFAR, mirror, model

__all__ = ["mirror"]

runner = CliRunner()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "shelf").mkdir()
    model(tmp_path / "shelf" / "m", FROM_AFAR)
    path = tmp_path / "overread.toml"
    path.write_text(f'data = "{tmp_path / "data"}"\nmodel_folders = ["{tmp_path / "shelf"}"]\n', encoding="utf-8")
    return path


def test_json_names_every_model_of_the_library(tmp_path: Path) -> None:
    result = runner.invoke(app, ["--json", "--data", str(tmp_path)])

    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.output)}
    assert set(rows) == set(read_library())
    assert rows["ct-tissue"]["structures"] == ["body", "bone", "lung_right", "lung_left"]
    assert rows["ct-tissue"]["weights"] == "none needed"
    assert rows["brain-mr"]["weights"] == "to be pulled"
    assert rows["cxr-pneumonia"]["calibration"]["pneumonia"]["bins"] == 10
    assert rows["mammo-density"]["calibration"] == dict.fromkeys(["fatty", "scattered", "heterogeneous", "extreme"])
    assert set(rows["ct-tissue"]) == {
        "name",
        "version",
        "title",
        "intended_use",
        "licence",
        "research_only",
        "structures",
        "findings",
        "weights",
        "evaluation",
        "calibration",
        "fingerprint",
    }


def test_shows_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    result = runner.invoke(app, ["--data", str(tmp_path)])

    assert result.exit_code == 0, result.output
    assert "ct-tissue 1.0.0" in result.output
    assert "overread models pull NAME" in result.output
    assert "cerebral_white_matter" in result.output
    assert "13 more" in result.output
    assert "accumbens" not in result.output


def test_pulls_from_a_mirror_and_says_so(settings: Path, mirror: Path) -> None:
    result = runner.invoke(app, ["pull", "some-model", "--mirror", str(mirror), "--config", str(settings)])
    after = runner.invoke(app, ["--json", "--config", str(settings)])

    assert result.exit_code == 0, result.output
    assert "w.bin is checked and in the cache" in result.output
    assert {row["name"]: row["weights"] for row in json.loads(after.output)}["some-model"] == "in the cache"


def test_pulling_what_needs_nothing_is_no_fault(settings: Path) -> None:
    result = runner.invoke(app, ["pull", "ct-tissue", "--config", str(settings)])

    assert result.exit_code == 0, result.output
    assert "nothing to fetch" in result.output


def test_a_wrong_name_is_told_the_nearest_right_one(settings: Path) -> None:
    result = runner.invoke(app, ["pull", "ct-tisue", "--config", str(settings)])

    assert isinstance(result.exception, ConfigurationError)
    assert "did you mean ct-tissue?" in str(result.exception)
