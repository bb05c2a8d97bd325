"""Whether what the lung network found is a frontal chest, upright and not inverted: measured, then judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from models.networks.lung_net import Kind
from models.runtimes.film import Grey, Letterbox
from models.runtimes.lateral_view import MOST_LATERAL, between, looks_lateral, mirrored, uneven
from models.runtimes.lung_fields import LungAnswer, LungFields, LungFinder, Mask, find_fields
from node.store.errors import Refused

LEAST_UPRIGHT: Final = 0.1
"""Probability of an upright frontal chest below which a film is refused."""

SMALLEST_FIELD: Final = 0.02
"""Part of the film that the smaller lung field takes at least."""

LEAST_TALL: Final = 0.7
LEAST_CONFIDENCE: Final = 0.75

_REASONS: Final = {
    Kind.UPSIDE_DOWN: "the film appears to lie upside down",
    Kind.TURNED: "the film appears to be turned by a quarter",
    Kind.INVERTED: "the film appears inverted: air is bright and bone is dark",
    Kind.OTHER: "the picture does not look like a frontal chest radiograph",
}


@dataclass(frozen=True, slots=True)
class Signs:
    """What is measured of two lung fields; of a single one areas and confidence alone.

    Parameters
    ----------
    areas
        Left and right field, as parts of the film.
    confidence
        Mean probability of the network inside the fields.
    apart
        Distance of the two centroids along rows, as a part of the film's width; negative where they are on the wrong sides.
    askew
        Distance of the two centroids along columns, as a part of the film's height.
    tall
        Height over width, of the less tall field.
    taper
        Width of the upper third over that of the lower third, mean of both fields; above 1 for lungs upside down.
    between
        Mean probability of lung between the two fields (`models.runtimes.lateral_view`).
    mirrored
        Overlap of one field with the mirror image of the other (`models.runtimes.lateral_view`).
    uneven
        Difference of their grey values (`models.runtimes.lateral_view`).
    """

    areas: tuple[float, float]
    confidence: float
    apart: float = 0.0
    askew: float = 0.0
    tall: float = 0.0
    taper: float = 0.0
    between: float = 0.0
    mirrored: float = 0.0
    uneven: float = 0.0


def _extent(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _taper(mask: Mask) -> float:
    top, bottom, _, _ = _extent(mask)
    third = max(1, (bottom - top) // 3)
    widths = mask.sum(axis=1)
    return float(widths[top : top + third].mean() / max(1e-6, widths[bottom - third : bottom].mean()))


def measure(fields: LungFields, answer: LungAnswer) -> Signs:
    """Measure two fields on the square that they were found on.

    Parameters
    ----------
    fields
        That `find_fields` made of `answer`.
    """
    rows, columns = answer.box.inner
    areas = tuple(float(side.sum() / (rows * columns)) for side in (fields.left, fields.right))
    if not all(areas):
        return Signs((areas[0], areas[1]), fields.confidence)
    (y_left, x_left), (y_right, x_right) = (ndimage.center_of_mass(side) for side in (fields.left, fields.right))
    talls = []
    for side in (fields.left, fields.right):
        top, bottom, start, end = _extent(side)
        talls.append((bottom - top) / (end - start))
    return Signs(
        areas=(areas[0], areas[1]),
        confidence=fields.confidence,
        apart=float(x_right - x_left) / columns,
        askew=abs(float(y_right - y_left)) / rows,
        tall=min(talls),
        taper=(_taper(fields.left) + _taper(fields.right)) / 2,
        between=between(fields, answer.probabilities),
        mirrored=mirrored(fields),
        uneven=uneven(fields, answer.film),
    )


@dataclass(frozen=True, slots=True)
class Chest:
    """An upright frontal chest with its lung fields.

    Parameters
    ----------
    film
        ``(row, column)``, upright.
    fields
        On the square that `box` describes.
    probabilities
        ``(2, SIZE, SIZE)`` of the network.
    kinds
        Probability of each `Kind` of picture.
    signs
        What was measured.
    threshold
        Probability from which a place counts as lung.
    """

    film: Grey
    fields: LungFields
    probabilities: NDArray[np.float32]
    kinds: tuple[float, ...]
    box: Letterbox
    signs: Signs
    threshold: float

    def outlines(self) -> tuple[Mask, Mask]:
        """Lung at the left and at the right of the film, ``(row, column)`` on the film's grid."""
        maps = []
        least, most = np.float32(self.threshold + 0.01), np.float32(self.threshold - 0.01)
        for side, probability in zip((self.fields.left, self.fields.right), self.probabilities, strict=True):
            # The square's masks decide which regions count; the probabilities, interpolated, where exactly their edges run.
            edge = ndimage.binary_dilation(side, iterations=2)
            maps.append(np.where(side, np.maximum(probability, least), np.where(edge, np.minimum(probability, most), 0.0)))
        grown = self.box.grow(torch.from_numpy(np.stack(maps)[np.newaxis].astype(np.float32)))
        left, right = grown >= self.threshold
        return left, right & ~left

    @property
    def notes(self) -> tuple[str, ...]:
        """What a radiologist should know of the fields on this film."""
        (top, left), (rows, columns) = self.box.offset, self.box.inner
        both = (self.fields.left | self.fields.right)[top : top + rows, left : left + columns]
        cut = [name for name, line in (("top", both[0]), ("bottom", both[-1])) if line.mean() > 0.1]
        cut += [name for name, line in (("left", both[:, 0]), ("right", both[:, -1])) if line.mean() > 0.1]
        return (f"Lung fields are cut off at the {' and '.join(cut)} edge of the film.",) if cut else ()


