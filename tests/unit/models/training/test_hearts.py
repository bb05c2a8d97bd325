import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from models.networks.unet import UNet
from models.runtimes.short_axis import SIDE
from models.training.hearts import HeartRecipe, read_slices
from models.training.request import NoWatch, Request
from models.training.tables import read_rows
from models.training.train_cine import train_cine


@pytest.fixture
def heart_folder(tmp_path: Path) -> Path:
    """Eight slices of four patients: bright discs in dark rings, every second one without its outer border."""
    folder = tmp_path / "hearts"
    folder.mkdir()
    rows = []
    random = np.random.default_rng(0)
    for number in range(8):
        grid = np.hypot(*(np.ogrid[:256, :256][axis] - (124 + 2 * number, 130)[axis] for axis in range(2)))
        picture = np.where(grid < 20, 200, np.where(grid < 30, 40, 110)) + random.normal(0, 5, (256, 256))
        for name, mask in (("image", picture), ("endo", (grid < 20) * 255), ("epi", (grid < 30) * 255)):
            Picture.fromarray(np.clip(mask, 0, 255).astype(np.uint8)).save(folder / f"{name}-{number}.png")
        rows.append(
            {
                "split": "train",
                "image": f"image-{number}.png",
                "endo": f"endo-{number}.png",
                "epi": f"epi-{number}.png" if number % 2 else "",
                "patient": f"p{number // 2}",
            }
        )
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_batches_show_slices_from_near_and_far_with_what_was_drawn(heart_folder: Path) -> None:
    slices = read_slices(heart_folder, read_rows(heart_folder))
    assert slices.centres[2].tolist() == pytest.approx([128, 130], abs=0.6)
    assert slices.drawn.tolist() == [[1.0, float(number % 2)] for number in range(8)]
    images, masks, drawn = HeartRecipe(slices).batch(torch.Generator().manual_seed(0))
    assert images.shape == (8, 1, SIDE, SIDE)
    assert masks.shape == (8, 2, SIDE, SIDE)
    assert set(drawn[:, 0].tolist()) == {1.0}
    areas = masks[:, 0].sum((1, 2))
    # six from near, where a disc of 20 pixels fills some 1700 pixels, and two from far
    assert float(areas[:6].min()) > 700
    assert float(areas[6:].max()) < 700


def test_borders_that_were_not_drawn_do_not_count(heart_folder: Path) -> None:
    slices = read_slices(heart_folder, read_rows(heart_folder))
    recipe = HeartRecipe(slices)
    network = UNet(2).eval()
    images, masks, drawn = recipe.batch(torch.Generator().manual_seed(0))
    other = masks.clone()
    other[:, 1][drawn[:, 1] == 0] = 1 - other[:, 1][drawn[:, 1] == 0]
    with torch.inference_mode():
        as_drawn, otherwise = (float(recipe.loss(network, (images, some, drawn))) for some in (masks, other))
    assert as_drawn == pytest.approx(otherwise)


def test_a_run_leaves_weights_curve_and_record(heart_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    record = train_cine(Request(heart_folder, out, epochs=1, folds=2), NoWatch())
    assert {path.name for path in out.iterdir()} >= {"cine-lv.safetensors", "learning-curve.png", "training.json"}
    assert json.loads((out / "training.json").read_text())["sha256"] == record["sha256"]
    assert record["networks"] == 3
    assert record["cross_validation"]["cavity"]["n"] == 8
    assert record["cross_validation"]["within"]["n"] == 4
