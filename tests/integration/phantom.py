"""A patient that never was: a CT of a water body with lungs and bones, fresh UIDs each time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from tests.dicom import ct_series, write


@dataclass(frozen=True, slots=True)
class Phantom:
    """A study of one CT series on disk.

    Parameters
    ----------
    next_slice
        The one slice more that the scanner still has.
    """

    study_uid: str
    series_uid: str
    paths: list[Path]
    next_slice: Path


def ct_phantom(folder: Path, slices: int = 6, size: int = 128, missing_slice: int | None = None) -> Phantom:
    """Write a chest-like CT: an ellipse of water 36 cm wide with two lungs, a spine and a ring of ribs, in air."""
    name = str(uuid.uuid4())
    made = ct_series(
        slices=slices + 1,
        spacing=(5.0, 460.0 / size, 460.0 / size),
        origin=(-230.0, -230.0, 0.0),
        pixels=lambda index: (_slice(size, index) + 1024).astype(np.uint16),
        study=name,
        series="chest",
    )
    for dataset in made:
        dataset.PatientID = f"PHANTOM-{name[:8]}"
        dataset.BodyPartExamined = "CHEST"
    kept: list[FileDataset] = [dataset for index, dataset in enumerate(made[:-1]) if index != missing_slice]
    paths = write(kept, folder)
    [next_slice] = write([made[-1]], folder / "next")
    return Phantom(made[0].StudyInstanceUID, made[0].SeriesInstanceUID, paths, next_slice)


def _slice(size: int, index: int) -> NDArray[np.int16]:
    """``(row, column)`` HU."""
    row, column = np.mgrid[0:size, 0:size] / size * 460.0 - 230.0
    noise = np.random.default_rng(index).normal(0, 8, (size, size))
    hounsfield = np.full((size, size), -1000.0)
    hounsfield[(column / 180) ** 2 + (row / 120) ** 2 < 1] = 40
    radius = (column / 165) ** 2 + (row / 105) ** 2
    angle = np.arctan2(row, column)
    hounsfield[(radius > 0.85) & (radius < 1) & (np.sin(angle * 9 + index / 3) > 0.3)] = 450
    for side in (-1, 1):
        hounsfield[((column - side * 75) / 55) ** 2 + ((row + 10) / 70) ** 2 < 1] = -850
    hounsfield[((column) / 22) ** 2 + ((row - 75) / 22) ** 2 < 1] = 380
    return np.asarray(np.where(hounsfield > -990, hounsfield + noise, hounsfield), dtype=np.int16)
