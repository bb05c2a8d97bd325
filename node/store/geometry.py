"""Where slices lie in the patient, and whether together they make a volume: the one verdict that node and workers share.

Nothing is guessed: what does not make a regular grid is refused with the number and the place of the fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.store.errors import Refused

ANGLE_TOLERANCE: Final = 2e-3
"""Largest difference of a direction cosine between slices of one stack (about 0.1 degree; scanners round to 6 digits)."""
SAME_PLACE_MM: Final = 0.01
"""Two slices nearer than this, mm, are at the same position."""
ROUNDING_MM: Final = 0.06
"""Positions rounded to 0.1 mm are off by up to half of that; a slice may stray this far from the regular grid anyway."""
SPACING_TOLERANCE: Final = 0.05
"""Part of the slice spacing by which a slice may stray from the regular grid."""
SHEAR_NOTE_DEGREE: Final = 1.0
"""Gantry tilt from which on a note is made."""

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Plane:
    """Place and directions of one frame (PS3.3 section C.7.6.2.1.1), LPS millimetres.

    Parameters
    ----------
    position_mm
        Centre of the first pixel.
    row_direction
        Unit vector from one column to the next.
    column_direction
        Unit vector from one row to the next.
    """

    position_mm: Vector
    row_direction: Vector
    column_direction: Vector

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the plane: row direction times column direction."""
        return np.cross(self.row_direction, self.column_direction)

    def is_parallel(self, other: Plane) -> bool:
        """Whether both planes have the same orientation, turned the same way."""
        mine = (*self.row_direction, *self.column_direction)
        theirs = (*other.row_direction, *other.column_direction)
        return all(abs(a - b) <= ANGLE_TOLERANCE for a, b in zip(mine, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Slice:
    """What the geometry of a stack depends on, for one frame.

    Parameters
    ----------
    name
        How a person finds it, e.g. ``"instance 1.2.3"`` or ``"frame 4"``.
    plane
        None where position or orientation is absent or invalid; `fault` then says which.
    pixel_spacing_mm
        Between rows, between columns; None where not stated or not positive.
    thickness_mm
        Slice Thickness; None where not stated or not positive.
    """

    name: str
    plane: Plane | None
    pixel_spacing_mm: tuple[float, float] | None
    thickness_mm: float | None
    rows: int
    columns: int
    frame_of_reference_uid: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular volume.

    Parameters
    ----------
    order
        Indices of the slices that were given, along the normal.
    affine
        ``(4, 4)`` float64, (slice, row, column, 1) to LPS mm; sheared where the gantry was tilted.
    spacing_mm
        Between slices (perpendicular), rows, columns.
    notes
        What a person should know, e.g. an assumed thickness.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    notes: tuple[str, ...] = ()


def parse_plane(position: Sequence[float] | None, orientation: Sequence[float] | None) -> Plane:
    """Check Image Position (Patient) and Image Orientation (Patient) and make a plane of them.

    Raises
    ------
    Refused
        Where one is absent, not finite, or the directions are not two unit vectors at right angles.
    """
    if position is None or len(position) != 3 or not np.isfinite(position).all():
        raise Refused("Image Position (Patient) is absent or invalid: the images do not say where they lie", "no-position")
    if orientation is None or len(orientation) != 6 or not np.isfinite(orientation).all():
        raise Refused("Image Orientation (Patient) is absent or invalid: the images do not say how they lie", "no-orientation")
    row, column = np.asarray(orientation[:3], dtype=np.float64), np.asarray(orientation[3:], dtype=np.float64)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 0.01 or abs(float(row @ column)) > 0.01:
        raise Refused(
            "Image Orientation (Patient) does not hold two unit vectors at right angles: the images do not say how they lie",
            "no-orientation",
        )
    row, column = row / lengths[0], column / lengths[1]
    x, y, z = (float(value) for value in position)
    return Plane((x, y, z), _vector(row), _vector(column))


def build_grid(slices: Sequence[Slice]) -> Grid:
    """Put slices in order and check that they make one regular volume.

    A uniform gantry tilt is kept as shear of the affine. A single slice is a grid of one; its thickness is Slice Thickness, or
    1 mm with a note where none is stated.

    Raises
    ------
    Refused
        With a code: ``no-position``, ``no-orientation``, ``no-pixel-spacing``, ``no-frame-of-reference``,
        ``frames-of-reference-differ``, ``sizes-differ``, ``spacings-differ``, ``mixed-orientations``, ``doubled-slice``,
        ``missing-slice``, ``unequal-spacing`` or ``shifted-slice``.
    """
    planes = _planes(slices)
    spacing = _in_plane(slices)
    first = planes[0]
    if len(planes) == 1:
        return _single(slices[0], first, spacing)
    for one, plane in zip(slices, planes, strict=True):
        if not plane.is_parallel(first):
            raise Refused(f"mixed orientations: {one.name} does not lie parallel to {slices[0].name}", "mixed-orientations")
    normal = first.normal
    places = np.array([plane.position_mm for plane in planes])
    along = places @ normal
    order = np.argsort(along, kind="stable")
    names = [slices[index].name for index in order]
    distance = _check_steps(along[order], names)
    step, origin = _fit(places[order], normal, distance, names, spacing)
    affine = _affine(origin, step, first, spacing)
    notes = _shear_note(step, normal)
    return Grid(tuple(int(index) for index in order), affine, (float(step @ normal), *spacing), notes)


def _planes(slices: Sequence[Slice]) -> list[Plane]:
    planes = []
    for one in slices:
        if one.plane is None:
            raise Refused(one.fault or "the images do not say where they lie in the patient", "no-position")
        planes.append(one.plane)
    references = {one.frame_of_reference_uid for one in slices}
    if "" in references:
        raise Refused(
            "the images have lost their Frame of Reference UID: a segmentation cannot refer to them", "no-frame-of-reference"
        )
    if len(references) > 1:
        raise Refused("the images of this stack have different Frame of Reference UIDs", "frames-of-reference-differ")
    return planes


def _in_plane(slices: Sequence[Slice]) -> tuple[float, float]:
    sizes = {(one.rows, one.columns) for one in slices}
    if len(sizes) > 1:
        told = ", ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        raise Refused(f"the images of this stack differ in size: {told}", "sizes-differ")
    first = slices[0].pixel_spacing_mm
    for one in slices:
        if one.pixel_spacing_mm is None or first is None:
            raise Refused(
                f"Pixel Spacing is absent or not positive ({one.name}): nothing can be measured in the patient",
                "no-pixel-spacing",
            )
        if any(abs(mine - theirs) > 1e-3 * theirs for mine, theirs in zip(one.pixel_spacing_mm, first, strict=True)):
            raise Refused(f"the images of this stack differ in Pixel Spacing ({one.name})", "spacings-differ")
    if first is None:
        raise Refused("there is no image", "no-position")
    return first


def _single(one: Slice, plane: Plane, spacing: tuple[float, float]) -> Grid:
    notes = () if one.thickness_mm else ("Slice Thickness is not stated: areas are measured, a volume is not known",)
    thickness = one.thickness_mm or 1.0
    affine = _affine(np.asarray(plane.position_mm), plane.normal * thickness, plane, spacing)
    return Grid((0,), affine, (thickness, *spacing), notes)


def _check_steps(along: NDArray[np.float64], names: Sequence[str]) -> float:
    """Return the spacing, mm, of sorted positions; refuse doubled and missing slices and changes of spacing."""
    steps = np.diff(along)
    nearest = int(np.argmin(steps))
    if steps[nearest] < SAME_PLACE_MM:
        raise Refused(
            f"a doubled slice: {names[nearest]} and {names[nearest + 1]} both lie at {along[nearest]:.2f} mm and differ",
            "doubled-slice",
        )
    spacing = float(np.sort(steps)[(len(steps) - 1) // 2])
    ratios = steps / spacing
    whole = np.rint(ratios)
    fits = np.abs(steps - whole * spacing) <= np.maximum(2 * ROUNDING_MM, 2 * SPACING_TOLERANCE * spacing)
    gaps = np.flatnonzero(whole >= 2)
    if gaps.size and fits.all() and gaps.size <= max(1, len(steps) // 3):
        raise _missing(along, names, gaps, int((whole[gaps] - 1).sum()))
    odd = np.flatnonzero(~fits | (whole != 1))
    if odd.size:
        at = int(odd[0])
        raise Refused(
            f"unequal spacing: {steps[at]:.2f} mm between positions {along[at]:.2f} and {along[at + 1]:.2f} mm "
            f"(after {names[at]}), {spacing:.2f} mm elsewhere",
            "unequal-spacing",
        )
    return spacing


def _missing(along: NDArray[np.float64], names: Sequence[str], gaps: NDArray[np.intp], count: int) -> Refused:
    at = int(gaps[0])
    total = len(along) + count
    what = "a slice is missing" if count == 1 else f"{count} slices are missing"
    others = f", and at {gaps.size - 1} more places" if gaps.size > 1 else ""
    return Refused(
        f"{what} between positions {along[at]:.2f} and {along[at + 1]:.2f} mm (after {names[at]}){others}; "
        f"{len(along)} of {total} are here",
        "missing-slice",
    )


def _fit(
    places: NDArray[np.float64],
    normal: NDArray[np.float64],
    distance: float,
    names: Sequence[str],
    spacing: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares line through the positions: step from slice to slice and place of the first; refuse what strays."""
    index = np.arange(len(places)) - (len(places) - 1) / 2
    centre = places.mean(axis=0)
    step = (index[:, None] * (places - centre)).sum(axis=0) / (index**2).sum()
    astray = places - (centre + index[:, None] * step)
    across = astray @ normal
    worst = int(np.argmax(np.abs(across)))
    if abs(across[worst]) > max(ROUNDING_MM, SPACING_TOLERANCE * distance):
        raise Refused(
            f"unequal spacing: {names[worst]} lies {abs(across[worst]):.2f} mm off a regular spacing of {distance:.2f} mm",
            "unequal-spacing",
        )
    sideways = np.linalg.norm(astray - across[:, None] * normal, axis=1)
    worst = int(np.argmax(sideways))
    if sideways[worst] > max(2 * ROUNDING_MM, 0.25 * min(spacing)):
        raise Refused(f"{names[worst]} lies {sideways[worst]:.2f} mm to the side of the line of its stack", "shifted-slice")
    return step, centre + index[0] * step


def _affine(
    origin: NDArray[np.float64], step: NDArray[np.float64], plane: Plane, spacing: tuple[float, float]
) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = np.asarray(plane.column_direction) * spacing[0]
    affine[:3, 2] = np.asarray(plane.row_direction) * spacing[1]
    affine[:3, 3] = origin
    return affine


def _shear_note(step: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[str, ...]:
    cosine = float(step @ normal) / float(np.linalg.norm(step))
    tilt = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return (f"the gantry was tilted by {tilt:.1f} degrees; the slices are read as they lie",) if tilt > SHEAR_NOTE_DEGREE else ()


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