class FrontalChest:
    """Finds the lung fields of a film and refuses what is no upright, uninverted frontal chest.

    Parameters
    ----------
    finder
        The lung network.
    threshold
        Probability from which a place counts as lung.
    """

    def __init__(self, finder: LungFinder, threshold: float = 0.5) -> None:
        self._finder, self._threshold = finder, threshold

    def look(self, film: Grey) -> Chest:
        """Find and measure, without a verdict."""
        answer = self._finder.answer(film)
        fields = find_fields(answer.probabilities, self._threshold)
        signs = measure(fields, answer)
        return Chest(film, fields, answer.probabilities, answer.kinds, answer.box, signs, self._threshold)

    def read(self, film: Grey) -> Chest:
        """Find the lung fields of an upright film.

        Raises
        ------
        Refused
            With code ``no-lungs``, ``lateral``, ``inverted``, ``turned``, ``upside-down`` or ``other``.
        """
        chest = self.look(film)
        fault = judge(chest.kinds, chest.signs)
        if fault is None:
            return chest
        raise Refused(*fault)


def judge(kinds: tuple[float, ...], signs: Signs) -> tuple[str, str] | None:
    """Why this is no upright frontal chest: reason and code, or None.

    The limits let pass all films of the training split but a stated few (see the model card): refusing a valid film is a fault.
    """
    if kinds[0] < LEAST_UPRIGHT:
        _, kind = max(zip(kinds[1:], tuple(Kind)[1:], strict=True))
        return _REASONS[kind], kind.value
    if min(signs.areas) < SMALLEST_FIELD:
        return "no lung fields are found on both sides: reads frontal chest radiographs only", "no-lungs"
    if signs.apart <= 0 or signs.tall < LEAST_TALL or signs.confidence < LEAST_CONFIDENCE:
        return "what is found has not the shape of lung fields: reads frontal chest radiographs only", "no-lungs"
    if looks_lateral(kinds[0], signs.between, signs.mirrored, signs.uneven) > MOST_LATERAL:
        return (
            "looks like a lateral view: no mediastinum parts two lung fields that mirror each other; "
            "reads frontal (PA or AP) chest radiographs only",
            "lateral",
        )
    return None
