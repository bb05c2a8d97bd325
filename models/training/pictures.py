"""Pictures of a labelled folder as the worker would hand them to a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.image import Header, Image, SpacingKind
from models.manifest import Pictures
from models.training.marked import marked_film
from models.training.samples import is_volume, read_sample
from models.training.tables import Row, read_colour, read_grey


def film_image(grey: NDArray[np.float32], modality: str = "CR", view: str = "") -> Image:
    """A grey picture as one slice without geometry and spacing.

    Parameters
    ----------
    grey
        ``(row, column)``.
    view
        View position, and after a space more about it.
    """
    header = Header(
        modality=modality, view_position=view.split(maxsplit=1)[0] if view else "", photometric_interpretation="MONOCHROME2"
    )
    return Image(grey[np.newaxis].astype(np.float32), None, None, SpacingKind.NONE, header)


def colour_image(colour: NDArray[np.uint8], modality: str = "XC") -> Image:
    """A ``(row, column, 3)`` picture as one slice, ``(1, row, column, 3)``, without geometry and spacing."""
    header = Header(modality=modality, photometric_interpretation="RGB", bits_stored=8)
    return Image(np.ascontiguousarray(colour[np.newaxis]), None, None, SpacingKind.NONE, header)


def row_image(folder: Path, row: Row, pictures: Pictures) -> Image:
    """The image of one row, a volume where it is one, with its marked region where the folder lists regions.

    Raises
    ------
    ConfigurationError
        Where the picture is missing.
    """
    if is_volume(row["image"]):
        return read_sample(folder / row["image"], modality=pictures.modality)
    if pictures.colour:
        return colour_image(read_colour(folder / row["image"]), pictures.modality)
    marked = marked_film(folder, row) if row.get("rois") else None
    return marked or film_image(read_grey(folder / row["image"]), pictures.modality, row.get("view", ""))
