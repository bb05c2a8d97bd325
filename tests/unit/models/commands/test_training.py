import json
from pathlib import Path

from typer.testing import CliRunner

from models.commands.training import evaluate, train
from node.store.errors import ConfigurationError
from tests.unit.models.training.conftest import lung_folder

__all__ = ["lung_folder"]

runner = CliRunner()


def test_evaluate_prints_one_object(lung_folder: Path) -> None:
    result = runner.invoke(evaluate, ["cxr-lungs", str(lung_folder), "--split", "val", "--json", "--threads", "1"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["model"] == "cxr-lungs"
    assert figures["n"] + figures["refused"] == 2
    assert 0.7 < figures["dice"] <= 1
    assert set(figures["per_label"]) == {"together", "lung_right", "lung_left"}


def test_evaluate_may_be_told_which_rows(lung_folder: Path) -> None:
    common = ["cxr-lungs", str(lung_folder), "--split", "train", "--json", "--threads", "1", "--where"]
    result = runner.invoke(evaluate, [*common, "patient=3"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["n"] + figures["refused"] == 1
    assert figures["where"] == {"patient": "3"}
    assert runner.invoke(evaluate, [*common, "patient"]).exit_code == 2


def test_evaluate_shows_a_table_to_people(lung_folder: Path) -> None:
    result = runner.invoke(evaluate, ["cxr-lungs", str(lung_folder), "--split", "val", "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "dice_p05" in result.stdout


def test_train_writes_where_it_is_told(lung_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "trained"
    result = runner.invoke(
        train, ["cxr-lungs", str(lung_folder), "--epochs", "1", "--folds", "2", "--out", str(out), "--threads", "1"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"] == "cxr-lungs"
    assert (out / "cxr-lungs.safetensors").exists()


def test_train_names_what_can_be_trained(lung_folder: Path) -> None:
    result = runner.invoke(train, ["cxr-lugs", str(lung_folder)])
    assert isinstance(result.exception, ConfigurationError)
    assert "did you mean cxr-lungs" in str(result.exception)


def test_evaluate_needs_a_model_and_of_rows_a_split(lung_folder: Path) -> None:
    assert runner.invoke(evaluate, []).exit_code == 2
    assert runner.invoke(evaluate, ["cxr-lungs", str(lung_folder)]).exit_code == 2
