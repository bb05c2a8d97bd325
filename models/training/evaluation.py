"""A model's figures on a labelled folder, by the very runtime that reads in the hospital."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.image import Header, Image, SpacingKind
from models.manifest import Manifest, read_library, read_manifest
from models.prediction import LabelMap, Prediction, Segmentation
from models.runtime import Model, load_model
from models.runtimes.chest_views import Shown
from models.runtimes.lung_fields import split_sides
from models.training.marked import marked_film
from models.training.metrics import classification, dice, segmentation
from models.training.tables import Row, read_grey, read_rows, split_rows
from node.store.errors import ConfigurationError, Refused

Advance = Callable[[], None]

_GROUPS = ("view", "source", "licence")
"""Columns by which figures are also given group by group."""


@runtime_checkable
class ShowsParts(Protocol):
    """A model that can be shown a part of the film only, to learn what its answer rests on."""

    def showing(self, part: Shown) -> Model:
        """The same model, shown `part`."""
        ...


def film_image(grey: NDArray[np.float32], modality: str = "CR", view: str = "") -> Image:
    """A picture of a radiograph as the worker would hand it to a model: one slice, no geometry, no spacing."""
    header = Header(
        modality=modality, view_position=view.split(maxsplit=1)[0] if view else "", photometric_interpretation="MONOCHROME2"
    )
    return Image(grey[np.newaxis].astype(np.float32), None, None, SpacingKind.NONE, header)


def evaluate(manifest: Manifest, model: Model, folder: Path, split: str, advance: Advance = lambda: None) -> dict[str, Any]:
    """Run `model` on every row of a split and return its figures.

    Parameters
    ----------
    manifest, model
        What is evaluated.
    folder
        With an ``index.csv``: column ``mask`` for a model with structures, ``label`` for one with findings.
    advance
        Called after each image.

    Returns
    -------
    dict
        ``auroc`` or ``dice`` with its interval, ``n``, ``refused`` (by code under ``refusals``), the rest under ``per_label``.
        Images that the model refuses are in no figure but those two.

    Raises
    ------
    ConfigurationError
        Where the folder has no labels that fit the model, or the model refuses every image.
    """
    labels = "mask" if manifest.structures else "label"
    rows = split_rows(read_rows(folder, labels), split)
    refusals: Counter[str] = Counter()
    figures = _outline_figures if manifest.structures else _finding_figures

    def answered() -> Iterator[tuple[Row, Prediction]]:
        for row in rows:
            try:
                yield row, model.predict(_image(folder, row))
            except Refused as refused:
                refusals[refused.code] += 1
            advance()

    answers = list(answered())
    if not answers:
        raise ConfigurationError(f"{manifest.name} refused all {len(rows)} images: {dict(refusals)}")
    headline, per_label = figures(manifest, folder, answers)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "dataset": folder.name,
        "split": split,
        "n": len(answers),
        "refused": sum(refusals.values()),
        "refusals": dict(sorted(refusals.items())),
        **headline,
        "per_label": per_label,
    }


def _image(folder: Path, row: Row) -> Image:
    """The row's film, with its marked region where the folder lists regions."""
    marked = marked_film(folder, row) if row.get("rois") else None
    return marked or film_image(read_grey(folder / row["image"]), view=row.get("view", ""))


Answers = Sequence[tuple[Row, Prediction]]
Figures = tuple[dict[str, Any], dict[str, Any]]


