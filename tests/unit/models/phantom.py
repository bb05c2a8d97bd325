"""A chest drawn with a brush: bright body, dark lungs, darker surroundings, ribs, a heart to the image's right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Header, Image, SpacingKind


def lung_masks(rows: int = 400, columns: int = 360) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """``(row, column)`` masks of the lung at the image's left and at its right."""
    y, x = np.mgrid[0:rows, 0:columns] / np.array([rows, columns])[:, None, None]
    masks = []
    for centre in (0.31, 0.69):
        lung = (((x - centre) / 0.14) ** 2 + ((y - 0.5) / 0.33) ** 2) < 1
        masks.append(lung & (y < 0.72 + 0.3 * (x - centre) ** 2))
    return masks[0], masks[1]


def chest(rows: int = 400, columns: int = 360, seed: int = 0) -> NDArray[np.float32]:
    """A ``(row, column)`` film of 0 to 4000, higher is brighter as displayed."""
    y, x = np.mgrid[0:rows, 0:columns] / np.array([rows, columns])[:, None, None]
    film = np.where(np.abs(x - 0.5) < 0.3 + 0.17 * np.minimum(1, y * 3), 2600.0, 100.0)
    left, right = lung_masks(rows, columns)
    film[left | right] = 900
    film += 500 * (np.abs(x - 0.5) < 0.06)
    film[(((x - 0.57) / 0.12) ** 2 + ((y - 0.62) / 0.12) ** 2) < 1] = 2700
    ribs = (np.sin(y * 60 + 6 * np.abs(x - 0.5)) > 0.6) & (left | right)
    film[ribs] += 350
    film = ndimage.gaussian_filter(film, columns / 150)
    noise = np.random.default_rng(seed).normal(0, 30, film.shape)
    grey: NDArray[np.float32] = np.clip(film + noise, 0, 4000).astype(np.float32)
    return grey


def image(film: NDArray[np.float32], **header: object) -> Image:
    """The film as a worker hands it over."""
    stated = {"modality": "CR", **header}
    return Image(film[np.newaxis], None, None, SpacingKind.NONE, Header(**stated))  # type: ignore[arg-type]
