"""What a detector shows of a thorax: ``exp(-attenuation)`` with scatter and noise, its logarithm displayed and collimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tests.unit.models.thorax import LUNG_FROM_MM, PIXEL_MM, TOP_MM, Array, a_patient, project

FINER: Final = 2
"""Pixels of the film for each one that was projected, along rows and columns."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a film is taken and displayed.

    Parameters
    ----------
    scatter
        Scattered over unscattered radiation.
    photons
        That reach a pixel in air.
    evened
        How much of the coarse contrast the machine takes away, 0 to 1.
    contrast
        Slope of the display; 1 shows air black and bone white.
    seed
        Of the noise.
    """

    scatter: float = 0.25
    photons: float = 20000
    evened: float = 0.2
    contrast: float = 1.4
    seed: int = 0


def an_exposure(seed: int) -> Exposure:
    """An exposure by chance."""
    chance = np.random.default_rng(seed + 1000)
    return Exposure(
        chance.uniform(0.1, 0.5), 10 ** chance.uniform(3.7, 4.8), chance.uniform(0, 0.5), chance.uniform(1.1, 1.8), seed
    )


def expose(attenuation: Array, how: Exposure) -> Array:
    """The film of 0 to 4095, higher is brighter as displayed, that an attenuation leaves."""
    primary = np.exp(-attenuation)
    body = attenuation > 0.1
    scattered = how.scatter * ndimage.gaussian_filter(np.where(body, primary, 0.02), 35 / PIXEL_MM)
    photons = np.random.default_rng(how.seed).poisson(how.photons * (primary + scattered)) + 1
    depth = -np.log(photons / how.photons)
    depth -= how.evened * ndimage.gaussian_filter(depth, 40 / PIXEL_MM)
    low, high = np.percentile(depth[body], (1, 97)) if body.any() else (0, 1)
    middle = (low + high) / 2
    grey = 1 / (1 + np.exp(-4.0 * how.contrast * (depth - middle) / (high - low)))
    film: Array = (4095 * grey).astype(np.float32)
    return film


def film(seed: int, degrees: float, **fixed: object) -> tuple[Array, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """A film of a patient by chance, exposed, collimated and held by chance, and the right and left lung field on it.

    Parameters
    ----------
    seed
        Of the patient and of the film.
    degrees
        As in `project`.
    fixed
        Fields of `Thorax` that are not left to chance.
    """
    chance = np.random.default_rng(seed + 2000)
    met = project(a_patient(seed, **fixed), degrees)
    tilt = chance.uniform(-4, 4)
    attenuation = ndimage.rotate(met.attenuation, tilt, reshape=False, order=1)
    columns = np.flatnonzero((ndimage.rotate(met.lungs.sum(0), tilt, reshape=False, order=1) > LUNG_FROM_MM).any(axis=0))
    margin = chance.uniform(15, 75, 2) / PIXEL_MM
    start, end = max(0, int(columns[0] - margin[0])), min(attenuation.shape[1], int(columns[-1] + margin[1]))
    top, bottom = int(chance.uniform(10, 60) / PIXEL_MM), int((chance.uniform(300, 335) - TOP_MM) / PIXEL_MM)
    exposed = expose(ndimage.zoom(attenuation[top:bottom, start:end], FINER, order=1), an_exposure(seed))
    fields = [
        ndimage.rotate(field.astype(np.float32), tilt, reshape=False, order=1)[top:bottom, start:end] for field in met.fields
    ]
    right, left = (ndimage.zoom(field, FINER, order=1) > 0.5 for field in fields)
    return exposed, (right, left)
