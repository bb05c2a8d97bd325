"""From stored values to values with a meaning: rescale or modality LUT, and the right way up for projection images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut

from node.store.attributes import BROKEN, item, number, text
from node.store.errors import Refused
from node.store.frames import functional_group


@dataclass(frozen=True, slots=True)
class Conversion:
    """What happens to the stored values of one frame.

    Parameters
    ----------
    mirror
        Lowest plus highest stored value where black and white are exchanged; None: they are not.
    table
        The object with a Modality LUT Sequence (PS3.3 section C.11.1), which goes before slope and intercept.
    """

    slope: float = 1.0
    intercept: float = 0.0
    mirror: float | None = None
    table: Dataset | None = None

    def apply(self, stored: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return float32 values; the array given is left as it is."""
        if self.table is not None:
            try:
                stored = apply_modality_lut(stored, self.table)
            except BROKEN as broken:
                raise Refused("the Modality LUT Sequence is damaged: the pixel values have no meaning", "bad-rescale") from broken
        values = stored.astype(np.float32)
        if self.mirror is not None:
            np.subtract(np.float32(self.mirror), values, out=values)
        if self.slope != 1.0:
            values *= np.float32(self.slope)
        if self.intercept:
            values += np.float32(self.intercept)
        return values


def has_rescale(dataset: Dataset, frame: int) -> bool:
    """Whether Rescale Slope and Intercept, or a Modality LUT, are stated for a frame (from 0)."""
    holder = _holder(dataset, frame)
    stated = number(holder, "RescaleSlope") is not None and number(holder, "RescaleIntercept") is not None
    return stated or item(dataset, "ModalityLUTSequence") is not None


def conversion_of(dataset: Dataset, frame: int, *, projection: bool) -> Conversion:
    """Read what is to be done with a frame (from 0).

    Parameters
    ----------
    projection
        The image has no place in the patient: higher shall be brighter as displayed, so MONOCHROME1 and an inverse presentation
        LUT shape are turned round. Slices keep their values: the photometric interpretation is about display only.

    Raises
    ------
    Refused
        ``bad-rescale`` where the slope is 0.
    """
    holder = _holder(dataset, frame)
    slope, intercept = number(holder, "RescaleSlope"), number(holder, "RescaleIntercept")
    table = dataset if item(dataset, "ModalityLUTSequence") is not None else None
    if slope == 0:
        raise Refused("Rescale Slope is 0: the pixel values have no meaning", "bad-rescale")
    inverse = text(dataset, "PhotometricInterpretation") == "MONOCHROME1" or text(dataset, "PresentationLUTShape") == "INVERSE"
    mirror = _ends(dataset, table) if projection and inverse else None
    if table is not None or slope is None or intercept is None:
        return Conversion(mirror=mirror, table=table)
    return Conversion(slope, intercept, mirror)


def _holder(dataset: Dataset, frame: int) -> Dataset | None:
    """Where the rescale values stand: in the functional groups of enhanced images, else in the object itself."""
    group = functional_group(dataset, frame, "PixelValueTransformationSequence")
    return dataset if group is None else group


def _ends(dataset: Dataset, table: Dataset | None) -> float:
    """Lowest plus highest value that can be stored: mirroring about the middle keeps the scale."""
    if table is not None:
        lut = item(table, "ModalityLUTSequence")
        descriptor = lut.LUTDescriptor if lut is not None else (0, 0, 16)
        return float(2 ** int(descriptor[2]) - 1)
    bits = int(number(dataset, "BitsStored") or number(dataset, "BitsAllocated") or 16)
    return -1.0 if number(dataset, "PixelRepresentation") == 1 else float(2**bits - 1)
