"""What the labels of a folder are, and how good held-out answers were: for findings and for outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.labels import CalibratedOn, Calibration, Finding, Structure
from models.manifest_text import Value
from models.training.calibration import unsure_band
from models.training.metrics import classification, dice, segmentation
from models.training.model_folder import NORMAL, Labels, finding_of, key_of, structures_of
from models.training.network_recipe import Labeller, Samples, mean_auroc
from models.training.samples import read_label_map, read_sample
from models.training.softmax_calibration import fit_softmax, of_shares
from models.training.stated import LEARNED_FROM, calibration_of
from models.training.tables import Row
from node.store.errors import ConfigurationError

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Measured:
    """What cross-validation gives the manifest and the record."""

    figures: dict[str, Any]
    structures: tuple[Structure, ...] = ()
    findings: tuple[Finding, ...] = ()
    parameters: dict[str, Value] = field(default_factory=dict)
    evaluation: dict[str, Value] = field(default_factory=dict)


class Said(Labeller, Protocol):
    """A folder's labels."""

    figure: str
    """Name of the headline figure."""

    def measure(self, answers: list[Tensor] | None, samples: Samples, patients: Sequence[str]) -> Measured:
        """Figures of held-out answers; where there are none, only what the labels say."""
        ...


class Findings:
    """Column ``label``: one class for each row; a class that is normal is no finding.

    Raises
    ------
    ConfigurationError
        Where there are fewer than two classes, or the normal one is not among them.
    """

    figure = "AUROC"

    def __init__(self, labels: Labels, folder: Path, rows: Sequence[Row], normal: str | None) -> None:
        self._labels, self._images = labels, f"{folder.name}/{LEARNED_FROM}"
        given = sorted({row["label"] for row in rows})
        keys = [key_of(label) for label in given]
        if len(set(keys)) < 2 or len(set(keys)) != len(given):
            raise ConfigurationError(f"column label must hold at least two classes that differ in letters; it holds {given}")
        self._number = {label: number for number, label in enumerate(given)}
        self.classes, self.outputs = keys, len(keys)
        if normal is not None and normal not in given:
            raise ConfigurationError(f"no row has the label {normal}; there are {', '.join(given)}")
        quiet = key_of(normal) if normal else next((one for one in NORMAL if one in keys), None)
        wanted = [finding.key for finding in labels.findings] or [key for key in keys if key != quiet]
        missing = [key for key in wanted if key not in keys]
        if missing:
            raise ConfigurationError(f"labels.toml has the finding {missing[0]}, which no row of train has")
        self._wanted = wanted

    def truth(self, folder: Path, row: Row) -> int:  # noqa: ARG002 - as `Outlines`
        """Number of the row's class."""
        return self._number[row["label"]]

    def measure(self, answers: list[Tensor] | None, samples: Samples, patients: Sequence[str]) -> Measured:
        """Calibrate, and measure each finding against the rest."""
        truths = samples.truths.numpy().astype(int)
        calibration = of_shares(truths, self.outputs)
        figures: dict[str, Any] = {}
        bands: dict[str, tuple[float, float]] = {}
        stated: dict[str, Calibration] = {}
        evaluation: dict[str, Value] = {}
        if answers is not None:
            logits = torch.stack(answers).double().numpy()
            calibration = fit_softmax(truths, logits)
            likely = calibration.probabilities(logits)
            for key in self._wanted:
                number = self.classes.index(key)
                flags = truths == number
                bands[key] = unsure_band(flags, likely[:, number], THRESHOLD)
                figures[key] = classification(flags, likely[:, number], patients, THRESHOLD, bands[key])
                stated[key] = calibration_of(figures[key], self._images, CalibratedOn.FOLDS)
            area = round(mean_auroc(likely, truths), 4)
            evaluation = {"auroc": area, "on": f"cross-validation inside train, {truths.size} images"}
        findings = tuple(finding_of(self._labels, key, THRESHOLD, bands.get(key), stated.get(key)) for key in self._wanted)
        parameters: dict[str, Value] = {
            "classes": list(self.classes),
            "slope": round(calibration.slope, 5),
            "offsets": [round(one, 5) for one in calibration.offsets],
        }
        return Measured(figures, findings=findings, parameters=parameters, evaluation=evaluation)


class Outlines:
    """Column ``mask``: a label map for each row.

    Raises
    ------
    ConfigurationError
        Where masks hold no structure, or more than ``labels.toml`` names.
    """

    figure = "Dice"

    def __init__(self, labels: Labels, folder: Path, rows: Sequence[Row]) -> None:
        count = len(labels.structures) or _structures_in(folder, rows)
        self.structures = structures_of(labels, count)
        self.outputs = len(self.structures) + 1

    def truth(self, folder: Path, row: Row) -> NDArray[np.uint8]:
        """The row's label map."""
        return read_label_map(folder / row["mask"], len(self.structures))

    def measure(self, answers: list[Tensor] | None, samples: Samples, patients: Sequence[str]) -> Measured:
        """Dice of each structure over the images that have it."""
        figures: dict[str, Any] = {}
        evaluation: dict[str, Value] = {}
        for number, structure in enumerate(self.structures, 1) if answers is not None else ():
            pairs = [(a == number, t == number, p) for a, t, p in zip(answers or (), samples.truths, patients, strict=True)]
            kept = [(found, truth, patient) for found, truth, patient in pairs if truth.any()]
            if kept:
                scores = [dice(found.numpy(), truth.numpy()) for found, truth, _ in kept]
                figures[structure.key] = segmentation(np.asarray(scores), [patient for *_, patient in kept])
        if figures:
            mean = float(np.mean([figure["dice"] for figure in figures.values()]))
            evaluation = {"dice": round(mean, 4), "on": f"cross-validation inside train, {len(patients)} images"}
        return Measured(figures, structures=self.structures, evaluation=evaluation)


def _structures_in(folder: Path, rows: Sequence[Row]) -> int:
    """One where masks are black and white, else the largest number in them."""
    largest, values = 0, set()
    for row in rows:
        found = np.unique(read_sample(folder / row["mask"]).array)
        values.update(found[:3].tolist())
        largest = max(largest, int(found[-1]))
    if largest < 1:
        raise ConfigurationError("the masks of train are all empty")
    if largest == 255 and len(values) <= 2:
        return 1
    if largest > 120:
        raise ConfigurationError(f"masks hold {largest}: write 1 for the first structure, 2 for the second and so on")
    return largest
