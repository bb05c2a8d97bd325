"""Small folders of drawn films, laid out as labelled data are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from tests.unit.models.phantom import chest, lung_masks


def _picture(values: np.ndarray, path: Path) -> None:
    Picture.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def lung_folder(tmp_path: Path) -> Path:
    """12 films with masks: 6 of train with an open licence, 4 with another, 2 of val."""
    folder = tmp_path / "lungs"
    folder.mkdir()
    rows = []
    for number in range(12):
        rows.append(
            {
                "split": "val" if number >= 10 else "train",
                "image": f"{number}.png",
                "mask": f"{number}-mask.png",
                "patient": str(number),
                "licence": "CC BY 4.0" if number < 6 else "CC BY-NC-ND",
            }
        )
        columns = 180 + 4 * number
        _picture(chest(200, columns, seed=number) / 16, folder / f"{number}.png")
        _picture(np.logical_or(*lung_masks(200, columns)) * 255, folder / f"{number}-mask.png")
    _write(rows, folder)
    return folder


@pytest.fixture
def label_folder(tmp_path: Path) -> Path:
    """24 films of 12 patients, all of train; those with pneumonia have a bright right lung."""
    folder = tmp_path / "labels"
    folder.mkdir()
    rows = []
    for number in range(24):
        ill = number % 4 > 1
        film = chest(200, 180, seed=number)
        if ill:
            film[lung_masks(200, 180)[1]] += 900
        _picture(film / 16, folder / f"{number}.png")
        rows.append(
            {
                "split": "train",
                "image": f"{number}.png",
                "label": "pneumonia" if ill else "normal",
                "patient": str(number // 2),
            }
        )
    _write(rows, folder)
    return folder


def _write(rows: list[dict[str, str]], folder: Path) -> None:
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
