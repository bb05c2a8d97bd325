"""What a manifest states of calibration is what was measured, and what the card shows."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest

from models.labels import CalibratedOn, Calibration
from models.manifest import Manifest, library_folder, read_manifest
from models.training.card import AS_SHIPPED, FIGURES, rows_in_words
from models.training.model_folder import Labels, finding_of
from models.training.stated import calibration_of, to_be_stated
from tests.research import RESEARCH
from tests.unit.workers.encode.samples import CALIBRATION

SHIPPED = [
    manifest
    for folder in (library_folder(), RESEARCH)
    for manifest in (read_manifest(path.parent) for path in sorted(folder.glob("*/model.toml")))
    if manifest.findings
]
STATED = [
    (manifest, finding.key, finding.calibration) for manifest in SHIPPED for finding in manifest.findings if finding.calibration
]
OF_EACH = pytest.mark.parametrize(("manifest", "key", "stated"), STATED, ids=[f"{one.name}-{key}" for one, key, _ in STATED])


def measured(manifest: Manifest, images: str) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((manifest.folder / FIGURES).read_text(encoding="utf-8"))
    figures: dict[str, Any] = kept[f"{images}, {AS_SHIPPED}"]
    return figures


def test_only_what_nobody_could_measure_is_not_stated() -> None:
    silent = {manifest.name for manifest in SHIPPED for finding in manifest.findings if finding.calibration is None}

    assert silent == {"mammo-density"}
    assert {manifest.name for manifest, *_ in STATED} == {"cxr-pneumonia", "cxr-tb", "mammo-lesion", "skin-7"}
    assert "Calibration was not measured" in (library_folder() / "mammo-density" / "MODEL_CARD.md").read_text(encoding="utf-8")


@OF_EACH
def test_a_shipped_model_states_what_was_measured_of_this_version(manifest: Manifest, key: str, stated: Calibration) -> None:
    figures = measured(manifest, stated.images)

    assert figures["version"] == manifest.version
    assert stated.measured_on is CalibratedOn.UNSEEN
    assert stated == calibration_of(figures["per_label"][key], stated.images, CalibratedOn.UNSEEN)


@OF_EACH
def test_the_card_shows_what_is_stated(manifest: Manifest, key: str, stated: Calibration) -> None:
    card = (manifest.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    table = card.split(f"**{stated.images}, {AS_SHIPPED}** (version {manifest.version})")[1].split("\n**")[0]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    column = next(cells for cells in lines if cells[0] == "figure").index(key)
    named = {cells[0]: cells[column] for cells in lines if len(cells) > column}

    def shown(name: str) -> list[float]:
        return [float(one) for one in re.findall(r"[\d.]+", named[name])]

    assert shown("expected_calibration_error") == pytest.approx([stated.error, *stated.interval], abs=6e-4)
    assert shown("calibration_error_by_chance") == pytest.approx([stated.by_chance, *stated.by_chance_range], abs=6e-4)
    assert (shown("calibration_bins"), shown("n")) == ([stated.bins], [stated.n])


PNEUMONIA = read_manifest(library_folder() / "cxr-pneumonia")


def figures_of(**changes: Any) -> dict[str, Any]:
    stated = PNEUMONIA.finding("pneumonia").calibration
    assert stated is not None
    return {**measured(PNEUMONIA, stated.images), **changes}


def stating(calibration: Calibration | None) -> Manifest:
    finding = PNEUMONIA.finding("pneumonia").model_copy(update={"calibration": calibration})
    return PNEUMONIA.model_copy(update={"findings": (finding,)})


def test_what_was_measured_and_is_not_stated_is_given_as_a_line_for_the_manifest() -> None:
    figures = figures_of()
    assert to_be_stated(PNEUMONIA, figures) == {}

    lines = to_be_stated(stating(None), figures)

    (written,) = lines.values()
    assert Calibration.model_validate(tomllib.loads(written)["calibration"]) == PNEUMONIA.finding("pneumonia").calibration


def test_unseen_images_win_over_cross_validation_and_other_unseen_images_do_not() -> None:
    figures = figures_of()
    stated = PNEUMONIA.finding("pneumonia").calibration
    assert stated is not None

    folds = stated.model_copy(update={"measured_on": CalibratedOn.FOLDS, "images": "cxr_pneumonia/train"})
    old = stated.model_copy(update={"error": 0.5})
    elsewhere = stated.model_copy(update={"images": "another/val"})
    assert set(to_be_stated(stating(folds), figures)) == {"pneumonia"}
    assert set(to_be_stated(stating(old), figures)) == {"pneumonia"}
    assert to_be_stated(stating(elsewhere), figures) == {}


def test_parts_of_images_and_images_that_were_learned_from_state_nothing() -> None:
    assert to_be_stated(stating(None), figures_of(view="lungs-only")) == {}
    assert to_be_stated(stating(None), figures_of(split="train")) == {}
    assert to_be_stated(stating(None), figures_of(per_label={"lung": {"dice": 0.9}})) == {}


def test_a_calibration_of_the_labels_is_not_that_of_a_network_trained_from_them() -> None:
    known = PNEUMONIA.finding("pneumonia")
    labels = Labels(findings=(known,))
    own = CALIBRATION.model_copy(update={"measured_on": CalibratedOn.FOLDS})

    assert known.calibration is not None
    assert finding_of(labels, "pneumonia", 0.5, None, None).calibration is None
    assert finding_of(labels, "pneumonia", 0.5, None, own).calibration == own
    assert finding_of(Labels(), "tumour", 0.5, None, own).calibration == own


def test_images_are_named_as_on_the_card() -> None:
    assert rows_in_words({"dataset": "films", "split": "val", "where": {"source": "b"}}) == "films/val, source=b"


def test_a_long_name_of_images_is_cut_and_nothing_is_lost() -> None:
    figures = {
        "expected_calibration_error": 0.1,
        "expected_calibration_error_ci": [0.05, 0.2],
        "calibration_error_by_chance": 0.03,
        "calibration_error_by_chance_ci": [0.01, 0.05],
        "calibration_bins": 10,
        "n": 40,
    }
    stated = calibration_of(figures, "f" * 200, CalibratedOn.UNSEEN)
    assert stated.images == "f" * 127 + "…"
    assert stated.error == 0.1
