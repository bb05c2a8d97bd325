"""A manifest is read whole or refused with the place of the fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.labels import CalibratedOn, Calibration, Code, Structure
from models.manifest import Manifest, read_library, read_manifest
from node.store.errors import ConfigurationError
from tests.research import RESEARCH

LUNG = """
name = "lung-finder"
version = "1.0.0"
title = "Lungs"
licence = "Apache-2.0"
intended_use = "outlines lungs"
runtime = "models.runtimes.nothing:Nothing"

[input]
require = [{ rule = 'modality == "CT"', otherwise = "reads CT, this is {modality}" }]

[[structures]]
key = "lung_right"
name = "Right lung"
category = ["SCT", "91723000", "Anatomical Structure"]
type = ["SCT", "39607008", "Lung"]
laterality = ["SCT", "24028007", "Right"]
color = [10, 200, 30]

[[findings]]
key = "pneumonia"
name = "Pneumonia"
code = ["SCT", "233604007", "Pneumonia"]
threshold = 0.4

[[weights]]
file = "w.safetensors"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
"""


CALIBRATION = """threshold = 0.4
[findings.calibration]
error = 0.02
interval = [0.021, 0.06]
bins = 10
n = 676
by_chance = 0.029
by_chance_range = [0.015, 0.047]
measured_on = "cross-validation"
images = "films/train"
"""
CALIBRATED = LUNG.replace("threshold = 0.4\n", CALIBRATION)


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder


def test_codes_are_written_as_scheme_value_meaning(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, LUNG))
    assert manifest.structure("lung_right").type == Code(value="39607008", scheme="SCT", meaning="Lung")
    assert manifest.finding("pneumonia").threshold == 0.4
    with pytest.raises(KeyError):
        manifest.structure("liver")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Lungs"', 'title = "Lungs"\ncolour = 1', "colour"),
        ("threshold = 0.4", "threshold = 4", "threshold"),
        ('version = "1.0.0"', 'version = "one"', "version"),
        ("color = [10, 200, 30]", "color = [10, 200, 300]", "color of lung_right"),
        ('key = "pneumonia"', 'key = "lung_right"', "keys of structures and findings must differ"),
        ('type = ["SCT", "39607008", "Lung"]', 'type = ["SCT", "Lung"]', "structures.0.type"),
        ("[input]", "[input", "not valid TOML"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in LUNG
    with pytest.raises(ConfigurationError, match=said.replace(".", r"\.")):
        read_manifest(write(tmp_path, LUNG.replace(old, new)))


def test_a_calibration_is_read_and_where_none_is_stated_there_is_none(tmp_path: Path) -> None:
    stated = read_manifest(write(tmp_path / "stated", CALIBRATED)).finding("pneumonia").calibration

    assert stated == Calibration(
        error=0.02,
        interval=(0.021, 0.06),  # of a bootstrap, which can only add error: it may begin above the error itself
        bins=10,
        n=676,
        by_chance=0.029,
        by_chance_range=(0.015, 0.047),
        measured_on=CalibratedOn.FOLDS,
        images="films/train",
    )
    assert read_manifest(write(tmp_path / "silent", LUNG)).finding("pneumonia").calibration is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("error = 0.02", "error = 1.02", "findings.0.calibration.error"),
        ("error = 0.02", "error = nan", "findings.0.calibration.error"),
        ("error = 0.02", 'error = "0.02"', "findings.0.calibration.error"),
        ("error = 0.02\n", "", "findings.0.calibration.error: Field required"),
        ("[0.021, 0.06]", "[0.06, 0.021]", "interval must begin with its lower end"),
        ("[0.015, 0.047]", "[0.047, 0.015]", "by_chance_range must begin with its lower end"),
        ("bins = 10", "bins = 0", "findings.0.calibration.bins"),
        ("n = 676", "n = 676.5", "findings.0.calibration.n"),
        ('"cross-validation"', '"guess"', "findings.0.calibration.measured_on"),
        ('images = "films/train"', 'images = ""', "findings.0.calibration.images"),
        ("n = 676", "n = 676\nnote = 1", "findings.0.calibration.note"),
    ],
)
def test_a_calibration_is_whole_or_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in CALIBRATED
    with pytest.raises(ConfigurationError, match=said.replace(".", r"\.")):
        read_manifest(write(tmp_path, CALIBRATED.replace(old, new)))


def test_missing_manifest_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('version = "1.0.0"', 'version = "1.0.1"'),
        ('sha256 = "0', 'sha256 = "1'),
        ("threshold = 0.4", "threshold = 0.5"),
        ("[input]", "[parameters]\nwindow = 3\n[input]"),
    ],
)
def test_the_fingerprint_moves_with_all_that_decides_the_answer(tmp_path: Path, old: str, new: str) -> None:
    before = read_manifest(write(tmp_path / "before", LUNG)).fingerprint
    after = read_manifest(write(tmp_path / "after", LUNG.replace(old, new))).fingerprint
    assert before != after


def test_the_fingerprint_does_not_move_with_words(tmp_path: Path) -> None:
    before = read_manifest(write(tmp_path / "before", LUNG)).fingerprint
    assert read_manifest(write(tmp_path / "after", LUNG.replace('title = "Lungs"', 'title = "Both lungs"'))).fingerprint == before
    assert read_manifest(write(tmp_path / "stated", CALIBRATED)).fingerprint == before


def test_two_models_of_one_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a" / "lung-finder", LUNG)
    write(tmp_path / "b" / "lung-finder", LUNG)
    assert "lung-finder" in read_library(tmp_path / "a")
    with pytest.raises(ConfigurationError, match="two models are named lung-finder"):
        read_library(tmp_path / "a", tmp_path / "b")


def test_every_shipped_model_has_a_card_and_consistent_weights() -> None:
    for manifest in read_library().values():
        assert (manifest.folder / "MODEL_CARD.md").is_file(), manifest.name
        for weights in manifest.weights:
            assert weights.source or (manifest.folder / weights.file).is_file(), manifest.name
            if not weights.source:
                assert (manifest.folder / weights.file).stat().st_size <= 5_000_000


def test_weights_that_are_not_free_to_use_carry_their_own_licence_and_are_never_chosen_by_default() -> None:
    assert not [one.name for one in read_library().values() if "NC" in one.licence or "research only" in one.licence]
    closed = [read_manifest(path.parent) for path in RESEARCH.glob("*/model.toml")]
    assert {one.name for one in closed} == {"mammo-lesion", "skin-7"}
    for manifest in closed:
        assert (manifest.folder / "LICENSE.md").is_file(), manifest.name
        assert "only under a route that names it" in manifest.unasked, manifest.name


def test_a_model_says_something() -> None:
    with pytest.raises(ValueError, match="must have structures or findings"):
        Manifest.model_validate(
            {
                "name": "mute",
                "version": "1.0.0",
                "title": "Mute",
                "licence": "x",
                "intended_use": "x",
                "runtime": "models.runtimes.x:X",
                "input": {"require": []},
            }
        )


@pytest.mark.parametrize("written", ["", '[parameters]\nslope = "steep"\n', "[parameters]\nslope = [1.5]\n"])
def test_a_parameter_that_is_no_number_is_named(tmp_path: Path, written: str) -> None:
    manifest = read_manifest(write(tmp_path, LUNG + written))
    with pytest.raises(ConfigurationError, match="lung-finder: parameters must hold the number slope"):
        manifest.number("slope")


def test_a_parameter_is_read_as_a_number(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, LUNG + "[parameters]\nslope = 3\n")).number("slope") == 3.0


def test_a_code_is_a_triple() -> None:
    with pytest.raises(ValueError, match=r"\[scheme, value, meaning\]"):
        Structure.model_validate({"key": "a", "name": "A", "category": ["SCT"], "type": ["SCT", "1", "x"], "color": [0, 0, 0]})
