"""The regression finds what is there to find, says so, and its weights are what the model reads."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from models.manifest import read_manifest
from models.runtimes.mammo_lesion import MammoLesion
from models.training.marked import marked_film
from models.training.request import NoWatch, Request
from models.training.train_lesion import fit_logistic, train_lesion
from tests.research import RESEARCH


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty films of 64 pixels; the malignant ones are brighter in the region. One row gives no region by place."""
    random = np.random.default_rng(6)
    (tmp_path / "images").mkdir()
    rows = []
    for number in range(40):
        malignant = number % 2 == 1
        grey = random.integers(60, 90, (64, 64))
        grey[20:36, 30:46] += 80 if malignant else 20
        Picture.fromarray(grey.astype(np.uint8)).save(tmp_path / "images" / f"{number}.png")
        place = f"CIRC {'M' if malignant else 'B'} 600 576 112" if number else "CALC B *NOTE 3*"
        rows.append(["train", f"images/{number}.png", "malignant" if malignant else "benign", number // 2, place])
    with (tmp_path / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["split", "image", "label", "patient", "rois"], *rows])
    return tmp_path


def test_learns_what_parts_them_and_writes_what_the_model_reads(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()

    record = train_lesion(Request(folder, out, 0), NoWatch())

    assert record["regions"] == 39
    assert record["cross_validated"]["all"]["auroc"] > 0.95
    assert record["cross_validated"]["radius alone"]["auroc"] < 0.7
    model = MammoLesion(
        read_manifest(RESEARCH / "mammo-lesion"), {"mammo-lesion.safetensors": out / "mammo-lesion.safetensors"}, "cpu"
    )
    rated = []
    for number in (2, 3):
        image = marked_film(folder, {"image": f"images/{number}.png", "rois": "CIRC M 600 576 112"})
        assert image is not None
        rated.append(model.predict(image).ratings[0].probability)
    assert rated[1] > rated[0] + 0.3


def test_regions_count_rows_from_the_bottom(folder: Path) -> None:
    image = marked_film(folder, {"image": "images/1.png", "rois": "CIRC M 256 1008 32;CIRC M 1 1 1"})

    assert image is not None
    assert image.region is not None
    assert (image.region.row, image.region.column, image.region.radius) == (0.5, 15.5, 2.0)
    assert marked_film(folder, {"image": "images/1.png", "rois": "CALC M *NOTE 3*"}) is None


def test_the_ridge_keeps_weights_finite_where_classes_part_cleanly() -> None:
    features = np.array([[0.0, 1.0], [0.1, -1.0], [5.0, 1.0], [5.1, -1.0]])

    _, _, weight, _ = fit_logistic(features, np.array([False, False, True, True]))

    assert np.isfinite(weight).all()
    assert weight[0] > 5 * abs(weight[1])