def _outlines(segmentation: Segmentation | LabelMap | None, keys: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """``(row, column)`` masks of the first slice by structure; structures that are not in the image are left out."""
    if isinstance(segmentation, LabelMap):
        return {key: segmentation.array[0] == index for index, key in enumerate(segmentation.keys, 1)}
    return {key: segmentation.masks[key][0] for key in keys if key in segmentation.masks} if segmentation else {}


def _outline_figures(manifest: Manifest, folder: Path, answers: Answers) -> Figures:
    """Dice of all structures together, which is what the masks of a labelled folder hold, and of each side of a pair."""
    keys = [structure.key for structure in manifest.structures]
    sides = {f"{name}_{side}": side for name in ("lung",) for side in ("right", "left")}
    scores: dict[str, list[float]] = {"together": [], **{key: [] for key in keys if key in sides}}
    for row, prediction in answers:
        truth = read_grey(folder / row["mask"]) > 127
        found = _outlines(prediction.segmentation, keys)
        nothing = np.zeros_like(truth)
        scores["together"].append(dice(np.logical_or.reduce([nothing, *found.values()]), truth))
        halves = dict(zip(("right", "left"), split_sides(truth), strict=True))
        for key in keys:
            if key in sides:
                scores[key].append(dice(found.get(key, nothing), halves[sides[key]]))
    groups = [row["patient"] for row, _ in answers]
    per_label: dict[str, Any] = {key: segmentation(np.asarray(values), groups) for key, values in scores.items()}
    together = per_label["together"]
    together["by_group"] = _by_group([row for row, _ in answers], np.asarray(scores["together"]))
    return {"dice": together["dice"], "dice_ci": together["dice_ci"], "dice_is_of": "all structures together"}, per_label


def _by_group(rows: Sequence[Row], scores: NDArray[np.float64]) -> dict[str, dict[str, float | int]]:
    """Mean and worst Dice of each group of films that the folder names, e.g. ``view=PA``."""
    found: dict[str, dict[str, float | int]] = {}
    for column in _GROUPS:
        values = sorted({row[column] for row in rows if row.get(column)})
        for value in values if len(values) > 1 else ():
            chosen = scores[[row.get(column) == value for row in rows]]
            found[f"{column}={value}"] = {"n": chosen.size, "dice": float(chosen.mean()), "dice_min": float(chosen.min())}
    return found


def _finding_figures(manifest: Manifest, folder: Path, answers: Answers) -> Figures:  # noqa: ARG001 - as `_outline_figures`
    """Figures of each finding; a row has it where its ``label`` is the finding's key."""
    groups = [row["patient"] for row, _ in answers]
    per_label: dict[str, Any] = {}
    for finding in manifest.findings:
        truth = np.asarray([row["label"] == finding.key for row, _ in answers])
        rated = [{rating.key: rating.probability for rating in prediction.ratings} for _, prediction in answers]
        probabilities = np.asarray([ratings[finding.key] for ratings in rated])
        if not 0 < truth.sum() < truth.size:
            raise ConfigurationError(f"column label holds no row with, or none without, {finding.key}")
        per_label[finding.key] = classification(truth, probabilities, groups, finding.threshold, finding.unsure)
    first = per_label[manifest.findings[0].key]
    return {key: first[key] for key in ("auroc", "auroc_ci", "balanced_accuracy", "balanced_accuracy_ci")}, per_label


def load_for_evaluation(model: str, device: str, view: str | None) -> tuple[Manifest, Model]:
    """A model of the library, or of a folder, loaded as the worker loads it.

    Parameters
    ----------
    model
        A name, or a path of a folder with a ``model.toml``.
    view
        For runtimes that can hide parts of the film (`models.runtimes.chest_views.Shown`): which part is shown.

    Raises
    ------
    ConfigurationError
        Where there is no such model, a file of weights is missing or not the one of the manifest, or it has no such view.
    """
    if Path(model, "model.toml").is_file():
        manifest = read_manifest(Path(model))
    else:
        library = read_library()
        if model not in library:
            raise ConfigurationError(f"no model {model}; there are {', '.join(library)}")
        manifest = library[model]
    weights = {one.file: manifest.folder / one.file for one in manifest.weights}
    for one in manifest.weights:
        path = weights[one.file]
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
            raise ConfigurationError(f"{manifest.name}: {one.file} is missing or not the file that model.toml names by SHA-256")
    loaded = load_model(manifest, weights, device)
    if view is not None:
        if not isinstance(loaded, ShowsParts):
            raise ConfigurationError(f"{manifest.name} has no views")
        if view not in {one.value for one in Shown}:
            raise ConfigurationError(f"no view {view}; there are {', '.join(one.value for one in Shown)}")
        loaded = loaded.showing(Shown(view))
    return manifest, loaded
