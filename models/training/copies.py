"""The same study once more, stored or made in another way: what a model says of it ought to stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

from models.image import Image
from node.store.errors import ConfigurationError, Refused

Affine = NDArray[np.float64]

LOSSY_RATIO: Final = 10
"""Size of a lossless copy over that of a lossy one."""
VISIT_TURN_DEG: Final = (7.0, 4.6)
"""About the head-feet axis, and then about the left-right axis."""
VISIT_MOVE_MM: Final = (3.3, -2.2, 4.7)
VISIT_GRID_MM: Final = 1.0
VISIT_NOISE: Final = 0.01
"""Standard deviation of the noise, as a part of the value that 99.9 % of the voxels stay below."""
CT_NOISE_HU: Final = 35.0
CT_TURN_DEG: Final = (12.0, 0.0)
STAYS_MM: Final = (0.0, 0.0, 0.0)
CT_FIELD: Final = 0.6
"""Part of the rows and columns that a narrow field of view keeps, around the middle."""


def again(image: Image) -> Image:
    """The very same."""
    return image


def other_axes(image: Image) -> Image:
    """Columns stored as slices, slices as rows, two of the axes backwards: another storage of the same voxels."""
    order, flips = (2, 0, 1), (0, 2)
    affine = _place(image).copy()
    affine[:3, :3] = affine[:3, list(order)]
    array = np.flip(np.transpose(image.array, order), flips)
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
        affine[:3, axis] *= -1
    return _made(image, np.ascontiguousarray(array, dtype=np.float32), affine)


def lossy(image: Image) -> Image:
    """Each slice through JPEG 2000 at `LOSSY_RATIO`, in 16 bits over the range of the volume."""
    low, high = float(image.array.min()), float(image.array.max())
    whole = bool(np.equal(image.array, np.rint(image.array)).all()) and high - low <= 65535
    step = 1.0 if whole or high == low else (high - low) / 65535
    stored = np.rint((image.array - low) / step).astype(np.uint16)
    back = np.stack([_through_jpeg2000(one) for one in stored])
    return replace(image, array=(back * step + low).astype(np.float32))


def averaged(image: Image, count: int) -> Image:
    """Every `count` neighbouring slices as one of their thickness together; slices left over at the end are dropped."""
    slices = image.array.shape[0] // count
    if slices < 2:
        raise Refused(f"{image.array.shape[0]} slices are too few to be averaged {count} by {count}", "too-few-slices")
    array = image.array[: slices * count].reshape(slices, count, *image.array.shape[1:]).mean(axis=1)
    affine = _place(image).copy()
    affine[:3, 3] += affine[:3, 0] * (count - 1) / 2
    affine[:3, 0] *= count
    return _made(image, array.astype(np.float32), affine)


def another_visit(image: Image) -> Image:
    """The patient turned and moved in the scanner and scanned anew on a grid of 1 mm, with noise: stands for another visit."""
    made = turned(image, VISIT_TURN_DEG, VISIT_MOVE_MM, VISIT_GRID_MM)
    deviation = VISIT_NOISE * float(np.quantile(image.array, 0.999))
    return replace(made, array=(made.array + _noise(made.array.shape, deviation)).clip(float(image.array.min())))


def noisy_ct(image: Image) -> Image:
    """With noise of `CT_NOISE_HU`."""
    return replace(image, array=image.array + _noise(image.array.shape, CT_NOISE_HU))


def coarse_ct(image: Image) -> Image:
    """Five slices averaged into one, and pixels of one and a half times the side."""
    thick = averaged(image, 5)
    factor = 1.5
    shape = (thick.array.shape[0], *(int(extent / factor) for extent in thick.array.shape[1:]))
    affine = _place(thick) @ np.diag([1.0, factor, factor, 1.0])
    affine[:3, 3] += _place(thick)[:3, 1:3].sum(axis=1) * (factor - 1) / 2
    blurred = ndimage.uniform_filter(thick.array, (1, 2, 2), mode="nearest", origin=(0, -1, -1))
    return _made(image, _pulled(blurred, np.linalg.inv(_place(thick)) @ affine, shape, float(thick.array.min())), affine)


def turned_ct(image: Image) -> Image:
    """The patient turned on the table by `CT_TURN_DEG` about the head-feet axis, scanned on the same grid."""
    return turned(image, CT_TURN_DEG, STAYS_MM, None)


def narrow_ct(image: Image) -> Image:
    """Only the middle of each slice."""
    rows, columns = image.array.shape[1:3]
    first = [int(extent * (1 - CT_FIELD) / 2) for extent in (rows, columns)]
    last = [start + int(extent * CT_FIELD) for start, extent in zip(first, (rows, columns), strict=True)]
    affine = _place(image).copy()
    affine[:3, 3] += affine[:3, 1] * first[0] + affine[:3, 2] * first[1]
    array = np.ascontiguousarray(image.array[:, first[0] : last[0], first[1] : last[1]], dtype=np.float32)
    return _made(image, array, affine)


def _stays(image: Image) -> Affine:
    del image
    return np.eye(4)


@dataclass(frozen=True, slots=True)
class Copy:
    """One way to make a copy.

    Parameters
    ----------
    make
        Of a grey volume that has a place in the patient.
    motion
        ``(4, 4)`` of the source: LPS mm of a place in the patient there to that in the copy.
    """

    make: Callable[[Image], Image]
    motion: Callable[[Image], Affine] = _stays


COPIES: Final[Mapping[str, Mapping[str, Copy]]] = {
    "MR": {
        "again": Copy(again),
        "along-other-axes": Copy(other_axes),
        "lossy": Copy(lossy),
        "slices-in-twos": Copy(lambda image: averaged(image, 2)),
        "another-visit": Copy(another_visit, lambda image: motion(image, VISIT_TURN_DEG, VISIT_MOVE_MM)),
    },
    "CT": {
        "again": Copy(again),
        "along-other-axes": Copy(other_axes),
        "lossy": Copy(lossy),
        "noise": Copy(noisy_ct),
        "slices-in-threes": Copy(lambda image: averaged(image, 3)),
        "coarse": Copy(coarse_ct),
        "turned": Copy(turned_ct, lambda image: motion(image, CT_TURN_DEG, STAYS_MM)),
        "narrow": Copy(narrow_ct),
    },
}
"""By modality and name."""


def copies_of(modality: str, chosen: Sequence[str] = ()) -> dict[str, Copy]:
    """The copies that are made of volumes of a modality: those named, or all.

    Raises
    ------
    ConfigurationError
        Where none are known for the modality, or none of that name.
    """
    known = COPIES.get(modality)
    if known is None:
        raise ConfigurationError(f"copies are made of {' and '.join(COPIES)}, this is {modality or 'of no stated modality'}")
    if unknown := [name for name in chosen if name not in known]:
        raise ConfigurationError(f"no copy of {modality} is named {unknown[0]}; there are: {', '.join(known)}")
    return {name: known[name] for name in chosen or known}


def turned(image: Image, turn_deg: tuple[float, float], move_mm: tuple[float, float, float], grid_mm: float | None) -> Image:
    """The patient turned about the middle of the stack and moved, read off linearly on a grid along the old axes.

    Where each place of the patient has gone is told by `motion`.

    Parameters
    ----------
    turn_deg
        About the patient's head-feet axis, then about the left-right axis.
    move_mm
        LPS.
    grid_mm
        Side of the new voxels; None: the grid of the source.
    """
    place = _place(image)
    moved = motion(image, turn_deg, move_mm) @ place
    if grid_mm is None:
        shape, target = image.array.shape, place
    else:
        lengths = np.linalg.norm(place[:3, :3], axis=0)
        shape = tuple(
            int(np.ceil(extent * length / grid_mm)) + 20 for extent, length in zip(image.array.shape, lengths, strict=True)
        )
        target = np.eye(4)
        target[:3, :3] = place[:3, :3] / lengths * grid_mm
        target[:3, 3] = _middle(image) - target[:3, :3] @ ((np.array(shape) - 1) / 2.0)
    darkest = float(image.array.min())
    return _made(image, _pulled(image.array, np.linalg.inv(moved) @ target, shape, darkest), target)


def motion(image: Image, turn_deg: tuple[float, float], move_mm: tuple[float, float, float]) -> Affine:
    """``(4, 4)``: LPS mm of a place in the patient before `turned` to that after it."""
    about_feet, about_side = np.deg2rad(turn_deg)
    cosine, sine = np.cos(about_feet), np.sin(about_feet)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    cosine, sine = np.cos(about_side), np.sin(about_side)
    turn = turn @ np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
    middle, moved = _middle(image), np.eye(4)
    moved[:3, :3] = turn
    moved[:3, 3] = middle - turn @ middle + np.asarray(move_mm)
    return moved


def _middle(image: Image) -> NDArray[np.float64]:
    return np.asarray((_place(image) @ np.array([*(np.array(image.array.shape) - 1) / 2.0, 1.0]))[:3])


def _place(image: Image) -> Affine:
    if image.affine is None or image.array.ndim != 3:
        raise Refused("copies are made of grey volumes that have a place in the patient", "no-geometry")
    return image.affine


def _made(image: Image, array: NDArray[np.float32], affine: Affine) -> Image:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return replace(image, array=array, affine=affine, spacing_mm=(float(lengths[0]), float(lengths[1]), float(lengths[2])))


def _pulled(array: NDArray[Any], pull: Affine, shape: tuple[int, ...], outside: float) -> NDArray[np.float32]:
    made = ndimage.affine_transform(
        array.astype(np.float32, copy=False),
        pull[:3, :3],
        pull[:3, 3],
        output_shape=shape,
        order=1,
        mode="constant",
        cval=outside,
    )
    return np.asarray(made, dtype=np.float32)


def _noise(shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0.0, deviation, shape).astype(np.float32)


def _through_jpeg2000(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    stream = BytesIO()
    Picture.fromarray(stored).save(stream, "JPEG2000", quality_mode="rates", quality_layers=[LOSSY_RATIO], irreversible=True)
    return np.asarray(Picture.open(stream), dtype=np.float32)
