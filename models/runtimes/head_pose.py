"""How a head lies, by where its deep structures were found; and the motion that lays every head alike.

A network's answer depends a little on how the head lies in its grid. Laid alike first, the head of another visit is seen as
that of the first one was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Affine = NDArray[np.float64]

PLACES_MM: Final[Mapping[str, tuple[float, float, float]]] = {
    "thalamus": (11.0, 19.0, 7.0),
    "caudate": (13.0, -10.0, 10.0),
    "putamen": (25.0, -1.0, 0.0),
    "pallidum": (19.0, 5.0, -1.0),
    "hippocampus": (26.0, 22.0, -14.0),
    "amygdala": (23.0, 5.0, -18.0),
    "accumbens": (9.0, -12.0, -7.0),
    "ventral_diencephalon": (11.0, 16.0, -10.0),
    "third_ventricle": (0.0, 14.0, 1.0),
}
"""About where the middle of a structure is in an average adult's brain whose commissures are at one height: mm from the anterior
one to either side, backwards and upwards. They decide how heads are laid; that all are laid alike does
not rest on their being exact.
"""
MIDDLE_MM: Final = (0.0, 18.0, 8.0)
"""The middle of an average brain, as `PLACES_MM`; it becomes the origin."""
FEWEST: Final = 5
"""Structures that are needed to tell how a head lies."""
FARTHEST_MM: Final = 8.0
"""Root mean square of the distances to `PLACES_MM` above which what was found does not lie as in a head."""
STEADY_DEG: Final = 0.001
MOST_ROUNDS: Final = 20


def laying(labels: NDArray[np.uint8], affine: Affine, keys: Sequence[str]) -> Affine | None:
    """The rigid motion that lays a head upright and straight, the middle of its brain at the origin.

    Structures are found on both sides under one label: they are first taken as one on the midline, then parted by the plane that
    this gives, until that plane stays. Those which reach the edge of the array are left out, for their middle is not known.

    Parameters
    ----------
    labels
        ``(x, y, z)``: 0, or one more than the place in `keys` of what was found there.
    affine
        ``(4, 4)``: its indices to LPS mm.
    keys
        Names of the structures, of which those in `PLACES_MM` count.

    Returns
    -------
    ndarray or None
        ``(4, 4)``: LPS mm in the scanner to LPS mm as laid; None where too little was found, or it does not lie as in a head.
    """
    found = _points(labels, affine, keys)
    if len(found) < FEWEST:
        return None
    motion = _fitted([points.mean(axis=0) for points in found.values()], [np.array(PLACES_MM[key]) * (0, 1, 1) for key in found])
    for _ in range(MOST_ROUNDS):
        here, there = _parted(found, motion)
        if len(here) < FEWEST:
            return None
        before, motion = motion, _fitted(here, there)
        if _angle_deg(motion[:3, :3] @ before[:3, :3].T) < STEADY_DEG:
            break
    apart = np.array([motion[:3, :3] @ one + motion[:3, 3] for one in here]) - there
    if np.sqrt((apart**2).sum(axis=1).mean()) > FARTHEST_MM:
        return None
    motion[:3, 3] -= MIDDLE_MM
    return motion


def _points(labels: NDArray[np.uint8], affine: Affine, keys: Sequence[str]) -> dict[str, Points]:
    """LPS mm of each structure's voxels."""
    found = {}
    last = np.array(labels.shape) - 1
    for number, key in enumerate(keys, start=1):
        if key not in PLACES_MM:
            continue
        indices = np.argwhere(labels == number)
        if len(indices) and (indices > 0).all() and (indices < last).all():
            found[key] = indices @ affine[:3, :3].T + affine[:3, 3]
    return found


def _parted(found: Mapping[str, Points], motion: Affine) -> tuple[list[Points], list[Points]]:
    """Middles of the structures, of each side of its own, and their `PLACES_MM`; without those that are on one side only."""
    here, there = [], []
    for key, points in found.items():
        place = np.array(PLACES_MM[key])
        if not place[0]:
            here.append(points.mean(axis=0))
            there.append(place)
            continue
        left = points @ motion[0, :3] + motion[0, 3] > 0
        if left.all() or not left.any():
            continue
        here += [points[left].mean(axis=0), points[~left].mean(axis=0)]
        there += [place, place * (-1, 1, 1)]
    return here, there


def _fitted(here: Sequence[Points], there: Sequence[Points]) -> Affine:
    """The rigid motion that brings points nearest to others, never a mirror image (Kabsch, Acta Crystallographica A 32, 1976)."""
    source, target = np.array(here), np.array(there)
    left, _, right = np.linalg.svd((source - source.mean(axis=0)).T @ (target - target.mean(axis=0)))
    handed = np.sign(np.linalg.det(left @ right))
    motion = np.eye(4)
    motion[:3, :3] = right.T @ np.diag([1.0, 1.0, handed]) @ left.T
    motion[:3, 3] = target.mean(axis=0) - motion[:3, :3] @ source.mean(axis=0)
    return motion


def _angle_deg(turn: NDArray[np.float64]) -> float:
    return float(np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1.0, 1.0))))
