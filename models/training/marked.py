"""Films with marked regions, as mini-MIAS lists them (Suckling et al. 1994)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from models.image import Header, Image, Region, SpacingKind
from models.runtimes.lesion_features import PIXEL_MM
from models.training.tables import Row, read_grey

SIDE: Final = 1024
"""Regions are given on a grid of so many pixels a side, rows counted from the bottom."""


def marked_film(folder: Path, row: Row) -> Image | None:
    """A film and its first region, at 0.4 mm a pixel; None where the row gives none by place."""
    words = row["rois"].split(";")[0].split()
    try:
        across, up, radius = (float(word) for word in words[2:5])
    except ValueError:
        return None
    grey = read_grey(folder / row["image"])
    scale = grey.shape[0] / SIDE
    region = Region((SIDE - up) * scale - 0.5, across * scale - 0.5, radius * scale)
    header = Header(modality="MG", photometric_interpretation="MONOCHROME2", body_part_examined="BREAST")
    spacing = (1.0, PIXEL_MM, PIXEL_MM)
    return Image(grey[np.newaxis].astype(np.float32), None, spacing, SpacingKind.DETECTOR, header, region=region)
