"""What changes over a cycle: volumes and ejection fraction where the slices span the ventricle, else the change of area."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.image import Image
from models.labels import Code
from models.prediction import Cycle, Measurement, Moment

LEAST_SLICES: Final = 5
LEAST_LENGTH_MM: Final = 60.0
"""A ventricle of an adult is 70 to 100 mm long from the mitral valve to the apex."""

CLOSED: Final = 0.4
"""At the apex the cavity ends: its area on the last slice that shows it is at most this part of the largest."""

_EDV: Final = Code(scheme="LN", value="18026-5", meaning="Left Ventricular End Diastolic Volume")
_ESV: Final = Code(scheme="LN", value="18148-7", meaning="Left Ventricular End Systolic Volume")
_EF: Final = Code(scheme="LN", value="8811-2", meaning="Left ventricular ejection fraction by MR")
_STROKE: Final = Code(scheme="SCT", value="90096001", meaning="Stroke Volume")
_AREA_CHANGE: Final = Code(scheme="SCT", value="399287000", meaning="Left Ventricular Fractional Area Change")
_ML: Final = Code(scheme="UCUM", value="ml", meaning="milliliter")
_PERCENT: Final = Code(scheme="UCUM", value="%", meaning="Percent")

Mask = NDArray[np.bool_]
Found = tuple[tuple[Measurement, ...], tuple[str, ...], Cycle | None]


def measure_cycle(cavity: Mask, image: Image, structure: str) -> Found:
    """Measure the cavity over the cycle.

    Parameters
    ----------
    cavity
        ``(slice * phase, row, column)``, as `models.image.Image.phases` orders them.
    structure
        `models.labels.Structure.key` of the cavity.

    Returns
    -------
    tuple
        Measurements, notes that say which phases were compared and why nothing else was measured, and the outlines that were
        compared, None where none were. Without phases: nothing.
    """
    if image.phases < 2:
        return (), (), None
    areas = cavity.reshape(image.slices, image.phases, -1).sum(-1).astype(np.float64)
    why = why_no_volume(areas, image)
    return _area_change(areas, image, why, structure) if why else _volumes(areas, image, structure)


def why_no_volume(areas: NDArray[np.float64], image: Image) -> str:
    """Why the slices give no volume of the ventricle; ``""`` where they do.

    Parameters
    ----------
    areas
        ``(slice, phase)`` pixels of the cavity.
    """
    if image.affine is None or image.spacing_mm is None:
        return "the images do not say where they lie"
    fullest = areas[:, int(np.argmax(areas.sum(0)))]
    shown = np.flatnonzero(fullest)
    length_mm = len(shown) * image.spacing_mm[0]
    if len(shown) < LEAST_SLICES or length_mm < LEAST_LENGTH_MM:
        return f"the slices do not span the ventricle: it is on {len(shown)} of them, {length_mm:.0f} mm"
    if shown[-1] - shown[0] + 1 != len(shown):
        return "the ventricle was not found on a slice between others that show it"
    ends = min(fullest[shown[0]], fullest[shown[-1]])
    if ends > CLOSED * fullest.max():
        return "the slices do not reach the apex: the cavity is still wide on the last slice at both ends"
    return ""


def _volumes(areas: NDArray[np.float64], image: Image, structure: str) -> Found:
    if image.affine is None:
        return (), (), None
    pixel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000
    volumes = areas.sum(0) * pixel_ml
    largest, smallest = int(np.argmax(volumes)), int(np.argmin(volumes))
    diastole, systole = float(volumes[largest]), float(volumes[smallest])
    fraction, beat = _percent(diastole, systole), round(diastole - systole, 1)
    full, empty = Moment.END_DIASTOLE, Moment.END_SYSTOLE
    measurements = (
        Measurement("lv_ejection_fraction", "Left ventricular ejection fraction", _EF, fraction, _PERCENT, full),
        Measurement("lv_end_diastolic_volume", "Left ventricular end-diastolic volume", _EDV, round(diastole, 1), _ML, full),
        Measurement("lv_end_systolic_volume", "Left ventricular end-systolic volume", _ESV, round(systole, 1), _ML, empty),
        Measurement("lv_stroke_volume", "Left ventricular stroke volume", _STROKE, beat, _ML, full),
    )
    counted = tuple(int(index) for index in np.flatnonzero(areas[:, largest] + areas[:, smallest]))
    notes = (
        f"Ventricle largest in phase {largest + 1}, smallest in phase {smallest + 1} of {image.phases}; volumes are summed over "
        f"{int(np.count_nonzero(areas[:, largest]))} slices, papillary muscles counted as the reader of the training data did. "
        "Whether the uppermost slices still belong to the ventricle was not judged: check them first.",
    )
    return measurements, notes, Cycle(structure, {full: largest, empty: smallest}, counted)


def _area_change(areas: NDArray[np.float64], image: Image, why: str, structure: str) -> Found:
    widest = int(np.argmax(areas.max(1)))
    over = areas[widest]
    if not over.all():
        return (
            (),
            (f"No ejection fraction: {why}. The cavity was not found in every phase of any slice, so no change was measured.",),
            None,
        )
    largest, smallest = int(np.argmax(over)), int(np.argmin(over))
    change = Measurement(
        "lv_area_change",
        "Left ventricular fractional area change on one slice",
        _AREA_CHANGE,
        _percent(over[largest], over[smallest]),
        _PERCENT,
        Moment.END_DIASTOLE,
    )
    notes = (
        f"No ejection fraction: {why}. The change of area is that of slice {widest + 1} of {image.slices}: largest in phase "
        f"{largest + 1}, smallest in phase {smallest + 1} of {image.phases}.",
    )
    return (change,), notes, Cycle(structure, {Moment.END_DIASTOLE: largest, Moment.END_SYSTOLE: smallest}, (widest,))


def _percent(largest: float, smallest: float) -> float:
    return round(float(100 * (largest - smallest) / largest), 1)
