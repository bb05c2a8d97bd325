from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from models.manifest import Manifest, Pictures
from models.prediction import LabelMap, Prediction, Segmentation
from models.training.outline_figures import needed_columns, outline_figures
from tests.unit.models.training.drawn import manifest, structures

HEART = manifest(
    "heart",
    structures=structures("cavity", "wall"),
    pictures=Pictures(modality="MR", masks={"cavity": ("endo",), "wall": ("epi", "endo")}, small_mask_pixels=200),
)


def _disc(radius: float) -> np.ndarray:
    rows, columns = np.ogrid[:64, :64]
    return (rows - 32) ** 2 + (columns - 32) ** 2 < radius**2


def _folder(tmp_path: Path) -> list[dict[str, str]]:
    """Three slices: both borders drawn, the inner alone, a cavity of a few pixels."""
    rows = []
    for index, (inner, outer) in enumerate(((10, 16), (12, None), (3, None))):
        row = {"image": "", "patient": f"p{index}", "endo": f"endo-{index}.png", "epi": f"epi-{index}.png" if outer else ""}
        Picture.fromarray(_disc(inner).astype(np.uint8) * 255).save(tmp_path / row["endo"])
        if outer:
            Picture.fromarray(_disc(outer).astype(np.uint8) * 255).save(tmp_path / row["epi"])
        rows.append(row)
    return rows


def test_each_structure_is_scored_where_its_masks_were_drawn(tmp_path: Path) -> None:
    rows = _folder(tmp_path)
    cavities = [_disc(10), _disc(8), np.zeros((64, 64), bool)]
    wall = _disc(16) & ~_disc(10)
    answers = [
        (row, Prediction(Segmentation({"cavity": cavity[None], "wall": wall[None]})))
        for row, cavity in zip(rows, cavities, strict=True)
    ]
    headline, per_label = outline_figures(HEART, tmp_path, answers)
    half = 2 * _disc(8).sum() / (_disc(8).sum() + _disc(12).sum())
    assert headline["dice"] == pytest.approx((1 + half) / 2)
    assert headline["dice_min"] == pytest.approx(half)
    assert headline["dice_is_of"] == "cavity, masks of 200 pixels or more"
    assert headline["dice_all_sizes"] == pytest.approx((1 + half) / 3)
    assert per_label["cavity"]["n"] == 2
    assert per_label["cavity, under 200 pixels"]["n"] == 1
    assert per_label["cavity, under 200 pixels"]["dice"] == 0
    assert per_label["wall"]["n"] == 1
    assert per_label["wall"]["dice"] == 1
    assert "wall, under 200 pixels" not in per_label


def test_a_structure_that_was_not_found_scores_nothing(tmp_path: Path) -> None:
    row = _folder(tmp_path)[0]
    nothing = Prediction(LabelMap(np.zeros((1, 64, 64), np.uint8), keys=("cavity", "wall")))
    headline, per_label = outline_figures(HEART, tmp_path, [(row, nothing)])
    assert headline["dice"] == 0
    assert per_label["wall"]["dice"] == 0


def test_a_label_map_is_read_by_its_keys(tmp_path: Path) -> None:
    row = _folder(tmp_path)[0]
    labels = np.where(_disc(10), 2, np.where(_disc(16), 1, 0)).astype(np.uint8)
    headline, per_label = outline_figures(HEART, tmp_path, [(row, Prediction(LabelMap(labels[None], keys=("wall", "cavity"))))])
    assert headline["dice"] == 1
    assert per_label["wall"]["dice"] == 1


def test_columns_that_are_needed_follow_from_the_manifest() -> None:
    assert needed_columns(HEART) == ("endo", "epi")
    assert needed_columns(HEART.model_copy(update={"pictures": Pictures()})) == ("mask",)


def test_masks_of_an_unknown_structure_are_named() -> None:
    with pytest.raises(ValueError, match="names atrium, which is no structure"):
        Manifest.model_validate({**HEART.model_dump(), "pictures": {"masks": {"atrium": ["la"]}}})
