"""Studies that every user has: drawn here, read by the shipped models, and shown by OHIF. Pixels are the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from scipy import ndimage

from models.runtimes.cine_lv import LONG_AXIS
from node.demo.cases import FILM
from node.store.download import fetch
from node.store.errors import DownloadFailed
from node.store.settings import load_settings
from tests import dicom
from tests.unit.models.phantom import chest
from tests.unit.models.runtimes.ct_phantom import make_phantom


@dataclass(frozen=True, slots=True)
class Study:
    """Files of one study."""

    uid: str
    paths: tuple[Path, ...]


def _written(datasets: Sequence[FileDataset], folder: Path) -> Study:
    return Study(str(datasets[0].StudyInstanceUID), tuple(dicom.write(datasets, folder)))


def chest_film(folder: Path) -> Study:
    """A frontal chest radiograph that states its spacing at the detector."""
    film = dicom.radiograph(chest(1200, 1000).astype(np.uint16), study="viewer film", series="film")
    film.ImagerPixelSpacing = ["0.35", "0.35"]
    film.SeriesDescription = "Chest PA"
    return _written([film], folder)


def odd_film(folder: Path) -> Study:
    """A frontal chest radiograph of an odd number of pixels: BINARY frames of it end within a byte."""
    film = dicom.radiograph(chest(1201, 1001).astype(np.uint16), study="viewer odd film", series="odd film")
    film.ImagerPixelSpacing = ["0.35", "0.35"]
    film.SeriesDescription = "Chest PA, odd"
    return _written([film], folder)


def demo_film(folder: Path) -> Study:
    """The chest film of ``overread demo``, 1955 x 1841 pixels, without its Pixel Spacing of 0, with which OHIF shows no image."""
    try:
        path = fetch(FILM.source, FILM.sha256, folder, load_settings().mirror)
    except DownloadFailed as missing:
        pytest.skip(f"the film of the demonstration cannot be fetched: {missing}")
    film = dcmread(path)
    del film.PixelSpacing
    film.SeriesDescription = "Chest of the demonstration"
    return _written([film], folder / "film")


def abdominal_ct(folder: Path, slices: int = 12) -> Study:
    """An abdomen with spine, ribs, kidneys and gas, and the lungs' lower part."""
    phantom = make_phantom(contrast_hu=200.0)
    hounsfield = phantom.hu[16 - slices // 2 : 16 + (slices + 1) // 2]
    made = dicom.ct_series(
        slices=slices,
        spacing=phantom.spacing_mm,
        origin=(-190.0, -150.0, 700.0),
        pixels=lambda index: (hounsfield[index] + 1024).astype(np.uint16),
        study="viewer ct",
        series="abdomen",
    )
    for dataset in made:
        dataset.BodyPartExamined, dataset.SeriesDescription = "ABDOMEN", "Abdomen 5 mm"
    return _written(made, folder)


def head_mr(folder: Path) -> Study:
    """A T1 head: skin, skull, fluid, and a brain of two tissues."""
    slices, size = 24, 160
    z, y, x = np.ogrid[-1 : 1 : slices * 1j, -1 : 1 : size * 1j, -1 : 1 : size * 1j]

    def within(radius: float) -> NDArray[np.bool_]:
        return np.asarray((x / 0.72) ** 2 + (y / 0.88) ** 2 + (z / 1.05) ** 2 < radius**2)

    grey = np.where(within(0.98), 620.0, 12.0)
    grey[within(0.9)] = 60
    grey[within(0.84)] = 110
    folds = np.sin(17 * x + 3 * np.sin(9 * y)) * np.sin(15 * y + 4 * z) > -0.2
    grey[within(0.8)] = 330
    grey[within(0.74) & folds] = 430
    grey[np.asarray((np.abs(x) - 0.12) ** 2 / 0.006 + y**2 / 0.09 + (z - 0.1) ** 2 / 0.12 < 1)] = 90
    grey = ndimage.gaussian_filter(grey, (0.3, 1, 1)) + np.random.default_rng(3).normal(0, 8, grey.shape)
    made = dicom.mr_series(
        slices=slices,
        spacing=(6.0, 1.3, 1.3),
        origin=(-104.0, -104.0, -70.0),
        pixels=lambda index: np.clip(grey[index], 0, 4000).astype(np.uint16),
        study="viewer mr",
        series="head",
    )
    for dataset in made:
        dataset.SeriesDescription = "T1 axial"
    return _written(made, folder)


def cine_mr(folder: Path, phases: int = 8) -> Study:
    """One short-axis slice of a heart: a bright cavity in a dark wall, which shrinks to 70 % and comes back."""
    random = np.random.default_rng(1)
    rows, columns = np.ogrid[:256, :256]
    along = np.asarray(LONG_AXIS) / np.linalg.norm(LONG_AXIS)
    right = np.cross(along, [0.3, 0.9, 0.1])
    right /= np.linalg.norm(right)
    made = []
    for phase in range(phases):
        radius = 22 * (1 - 0.3 * np.sin(np.pi * phase / (phases - 1)))
        away = np.hypot(rows - 125, columns - 131)
        body = ((rows - 128) / 90) ** 2 + ((columns - 128) / 115) ** 2 < 1
        frame = np.where(body, 70.0, 8.0)
        frame = np.where(np.hypot(rows - 118, columns - 95) < 24, 150, frame)
        frame = np.where(away < radius + 10, 45, frame)
        frame = np.where(away < radius, 170, frame) + random.normal(0, 4, frame.shape)
        [dataset] = dicom.mr_series(
            slices=1,
            spacing=(8.0, 1.3, 1.3),
            orientation=[*right, *np.cross(along, right)],
            first_number=1 + phase,
            pixels=lambda _, frame=frame: np.clip(frame, 0, 4000).astype(np.uint16),  # type: ignore[misc]
            study="viewer cine",
            series="short axis",
        )
        dataset.TriggerTime, dataset.BodyPartExamined, dataset.SeriesDescription = f"{phase * 40}", "HEART", "Cine SAX"
        made.append(dataset)
    return _written(made, folder)


def dermoscopy(folder: Path) -> Study:
    """A brown spot with a darker middle on skin."""
    random = np.random.default_rng(5)
    rows, columns = np.ogrid[-1:1:450j, -1:1:600j]
    angle = np.arctan2(rows, columns)
    away = np.hypot(rows, columns * 1.15) * (1 + 0.05 * np.sin(3 * angle) + 0.03 * np.sin(7 * angle + 1))
    spot = 1 / (1 + np.exp((away - 0.45) * 18))
    middle = 1 / (1 + np.exp((away - 0.2) * 12))
    grain = ndimage.gaussian_filter(random.normal(0, 1, (450, 600)), 2.5) * 25
    skin: Any = np.array([214.0, 166.0, 152.0])
    picture = skin - spot[..., None] * np.array([70.0, 82.0, 88.0]) - middle[..., None] * np.array([40.0, 36.0, 24.0])
    picture += grain[..., None] * np.array([1.0, 1.1, 1.1]) - (np.hypot(rows, columns) ** 2)[..., None] * 18
    photo = dicom.dermoscopy(np.clip(picture, 0, 255).astype(np.uint8), compressed=True, study="viewer skin", series="dermoscopy")
    photo.SeriesDescription = "Dermoscopy"
    return _written([photo], folder)
