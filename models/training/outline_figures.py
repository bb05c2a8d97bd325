"""Figures of models that outline: Dice of each structure whose masks a labelled folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.prediction import LabelMap, Prediction, Segmentation
from models.runtimes.lung_fields import split_sides
from models.training.groups import groups_of
from models.training.metrics import dice, segmentation
from models.training.samples import is_volume, read_sample
from models.training.tables import Row, read_grey
from node.store.errors import ConfigurationError

TOGETHER: Final = "together"
_SIDES: Final = {"lung_right": 0, "lung_left": 1}
"""Structures that are a side of what one mask holds: the image's left half first."""

Mask = NDArray[np.bool_]
Answers = Sequence[tuple[Row, Prediction]]
Figures = tuple[dict[str, Any], dict[str, Any]]


def mask_columns(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """By structure, in the manifest's order: the columns its masks come from (see `models.manifest.Pictures.masks`)."""
    return {one.key: manifest.pictures.masks[one.key] for one in manifest.structures if one.key in manifest.pictures.masks}


def needed_columns(manifest: Manifest) -> tuple[str, ...]:
    """Columns without which the model's outlines cannot be scored."""
    columns = mask_columns(manifest)
    return tuple(dict.fromkeys(name for names in columns.values() for name in names)) or ("mask",)


def outline_figures(manifest: Manifest, folder: Path, answers: Answers) -> Figures:
    """Headline and figures by structure.

    Where the manifest says which columns hold which structure, each is scored on the rows in which all of its columns are
    filled, and the first structure is the headline. Masks of fewer than `models.manifest.Pictures.small_mask_pixels` pixels,
    where Dice is a matter of single pixels, are figures of their own. Otherwise ``mask`` holds all structures together.

    Raises
    ------
    ConfigurationError
        Where a mask is missing.
    """
    if mask_columns(manifest):
        return _by_structure(manifest, folder, answers)
    return _together(manifest, folder, answers)


def _by_structure(manifest: Manifest, folder: Path, answers: Answers) -> Figures:
    small = manifest.pictures.small_mask_pixels
    per_label: dict[str, Any] = {}
    columns = mask_columns(manifest)
    for key, names in columns.items():
        kept = [(row, prediction) for row, prediction in answers if all(row[name] for name in names)]
        if not kept:
            continue
        truths = [_truth(folder, row, names) for row, _ in kept]
        outlines = [_outlines(prediction, (key,)).get(key) for _, prediction in kept]
        pairs = zip(outlines, truths, strict=True)
        scores = np.asarray([dice(np.zeros_like(truth) if found is None else found, truth) for found, truth in pairs])
        groups = np.asarray([row["patient"] for row, _ in kept])
        large = np.asarray([int(truth.sum()) >= small for truth in truths])
        per_label[key] = _part(scores, groups, large)
        per_label[key]["by_group"] = _by_group([row for (row, _), one in zip(kept, large, strict=True) if one], scores[large])
        if small:
            per_label[f"{key}, all sizes"] = _part(scores, groups, large | True)
            per_label[f"{key}, under {small} pixels"] = _part(scores, groups, ~large)
    per_label = {key: figures for key, figures in per_label.items() if figures.get("n")}
    if not per_label:
        raise ConfigurationError(f"no row that was read has a mask of a structure of {manifest.name}")
    first = next(iter(per_label))
    everything = per_label.get(f"{first}, all sizes", per_label[first])
    headline = {key: per_label[first][key] for key in ("dice", "dice_ci", "dice_min")}
    headline["dice_is_of"] = f"{first}, masks of {small} pixels or more" if small else first
    headline["dice_all_sizes"] = everything["dice"]
    return headline, per_label


def _part(scores: NDArray[np.float64], groups: NDArray[np.str_], chosen: Mask) -> dict[str, Any]:
    return dict(segmentation(scores[chosen], groups[chosen].tolist())) if chosen.any() else {}


def _truth(folder: Path, row: Row, names: Sequence[str]) -> Mask:
    """The first column's mask without what the others hold."""
    first, *others = (_read_mask(folder / row[name]) for name in names)
    truth: Mask = np.logical_and.reduce([first, *(~other for other in others)])
    return truth


def _read_mask(path: Path) -> Mask:
    """``(slice, row, column)``: what is above half of the brightest in a picture, and any label in a volume."""
    if not is_volume(path.name):
        return read_grey(path)[np.newaxis] > 127
    return np.asarray(read_sample(path).array > 0)


def _outlines(prediction: Prediction, keys: Sequence[str]) -> Mapping[str, Mask]:
    """``(slice, row, column)`` masks by structure; structures that are not in the image are left out."""
    found: Segmentation | LabelMap | None = prediction.segmentation
    if isinstance(found, LabelMap):
        return {key: np.asarray(found.array == index) for index, key in enumerate(found.keys, 1) if key in keys}
    return {key: found.masks[key] for key in keys if key in found.masks} if found else {}


@dataclass(frozen=True, slots=True)
class Compared:
    """What of one row was scored.

    Parameters
    ----------
    key, name
        The structure; where one mask holds all of them `TOGETHER`.
    found, truth
        ``(slice, row, column)``.
    """

    key: str
    name: str
    found: Mask
    truth: Mask


def compared(manifest: Manifest, folder: Path, row: Row, prediction: Prediction) -> Compared | None:
    """Outline and label of the structure that the headline figure is about; None where the row is not in that figure.

    Raises
    ------
    ConfigurationError
        Where the mask is missing.
    """
    columns = mask_columns(manifest)
    if not columns:
        truth = _read_mask(folder / row["mask"])
        keys = [structure.key for structure in manifest.structures]
        parts = _outlines(prediction, keys).values()
        return Compared(TOGETHER, "outlines", np.logical_or.reduce([np.zeros_like(truth), *parts]), truth)
    key, names = next(iter(columns.items()))
    if not all(row[name] for name in names):
        return None
    truth = _truth(folder, row, names)
    if int(truth.sum()) < manifest.pictures.small_mask_pixels:
        return None
    found = _outlines(prediction, (key,)).get(key)
    return Compared(key, manifest.structure(key).name, np.zeros_like(truth) if found is None else found, truth)


def _together(manifest: Manifest, folder: Path, answers: Answers) -> Figures:
    """Dice of all structures together, which is what the column ``mask`` holds, and of each side of a pair of lungs."""
    keys = [structure.key for structure in manifest.structures]
    scores: dict[str, list[float]] = {TOGETHER: [], **{key: [] for key in keys if key in _SIDES}}
    for row, prediction in answers:
        truth = _read_mask(folder / row["mask"])
        found = _outlines(prediction, keys)
        nothing = np.zeros_like(truth)
        scores[TOGETHER].append(dice(np.logical_or.reduce([nothing, *found.values()]), truth))
        halves = [half[np.newaxis] for half in split_sides(truth[0])] if any(key in _SIDES for key in keys) else []
        for key in keys:
            if key in _SIDES:
                scores[key].append(dice(found.get(key, nothing), halves[_SIDES[key]]))
    groups = [row["patient"] for row, _ in answers]
    per_label: dict[str, Any] = {key: segmentation(np.asarray(values), groups) for key, values in scores.items()}
    together = per_label[TOGETHER]
    together["by_group"] = _by_group([row for row, _ in answers], np.asarray(scores[TOGETHER]))
    headline = {key: together[key] for key in ("dice", "dice_ci", "dice_min")}
    return {**headline, "dice_is_of": "all structures together"}, per_label


def _by_group(rows: Sequence[Row], scores: NDArray[np.float64]) -> dict[str, dict[str, float | int]]:
    """Mean and worst Dice of each group of images that the folder names, e.g. ``view=PA``."""
    return {
        name: {"n": int(chosen.sum()), "dice": float(scores[chosen].mean()), "dice_min": float(scores[chosen].min())}
        for name, chosen in groups_of(rows, least=1).items()
    }
