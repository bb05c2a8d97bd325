"""What every reader of chest radiographs checks first: one frontal grey film of a chest, put upright as its header says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.image import Header, Image
from models.runtimes.film import Grey
from node.store.errors import Refused

Pixel = TypeVar("Pixel", bound=np.generic)

MODALITIES: Final = ("CR", "DX", "RG")
SMALLEST_SIDE: Final = 128
"""Pixels; below this ribs and vessels are gone."""

LATERAL_VIEWS: Final = frozenset({"LL", "RL", "LATERAL", "LAT", "L LAT", "R LAT", "LLAT", "RLAT"})
_LATERAL_CODES: Final = frozenset({"399067008", "399173006", "399198007", "R-10232", "R-10236", "R-10238"})

OTHER_BODY_PARTS: Final = frozenset(
    [
        "ABDOMEN",
        "ANKLE",
        "ARM",
        "BREAST",
        "CALCANEUS",
        "CALF",
        "CLAVICLE",
        "COCCYX",
        "CSPINE",
        "ELBOW",
        "EXTREMITY",
        "FEMUR",
        "FINGER",
        "FOOT",
        "FOREARM",
        "HAND",
        "HEAD",
        "HIP",
        "HUMERUS",
        "JAW",
        "KNEE",
        "LEG",
        "LSPINE",
        "LSSPINE",
        "MANDIBLE",
        "MAXILLA",
        "NECK",
        "ORBIT",
        "PATELLA",
        "PELVIS",
        "SCAPULA",
        "SHOULDER",
        "SKULL",
        "SSPINE",
        "TOE",
        "WRIST",
        "ZYGOMA",
    ]
)
"""Body parts (PS3.16 annex L) that exclude a chest; whatever else is stated, the picture decides."""

_UPRIGHT: Final = ("L", "F")
_OPPOSITE: Final = {"L": "R", "R": "L", "H": "F", "F": "H"}


def check_header(header: Header) -> None:
    """Refuse what its header says is no frontal chest radiograph.

    Raises
    ------
    Refused
        With code ``modality``, ``body-part`` or ``lateral``.
    """
    if header.modality not in MODALITIES:
        raise Refused(f"reads chest radiographs (CR, DX, RG), this is {header.modality or 'of no stated modality'}", "modality")
    if header.body_part_examined.upper() in OTHER_BODY_PARTS:
        raise Refused(f"reads chest radiographs, this is {header.body_part_examined.upper()}", "body-part")
    code = header.view_code.lower()
    lateral_code = header.view_code in _LATERAL_CODES or ("lateral" in code and "decubitus" not in code)
    # A row that runs to the front or the back of the patient is a lateral view whatever else is said (PS3.3 section C.7.6.1.1.1).
    sideways = any(direction[:1] in {"A", "P"} for direction in header.patient_orientation)
    if header.view_position.upper() in LATERAL_VIEWS or lateral_code or sideways:
        raise Refused("lateral view: reads frontal (PA or AP) chest radiographs only", "lateral")


@dataclass(frozen=True, slots=True)
class Upright:
    """A film turned so that its rows run to the patient's left and its columns to the feet.

    Parameters
    ----------
    film
        ``(row, column)``, higher is brighter as displayed.
    turns
        Quarter turns, counter-clockwise, that were made after mirroring.
    mirrored
        Whether columns were reversed.
    oriented
        Whether the header states the orientation; if not, the film is taken to lie as usually displayed.
    """

    film: Grey
    turns: int
    mirrored: bool
    oriented: bool

    def back(self, array: NDArray[Pixel]) -> NDArray[Pixel]:
        """Put a ``(row, column)`` mask or map of the upright film back on the source grid."""
        turned = np.rot90(array, -self.turns)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)


def put_upright(film: Grey, orientation: tuple[str, ...]) -> Upright:
    """Turn and mirror a film as its Patient Orientation (PS3.3 section C.7.6.1.1.1) asks.

    Parameters
    ----------
    film
        ``(row, column)``.
    orientation
        Direction of rows and of columns; only the first letter of each counts. Empty or odd: the film stays as it is.
    """
    given = tuple(direction[:1].upper() for direction in orientation)
    if len(given) != 2 or not all(direction in _OPPOSITE for direction in given):
        return Upright(film, 0, False, False)
    for mirrored in (False, True):
        rows, columns = (_OPPOSITE[given[0]], given[1]) if mirrored else given
        for turns in range(4):
            if (rows, columns) == _UPRIGHT:
                turned = np.rot90(film[:, ::-1] if mirrored else film, turns)
                return Upright(np.ascontiguousarray(turned), turns, mirrored, True)
            # A quarter turn counter-clockwise: rows now run as columns did, columns against the way that rows did.
            rows, columns = columns, _OPPOSITE[rows]
    return Upright(film, 0, False, False)


def take_film(image: Image) -> Upright:
    """The one grey film of `image`, upright.

    Raises
    ------
    Refused
        Where the header says it is no frontal chest radiograph (`check_header`), or with code ``colour``, ``slices``,
        ``too-small`` or ``blank``.
    """
    check_header(image.header)
    if image.array.ndim != 3:
        raise Refused("colour picture: a chest radiograph is grey", "colour")
    if image.array.shape[0] != 1:
        raise Refused(f"{image.array.shape[0]} images in one stack: reads one radiograph at a time", "slices")
    film = np.asarray(image.array[0], dtype=np.float32)
    if min(film.shape) < SMALLEST_SIDE:
        raise Refused(f"{film.shape[0]} x {film.shape[1]} pixels are too few; {SMALLEST_SIDE} a side are needed", "too-small")
    if not np.isfinite(film).all():
        raise Refused("pixel values that are not numbers", "not-finite")
    low, high = np.percentile(film[::4, ::4], (2, 98))
    if high <= low or np.unique(film[::4, ::4]).size < 16:
        raise Refused("blank image: nearly all pixels have one value", "blank")
    return put_upright(film, image.header.patient_orientation)
