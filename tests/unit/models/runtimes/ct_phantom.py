"""A chest and abdomen of water, fat, lung and bone on a table, whose right answer is known exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Header, Image, SpacingKind

SPACING_MM = (5.0, 1.8, 1.8)
SHAPE = (32, 167, 217)

CT = Header(modality="CT", image_type=("ORIGINAL", "PRIMARY", "AXIAL"), rescale_type="HU", has_rescale=True)


@dataclass(frozen=True, slots=True)
class Phantom:
    """HU on the axes slice upwards, row backwards, column to the left, and the truth by key."""

    hu: NDArray[np.float32]
    truth: dict[str, NDArray[np.bool_]]
    spacing_mm: tuple[float, float, float] = SPACING_MM
    parts: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def image(self, header: Header = CT, tilt_deg: float = 0.0) -> Image:
        """As an axial stack, turned about the patient's left-right axis by `tilt_deg`."""
        angle = np.deg2rad(tilt_deg)
        up = np.array([0.0, -np.sin(angle), np.cos(angle)])
        back = np.array([0.0, np.cos(angle), np.sin(angle)])
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
            up * self.spacing_mm[0],
            back * self.spacing_mm[1],
            (self.spacing_mm[2], 0, 0),
        )
        affine[:3, 3] = (-190.0, -150.0, 700.0)
        return Image(self.hu, affine, self.spacing_mm, SpacingKind.PATIENT, header)


def permuted(image: Image, order: tuple[int, int, int], flips: tuple[int, ...]) -> Image:
    """The same patient, stored along other axes: axis i of the new array is axis ``order[i]`` of the old one, then flipped."""
    assert image.affine is not None
    assert image.spacing_mm is not None
    array = np.flip(np.transpose(image.array, order), flips)
    affine = image.affine.copy()
    affine[:3, :3] = image.affine[:3, :3][:, list(order)]
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    spacing = tuple(image.spacing_mm[axis] for axis in order)
    return Image(np.ascontiguousarray(array), affine, (spacing[0], spacing[1], spacing[2]), image.spacing_kind, image.header)


@cache
def make_phantom(
    *,
    contrast_hu: float = 45.0,
    lungs: bool = True,
    table_gap_mm: float = 0.0,
    noise_hu: float = 12.0,
    bowel_gas: bool = True,
    off_centre_mm: float = 0.0,
) -> Phantom:
    """Build one.

    Parameters
    ----------
    contrast_hu
        Of aorta, heart and kidneys; 45 is plain blood.
    lungs
        Whether the upper half holds lungs (with a trachea); soft tissue otherwise.
    table_gap_mm
        Air between back and table; 0 lets them touch.
    noise_hu
        Standard deviation of the noise.
    bowel_gas
        Whether the lower half holds gas.
    off_centre_mm
        How far the patient lies to the left of the table's middle.
    """
    slices, rows, columns = np.indices(SHAPE, sparse=True)
    z = slices * SPACING_MM[0]
    y = rows * SPACING_MM[1] - 130.0
    x = columns * SPACING_MM[2] - 195.0 - off_centre_mm

    def ellipse(cx: float, cy: float, rx: float, ry: float) -> NDArray[np.bool_]:
        return np.asarray(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + 0 * z < 1)

    hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    body = ellipse(0, 0, 150, 100)
    hu[body] = -100.0
    hu[ellipse(0, 0, 138, 88)] = 50.0
    chest = z >= 80
    parts = {}
    right = ellipse(-65, -5, 45, 60) & chest
    left = ellipse(70, -5, 40, 60) & chest & ~ellipse(20, -20, 42, 38)
    if lungs:
        texture = ndimage.gaussian_filter(np.random.default_rng(7).normal(size=SHAPE), (0.5, 1, 1)) * 60
        for lung in (right, left):
            hu[lung] = (-850 + texture)[lung]
        parts["trachea"] = ellipse(0, 15, 9, 9) & (z >= 120)
        hu[parts["trachea"]] = -1000.0
    parts["aorta"] = ellipse(18, 40, 13, 13)
    parts["heart"] = ellipse(18, -22, 36, 32) & (z >= 84) & (z < 150)
    parts["kidneys"] = (ellipse(-70, 40, 25, 22) | ellipse(70, 40, 25, 22)) & (z < 60)
    for name in ("aorta", "heart", "kidneys"):
        hu[parts[name]] = contrast_hu
    if bowel_gas:
        parts["gas"] = ellipse(30, -45, 40, 22) & (z > 16) & (z < 64)
        hu[parts["gas"]] = -1000.0
    bone = _bones(hu, ellipse, z)
    _table(hu, x + off_centre_mm + 0 * z, y + 0 * z, table_gap_mm)
    hu = ndimage.gaussian_filter(hu, (0, 0.5, 0.5))
    hu += np.random.default_rng(1).normal(0, noise_hu, SHAPE).astype(np.float32)
    nothing = np.zeros(SHAPE, dtype=bool)
    truth = {"body": body, "bone": bone, "lung_right": right if lungs else nothing, "lung_left": left if lungs else nothing}
    return Phantom(np.maximum(hu, -1024).astype(np.float32), truth, parts=parts)


def _bones(hu: NDArray[np.float32], ellipse, z) -> NDArray[np.bool_]:
    vertebra = ellipse(0, 68, 22, 16)
    hu[vertebra] = 650.0
    hu[ellipse(0, 68, 19, 13)] = 190.0
    bone = vertebra.copy()
    for angle in np.deg2rad(np.arange(0, 360, 24)):
        if np.sin(angle) > 0.8:
            continue  # the back, where the spine is
        rib = ellipse(132 * np.cos(angle), 84 * np.sin(angle), 6, 5) & (z >= 60)
        hu[rib] = 600.0
        hu[ellipse(132 * np.cos(angle), 84 * np.sin(angle), 2.5, 2) & (z >= 60)] = 90.0
        bone |= rib
    return bone


def _table(hu: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64], gap_mm: float) -> None:
    top = 100.0 + gap_mm
    hu[(np.abs(x) < 185) & (y > top) & (y < top + 3)] = 120.0
    hu[(np.abs(x) < 185) & (y >= top + 3) & (y < top + 20)] = -900.0
    hu[(np.abs(x) < 185) & (y >= top + 20) & (y < top + 23)] = 120.0


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Twice the overlap over the sum; 1 where both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 1.0
