"""What a model answers, typed, always on the grid of the image that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.labels import Code


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Outlined structures; they may overlap.

    Parameters
    ----------
    masks
        By `models.labels.Structure.key`: boolean ``(slice, row, column)`` arrays on the source grid. A structure that was
        looked for and not found is an all-false mask, or is named in `absent` and left out.
    absent
        Keys of structures that were looked for and are not in the image.
    """

    masks: Mapping[str, NDArray[np.bool_]]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Outlined structures that do not overlap; for many structures on a large grid.

    Parameters
    ----------
    array
        ``(slice, row, column)`` unsigned integers; 0 is background, n is ``keys[n - 1]``.
    keys
        `models.labels.Structure.key` of each value.
    """

    array: NDArray[np.uint8] | NDArray[np.uint16]
    keys: tuple[str, ...]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rating:
    """A classifier's calibrated answer for one finding.

    Parameters
    ----------
    key
        `models.labels.Finding.key`.
    probability
        Calibrated, 0 to 1.
    spread
        Standard deviation of the probability over test-time variants (flips, crops), where the model computes it.
    """

    key: str
    probability: float
    spread: float | None = None


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Where in the image a classifier's answer for one finding comes from.

    Parameters
    ----------
    key
        `models.labels.Finding.key`.
    array
        ``(slice, row, column)`` float32 on the source grid, 0 to 1: 1 where most speaks for the finding, 0 where nothing does.
        It says what the network looked at, not where the disease is.
    method
        How it was made, for the reader, e.g. "HiResCAM".
    """

    key: str
    array: NDArray[np.float32]
    method: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number that the model worked out itself, beyond what can be measured in an outline.

    Parameters
    ----------
    key
        Unique in a prediction, in lower case; the tracking identity follows from it.
    name
        What a radiologist reads, e.g. "Left ventricular ejection fraction".
    code
        What was measured, e.g. LN 8811-2.
    value
        In `unit`.
    unit
        A UCUM code.
    """

    key: str
    name: str
    code: Code
    value: float
    unit: Code


@dataclass(frozen=True, slots=True)
class Prediction:
    """All that one model says of one image.

    Parameters
    ----------
    segmentation
        Outlines, or None.
    ratings
        Findings with probabilities.
    notes
        Sentences for the radiologist about this very image, in English, without patient data, e.g.
        "left lung cut off at the edge".
    heat_maps
        At most one for each rating.
    measurements
        Numbers of the model's own.
    """

    segmentation: Segmentation | LabelMap | None = None
    ratings: tuple[Rating, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
    heat_maps: tuple[HeatMap, ...] = ()
    measurements: tuple[Measurement, ...] = ()
