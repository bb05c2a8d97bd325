"""`overread evaluate` on DICOM: a phantom beside what it was made of and beside its copies; real CT where it is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models.commands.training import evaluate
from models.manifest import library_folder, read_manifest
from models.training.evaluation import load_for_evaluation
from node.store.errors import ConfigurationError
from node.store.settings import Settings
from tests import dicom
from tests.integration.phantom import ct_phantom
from tests.research import RESEARCH
from tests.unit.workers.test_compare import nifti
from workers.run import only_stack

CT = library_folder() / "ct-tissue"


def run(*arguments: str | Path) -> dict[str, object]:
    result = CliRunner().invoke(evaluate, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.exception or result.output
    figures: dict[str, object] = json.loads(result.stdout)
    return figures


def test_a_phantom_is_measured_beside_a_reference_and_beside_its_copies(tmp_path: Path) -> None:
    ct_phantom(tmp_path / "in", slices=12, size=64)
    grid = np.diag([5.0, 460 / 64, 460 / 64, 1.0])[[2, 1, 0, 3]]
    grid[:3, 3] = (-230, -230, 0)
    row, column = np.mgrid[0:64, 0:64] / 64 * 460.0 - 230.0
    body = np.broadcast_to((column / 180) ** 2 + (row / 120) ** 2 < 1, (12, 64, 64))
    reference = nifti(tmp_path / "body.nii.gz", body * 3, grid)
    (tmp_path / "in" / "next" / "0000.dcm").unlink()

    figures = run(
        "ct-tissue",
        tmp_path / "in",
        "--reference",
        reference,
        "--labels",
        "body=3",
        "--copies",
        "--data",
        tmp_path,
        "--pictures",
        tmp_path / "pictures",
        "--blank",
    )

    assert len(list((tmp_path / "pictures").glob("worst-*.png"))) == 6
    assert (figures["slices"], figures["dataset"]) == (12, "in")
    agreement = figures["reference"]["body"]  # type: ignore[index]
    assert agreement["dice"] > 0.99
    assert agreement["labelled_part_found"] > 0.99
    assert agreement["slices"] == 12
    copies = figures["copies"]
    assert set(copies) == {"again", "along-other-axes", "lossy", "noise", "slices-in-threes", "coarse", "turned", "narrow"}
    assert copies["again"]["largest_difference"] == 0  # type: ignore[index]
    assert copies["along-other-axes"]["by_structure"]["body"]["dice"] > 0.999  # type: ignore[index]
    volume_ml = figures["volumes_ml"]["body"]  # type: ignore[index]
    assert volume_ml == pytest.approx(body.sum() * 5 * (460 / 64) ** 2 / 1000, rel=0.02)


def test_a_cycle_or_several_stacks_or_none_are_no_volume(tmp_path: Path) -> None:
    manifest, settings = read_manifest(CT), Settings(data=tmp_path)
    dicom.write([dicom.radiograph()], tmp_path / "film")
    with pytest.raises(
        ConfigurationError, match=r"one stack that ct-tissue reads is wanted, there are none \(reads CT, this is CR"
    ):
        only_stack(manifest, [tmp_path / "film"], settings, tmp_path)
    dicom.write([*dicom.ct_series(series="a"), *dicom.ct_series(series="b")], tmp_path / "two")
    with pytest.raises(ConfigurationError, match="there are 2 stacks: give the files of one"):
        only_stack(manifest, [tmp_path / "two"], settings, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="no DICOM file"):
        only_stack(manifest, [tmp_path / "empty"], settings, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ct-tissue", "IN", "--split", "val"], "no folder with an index.csv"),
        (["ct-tissue", "IN", "--reference", "IN"], "go together"),
        (["ct-tissue", "IN", "--copy", "upside-down"], "no copy of CT is named upside-down"),
        (["ct-tissue", "--copies"], "go with DICOM images"),
        (["ct-tissue"], "names no published examination"),
    ],
)
def test_what_does_not_go_together_is_told(tmp_path: Path, arguments: list[str], words: str) -> None:
    ct_phantom(tmp_path / "in", slices=4, size=32)
    (tmp_path / "in" / "next" / "0000.dcm").unlink()
    given = [str(tmp_path / "in") if one == "IN" else one for one in arguments]
    result = CliRunner().invoke(evaluate, [*given, "--data", str(tmp_path)])
    assert isinstance(result.exception, ConfigurationError), result.output
    assert words in str(result.exception)


def test_figures_of_a_volume_go_into_the_card_of_a_folder(tmp_path: Path) -> None:
    ct_phantom(tmp_path / "chest", slices=6, size=64)
    (tmp_path / "chest" / "next" / "0000.dcm").unlink()
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.toml").write_text((CT / "model.toml").read_text())
    (model / "MODEL_CARD.md").write_text("# Card\n<!-- figures -->\n<!-- end of figures -->\n")

    run(model, tmp_path / "chest", "--copy", "again", "--card", "--data", tmp_path)

    text = (model / "MODEL_CARD.md").read_text()
    assert "**chest** (version 1.0.0): 6 slices, voxels of 5.00 x 7.19 x 7.19 mm." in text
    assert "| structure | ml | again |" in text
    assert "| lung_left |" in text
    assert " | 0.0%, 1.000 |" in text


def test_a_table_is_shown_to_people(tmp_path: Path) -> None:
    ct_phantom(tmp_path / "chest", slices=6, size=64)
    (tmp_path / "chest" / "next" / "0000.dcm").unlink()
    result = CliRunner().invoke(evaluate, ["ct-tissue", str(tmp_path / "chest"), "--copy", "again", "--data", str(tmp_path)])
    assert result.exit_code == 0, result.exception or result.output
    assert "largest_difference" in result.stdout


@pytest.mark.shared
def test_the_figure_of_bone_on_the_card_comes_out_again(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "dicom"
    labels = folder / "ct_abdomen_labels" / "labels.nii.gz"
    given = ["--reference", labels, "--labels", "bone=25-50,69-78,91-116", "--labels", "lung_left=10-11"]
    figures = run("ct-tissue", folder / "ct_abdomen", *given, "--data", tmp_path)
    reference = figures["reference"]
    assert reference["bone"]["dice"] == pytest.approx(0.813, abs=0.0006)  # type: ignore[index]
    assert reference["bone"]["dice_of_slices"] == pytest.approx([0.70, 0.87], abs=0.006)  # type: ignore[index]
    assert reference["lung_left"]["dice"] is None  # type: ignore[index]


@pytest.mark.shared
def test_the_published_probabilities_on_the_card_come_out_again(shared: Path, tmp_path: Path) -> None:
    figures = run("mammo-density", "--mirror", shared / "weights", "--data", tmp_path)
    assert figures["reproduced"] is True
    assert figures["largest_difference"] < 0.0005  # type: ignore[operator]


@pytest.mark.shared
def test_the_figures_of_marked_regions_come_out_again(shared: Path, tmp_path: Path) -> None:
    figures = run(RESEARCH / "mammo-lesion", shared / "data" / "mammo", "--split", "val", "--data", tmp_path)
    assert (figures["n"], figures["refused"]) == (18, 2)
    assert figures["auroc"] == pytest.approx(0.71, abs=0.005)
    assert figures["auroc_ci"] == pytest.approx([0.45, 0.93], abs=0.015)


def test_a_model_of_a_folder_is_loaded_as_ever(tmp_path: Path) -> None:
    manifest, model = load_for_evaluation(str(CT), "cpu", None, Settings(data=tmp_path))
    assert manifest.name == "ct-tissue"
    assert callable(model.predict)
