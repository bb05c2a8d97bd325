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
from models.training.stated import calibration_of, to_be_stated
from tests.research import RESEARCH

SHIPPED = [
    manifest
    for folder in (library_folder(), RESEARCH)
    for manifest in (read_manifest(path.parent) for path in sorted(folder.glob("*/model.toml")))
    if manifest.findings
]
RATED = [(manifest, finding.key) for manifest in SHIPPED for finding in manifest.findings]


def measured(manifest: Manifest, images: str) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((manifest.folder / FIGURES).read_text(encoding="utf-8"))
    figures: dict[str, Any] = kept[f"{images}, {AS_SHIPPED}"]
    return figures


def test_only_what_nobody_could_measure_is_not_stated() -> None:
    unmeasured = {manifest.name for manifest, key in RATED if manifest.finding(key).calibration is None}

    assert unmeasured == {"mammo-density"}
    assert {manifest.name for manifest in SHIPPED} - unmeasured == {"cxr-pneumonia", "cxr-tb", "mammo-lesion", "skin-7"}
    assert "Calibration was not measured" in (library_folder() / "mammo-density" / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("manifest", "key"), RATED, ids=lambda one: one if isinstance(one, str) else one.name)
def test_a_shipped_model_states_what_was_measured_of_this_version(manifest: Manifest, key: str) -> None:
    stated = manifest.finding(key).calibration
    if stated is None:
        pytest.skip("not measured")
    figures = measured(manifest, stated.images)

    assert figures["version"] == manifest.version
    assert stated.measured_on is CalibratedOn.UNSEEN
    assert stated == calibration_of(figures["per_label"][key], stated.images, CalibratedOn.UNSEEN)


@pytest.mark.parametrize(("manifest", "key"), RATED, ids=lambda one: one if isinstance(one, str) else one.name)
def test_the_card_shows_what_is_stated(manifest: Manifest, key: str) -> None:
    stated = manifest.finding(key).calibration
    if stated is None:
        pytest.skip("not measured")
    card = (manifest.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    table = card.split(f"**{stated.images}, {AS_SHIPPED}** (version {manifest.version})")[1].split("\n**")[0]
    rows = {cells[0]: cells[1:] for cells in (line.strip("| ").split(" | ") for line in table.splitlines() if "|" in line)}
    shown = {name: [float(one) for one in re.findall(r"[\d.]+", cells[rows["figure"].index(key)])] for name, cells in rows.items()
             if name.startswith(("n", "expected_cal", "calibration_")) and name != "n_positive"}  # fmt: skip

    assert shown["expected_calibration_error"] == pytest.approx([stated.error, *stated.interval], abs=6e-4)
    assert shown["calibration_error_by_chance"] == pytest.approx([stated.by_chance, *stated.by_chance_range], abs=6e-4)
    assert (shown["calibration_bins"], shown["n"]) == ([stated.bins], [stated.n])


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


def test_images_are_named_as_on_the_card() -> None:
    assert rows_in_words({"dataset": "films", "split": "val", "where": {"source": "b"}}) == "films/val, source=b"
