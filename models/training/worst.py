"""Which rows of a labelled folder a model answered worst, and what its outlines were compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.manifest import Manifest
from models.prediction import Prediction
from models.training.metrics import dice
from models.training.outline_figures import Answers, Compared, compared
from models.training.tables import Row, read_rows

SHOWN: Final = 6
"""Cases that are shown at most."""


@dataclass(frozen=True, slots=True)
class Worst:
    """One row that was answered badly.

    Parameters
    ----------
    row
        Of ``index.csv``.
    number
        Of the row there, from 1: it says which image it is and nothing of whom.
    words
        What was answered, and what is right.
    key
        The structure or finding that it is about.
    """

    row: Row
    number: int
    words: str
    key: str


def worst(manifest: Manifest, folder: Path, answers: Answers, count: int = SHOWN) -> list[Worst]:
    """The rows with the lowest Dice, or those whose finding was called wrongly with the greatest certainty.

    Masks that are too small to be scored (`models.manifest.Pictures.small_mask_pixels`) are left out.

    Returns
    -------
    list
        The worst first; of findings fewer than `count` where fewer were called wrongly.
    """
    numbers = {row["image"]: number for number, row in enumerate(read_rows(folder), 1)}
    judge = _outlined if manifest.structures else _rated
    found = [(*one, row) for row, said in answers if (one := judge(manifest, folder, row, said)) is not None]
    found.sort(key=lambda one: (one[0], numbers[one[3]["image"]]))
    return [Worst(row, numbers[row["image"]], words, key) for _, words, key, row in found[:count]]


def _outlined(manifest: Manifest, folder: Path, row: Row, said: Prediction) -> tuple[float, str, str] | None:
    pair: Compared | None = compared(manifest, folder, row, said)
    if pair is None:
        return None
    score = dice(pair.found, pair.truth)
    return score, f"{pair.name}: Dice {score:.2f}", pair.key


def _rated(manifest: Manifest, _folder: Path, row: Row, said: Prediction) -> tuple[float, str, str] | None:
    """How much was left for the truth, where the answer is wrong."""
    names = {finding.key: finding.name for finding in manifest.findings}
    rated = {rating.key: rating.probability for rating in said.ratings}
    right = f"label {row['label']}"
    if manifest.one_of:
        called = max(rated, key=lambda key: rated[key])
        if called == row["label"]:
            return None
        return rated[row["label"]], f"{right}, called {names[called]} ({rated[called]:.0%})", called
    wrong = []
    for finding in manifest.findings:
        probability = rated[finding.key]
        if (probability >= finding.threshold) != (row["label"] == finding.key):
            left = probability if row["label"] == finding.key else 1 - probability
            wrong.append((left, f"{right}, {finding.name} rated {probability:.0%}", finding.key))
    return min(wrong, default=None)
