"""The rows that were answered worst, in order, with what was wrong."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from models.labels import Finding
from models.manifest import Manifest, Pictures
from models.prediction import Prediction, Rating, Segmentation
from models.training.tables import Row
from models.training.worst import worst
from tests.unit.models.training.drawn import CODE, manifest, structures

Answer = tuple[Row, Prediction]


def folder_of(folder: Path, rows: list[Row]) -> Path:
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_the_lowest_dice_comes_first_and_small_masks_are_left_out(tmp_path: Path) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[5:15, 5:15] = 255
    tiny = np.zeros((20, 20), np.uint8)
    tiny[0, 0] = 255
    Picture.fromarray(mask).save(tmp_path / "mask.png")
    Picture.fromarray(tiny).save(tmp_path / "tiny.png")
    rows = [
        {"split": "val", "image": f"{number}.png", "patient": "1", "endo": "tiny.png" if number == 3 else "mask.png"}
        for number in range(4)
    ]
    pictures = Pictures(masks={"a": ("endo",)}, small_mask_pixels=10)
    model = manifest("m", structures=structures("a"), pictures=pictures)
    answers: list[Answer] = []
    for row, columns in zip(rows, (15, 10, 12, 0), strict=True):
        found = np.zeros((1, 20, 20), bool)
        found[0, 5:15, 5:columns] = True
        answers.append((row, Prediction(Segmentation({"a": found}))))
    found_rows = worst(model, folder_of(tmp_path, rows), answers, 2)
    assert [(one.number, one.words, one.key) for one in found_rows] == [(2, "a: Dice 0.67", "a"), (3, "a: Dice 0.82", "a")]


def _findings(one_of: bool) -> Manifest:
    keys = ("mel", "nv") if one_of else ("mel",)
    return manifest("m", one_of=one_of, findings=tuple(Finding(key=key, name=key, code=CODE, threshold=0.5) for key in keys))


def _rows(labels: str) -> list[Row]:
    return [
        {"split": "val", "image": f"{index}.png", "patient": str(index), "label": label}
        for index, label in enumerate(labels.split())
    ]


def test_the_surest_of_the_wrong_calls_comes_first(tmp_path: Path) -> None:
    rows = _rows("normal mel mel normal")
    answers = [(row, Prediction(ratings=(Rating("mel", p),))) for row, p in zip(rows, (0.95, 0.9, 0.2, 0.3), strict=True)]
    found = worst(_findings(one_of=False), folder_of(tmp_path, rows), answers)
    assert [(one.number, one.words) for one in found] == [(1, "label normal, mel rated 95%"), (3, "label mel, mel rated 20%")]


def test_of_several_findings_the_one_that_was_called_is_shown(tmp_path: Path) -> None:
    rows = _rows("nv mel mel")
    answers = [
        (row, Prediction(ratings=(Rating("mel", p), Rating("nv", 1 - p)))) for row, p in zip(rows, (0.9, 0.6, 0.4), strict=True)
    ]
    found = worst(_findings(one_of=True), folder_of(tmp_path, rows), answers)
    assert [(one.number, one.words, one.key) for one in found] == [
        (1, "label nv, called mel (90%)", "mel"),
        (3, "label mel, called nv (60%)", "nv"),
    ]
