"""What a model answers, typed, always on the grid of the image that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.image import Region
from models.labels import Calibration, Code


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
    calibration
        How far such probabilities were from what was observed; None where that was not measured. A model leaves it out:
        `models.runtime.answer` adds what the manifest states.
    """

    key: str
    probability: float
    spread: float | None = None
    calibration: Calibration | None = None


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
    image
        Of images that are read together: place in `models.image.Image.together` of the one on whose grid it lies. Their maps
        share one scale: 1 is the most in all of them. 0 for all else.
    """

    key: str
    array: NDArray[np.float32]
    method: str
    image: int = 0


@dataclass(frozen=True, slots=True)
class Located:
    """A finding at one place in the image.

    Parameters
    ----------
    key
        `models.labels.Finding.key`; several places of one finding may follow each other.
    probability
        Calibrated, 0 to 1.
    index
        Of the slice.
    place
        A disc, or the corners of a closed polygon, each once: ``(n, 2)`` rows and columns, from 0 at the middle of the upper left
        pixel.
    """

    key: str
    probability: float
    index: int
    place: Region | NDArray[np.float64]


class Moment(StrEnum):
    """Of the heart's cycle."""

    END_DIASTOLE = "end diastole"
    END_SYSTOLE = "end systole"


@dataclass(frozen=True, slots=True)
class Cycle:
    """What of a cycle the model's measurements rest on.

    Parameters
    ----------
    structure
        `models.labels.Structure.key` of what was followed over the cycle.
    phases
        Index of the phase that was taken for each moment.
    slices
        Those whose outlines were counted.
    """

    structure: str
    phases: Mapping[Moment, int]
    slices: tuple[int, ...]


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
    moment
        Of `Prediction.cycle`, with whose outline it is shown; None where it belongs to no outline.
    """

    key: str
    name: str
    code: Code
    value: float
    unit: Code
    moment: Moment | None = None


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
        At most one for each rating; where images are read together, one for each of them.
    measurements
        Numbers of the model's own.
    located
        Findings that have a place.
    cycle
        For measurements that compare two moments of a cycle.
    """

    segmentation: Segmentation | LabelMap | None = None
    ratings: tuple[Rating, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
    heat_maps: tuple[HeatMap, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    located: tuple[Located, ...] = ()
    cycle: Cycle | None = None
