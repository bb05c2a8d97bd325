"""Labelled folders: an ``index.csv`` that names images, labels, patients and splits."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from node.store.errors import ConfigurationError

Row = dict[str, str]

OPEN_LICENCES: Final = ("CC BY 3.0", "CC BY 4.0", "CC0")
"""Licences whose images may go into weights that are shipped."""


def read_rows(folder: Path, *columns: str) -> list[Row]:
    """All rows of ``folder/index.csv``.

    Parameters
    ----------
    folder
        A folder with an ``index.csv`` whose columns include ``split``, ``image``, ``patient`` and `columns`. Where patients are
        not known but lesions are, ``lesion`` stands for ``patient``.

    Raises
    ------
    ConfigurationError
        Where the file is missing or lacks a column.
    """
    path = folder / "index.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            present = set(reader.fieldnames or ())
    except OSError as missing:
        raise ConfigurationError(
            f"{path} cannot be read: {missing.strerror}; a data set is a folder with an index.csv"
        ) from missing
    if "patient" not in present and "lesion" in present:
        present.add("patient")
        for row in rows:
            row["patient"] = row["lesion"]
    for column in ("split", "image", "patient", *columns):
        if column not in present:
            raise ConfigurationError(f"{path} has no column {column}")
    return rows


def split_rows(rows: Sequence[Row], split: str) -> list[Row]:
    """Rows of one split.

    Raises
    ------
    ConfigurationError
        Where there is no such split.
    """
    chosen = [row for row in rows if row["split"] == split]
    if not chosen:
        names = ", ".join(sorted({row["split"] for row in rows}))
        raise ConfigurationError(f"no rows of split {split}; there are: {names}")
    return chosen


def folds_by_patient(rows: Sequence[Row], count: int, seed: int) -> list[int]:
    """The fold of each row, 0 to `count` - 1; a patient is in one fold only, and folds are as even as patients allow.

    Where rows have a ``label``, patients are dealt out label by label, so that each fold has its share of each.
    """
    patients: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        patients[row["patient"]].append(index)
    by_label: dict[str, list[str]] = defaultdict(list)
    for patient, indices in sorted(patients.items()):
        by_label[rows[indices[0]].get("label", "")].append(patient)
    folds = [0] * len(rows)
    order = random.Random(seed)
    for label in sorted(by_label):
        order.shuffle(by_label[label])
        sizes = [0] * count
        for patient in by_label[label]:
            fold = sizes.index(min(sizes))
            sizes[fold] += len(patients[patient])
            for index in patients[patient]:
                folds[index] = fold
    return folds


def read_grey(path: Path) -> NDArray[np.float32]:
    """The ``(row, column)`` grey values of a picture, 0 to 255.

    Raises
    ------
    ConfigurationError
        Where the file is missing or no picture.
    """
    return np.asarray(_read_picture(path, "L"), dtype=np.float32)


def read_colour(path: Path) -> NDArray[np.uint8]:
    """The ``(row, column, 3)`` red, green and blue of a picture, 0 to 255.

    Raises
    ------
    ConfigurationError
        Where the file is missing or no picture.
    """
    return np.asarray(_read_picture(path, "RGB"), dtype=np.uint8)


def _read_picture(path: Path, mode: str) -> Picture.Image:
    try:
        with Picture.open(path) as picture:
            return picture.convert(mode)
    except (OSError, UnidentifiedImageError) as broken:
        raise ConfigurationError(f"{path} cannot be read as a picture") from broken
