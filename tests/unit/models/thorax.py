"""A thorax of solids that X-rays cross from any direction: frontal, oblique, lateral.

Millimetres; x to the patient's left, y to the back, z to the feet; z is 0 at the apices of the lungs. Rays are parallel. Large
organs are voxels whose attenuation is added up along each ray; bones, vessels and airways are thin tubes and plates whose
attenuation is laid down where their points fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
Points = NDArray[np.float64]

PIXEL_MM: Final = 2.0
STEP_MM: Final = 4.0
"""Between two samples on a ray."""

HALF_MM: Final = 220.0
TOP_MM: Final = -80.0
BOTTOM_MM: Final = 340.0

WATER, LUNG, BONE, SPONGY = 0.0190, 0.0050, 0.0380, 0.0320
"""Attenuation per millimetre at about 65 keV, of the mean X-ray of 110 kV."""

LUNG_FROM_MM: Final = 25.0
"""Least path through one lung that counts as its field: the thin sickle below the dome does not."""

_SIDES: Final = (-1.0, 1.0)
"""The patient's right and left, along x."""


@dataclass(frozen=True, slots=True)
class Thorax:
    """One patient.

    Parameters
    ----------
    half_width, half_depth, height
        Of the space that both lungs take, mm.
    wall
        Thickness of the chest wall at the side, mm.
    kyphosis
        How far the spine bends backwards, mm.
    heart
        Size of the heart, 1 is usual.
    dome
        Top of the right dome of the diaphragm, as a part of the height.
    breasts
        Their thickness, mm; 0 for none.
    stomach
        Whether there is a bubble of gas under the left dome.
    arms
        Where the upper arms point: ``down``, ``up`` or ``forward``.
    seed
        Of vessels and of the texture of the lungs.
    """

    half_width: float = 138
    half_depth: float = 92
    height: float = 270
    wall: float = 26
    kyphosis: float = 25
    heart: float = 1
    dome: float = 0.8
    breasts: float = 0
    stomach: bool = True
    arms: str = "down"
    seed: int = 0

    def share(self, z: Array) -> Array:
        """How far down a height lies, 0 at the apex, 1 at the bottom."""
        return np.clip(z / self.height, 0, 1)

    def width_at(self, z: Array) -> Array:
        """Half the width of the space of the lungs."""
        return self.half_width * (1 - (1 - self.share(z)) ** 3) ** 0.6

    def depth_at(self, z: Array) -> Array:
        """Half its depth."""
        return self.half_depth * (1 - (1 - self.share(z)) ** 3.2) ** 0.6

    def back_at(self, z: Array) -> Array:
        """Where its back wall lies."""
        return 60 + self.kyphosis * np.sin(np.pi * np.clip(0.15 + 0.75 * z / self.height, -0.2, 1.0))

    def centre_at(self, z: Array) -> Array:
        """The middle between front and back."""
        return self.back_at(z) - self.depth_at(z)


@dataclass(frozen=True, slots=True)
class Projection:
    """What rays met, on a grid of `PIXEL_MM`.

    Parameters
    ----------
    attenuation
        ``(row, column)``, whole along each ray.
    lungs
        ``(2, row, column)``: path through the right and through the left lung, mm.
    """

    attenuation: Array
    lungs: Array

    @property
    def fields(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The lung fields of the patient's right and left side."""
        right, left = self.lungs >= LUNG_FROM_MM
        return right, left


def a_patient(seed: int, **fixed: object) -> Thorax:
    """A grown patient by chance."""
    chance = np.random.default_rng(seed)
    usual: dict[str, object] = {
        "half_width": chance.uniform(122, 152),
        "half_depth": chance.uniform(76, 108),
        "height": chance.uniform(235, 290),
        "wall": chance.uniform(18, 40),
        "kyphosis": chance.uniform(10, 55),
        "heart": chance.uniform(0.85, 1.3),
        "dome": chance.uniform(0.74, 0.84),
        "breasts": float(chance.choice([0, 0, 12, 30])),
        "stomach": bool(chance.integers(2)),
        "seed": seed,
    }
    return Thorax(**{**usual, **fixed})  # type: ignore[arg-type]


def project(body: Thorax, degrees: float) -> Projection:
    """X-ray a patient who is turned about the long axis: 0 is frontal, 90 and -90 are lateral.

    At 0 the patient's left is at the film's right; at 90 the back is.
    """
    u = np.arange(-HALF_MM + PIXEL_MM / 2, HALF_MM, PIXEL_MM, dtype=np.float32)[None, :, None]
    ray = np.arange(-HALF_MM + STEP_MM / 2, HALF_MM, STEP_MM, dtype=np.float32)[None, None, :]
    heights = np.arange(TOP_MM, BOTTOM_MM, PIXEL_MM, dtype=np.float32)
    cosine, sine = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    x, y = u * cosine - ray * sine, u * sine + ray * cosine
    attenuation, lungs = [], []
    for part in np.array_split(heights, 12):
        density, right, left = _solids(body, x, y, part[:, None, None])
        attenuation.append(density.sum(2) * STEP_MM)
        lungs.append(np.stack([right.sum(2), left.sum(2)]) * STEP_MM)
    whole = np.concatenate(attenuation)
    for points, weights, blur in _thin(body):
        whole += _lay_down(points, weights, blur, degrees, whole.shape)
    paths = np.concatenate(lungs, axis=1).astype(np.float32)
    chance = np.random.default_rng(body.seed + 7)
    texture = sum(ndimage.gaussian_filter(chance.normal(size=whole.shape), mm / PIXEL_MM) * mm for mm in (3, 6, 12))
    whole += np.float32(0.0006) * paths.sum(0) * texture.astype(np.float32)
    return Projection(np.maximum(whole, 0).astype(np.float32), paths)


def _ball(
    x: Array, y: Array, z: Array, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> NDArray[np.bool_]:
    return ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((z - centre[2]) / radii[2]) ** 2 < 1


def _solids(body: Thorax, x: Array, y: Array, z: Array) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Attenuation per millimetre, and where the right and the left lung are, on ``(row, column, sample of the ray)``."""
    spaces = _spaces(body, x, y, z)
    heart = _heart(body, x, y, z)
    lungs = spaces & ~heart & ~_between(body, x, y, z) & (z < _diaphragm(body, x, y, z))
    density = np.where(_flesh(body, x, y, z), np.float32(WATER), np.float32(0))
    density[lungs] = LUNG
    density[_vertebrae(body, x, y, z)] = SPONGY
    if body.stomach:
        top = (body.dome + 0.05) * body.height
        middle = float(body.centre_at(np.float32(top)))
        density[_ball(x, y, z, (0.42 * body.half_width, middle, top + 32), (34, 38, 18))] = 0.001
    return density, lungs & (x < 0), lungs & (x >= 0)


def _spaces(body: Thorax, x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    """What the ribs enclose."""
    wide, deep = np.maximum(body.width_at(z), 1), np.maximum(body.depth_at(z), 1)
    inside: NDArray[np.bool_] = (np.abs(x) / wide) ** 2.4 + (np.abs(y - body.centre_at(z)) / deep) ** 2.4 < 1
    return inside & (z > 0)


def _diaphragm(body: Thorax, x: Array, y: Array, z: Array) -> Array:
    """Height at which the dome lies, each side its own, steep to the back and to the side."""
    top = body.dome * body.height + np.where(x < 0, 0, 12)
    sideways = (np.abs(x) - 0.48 * body.half_width) / body.half_width
    level = np.float32(body.dome * body.height)
    along = (y - body.centre_at(level) + 10) / body.half_depth
    slope = np.where(sideways > 0, 230, 70) * sideways**2 + np.where(along > 0, 62, 30) * along**2
    surface: Array = top + slope
    return surface


def _between(body: Thorax, x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    """The mediastinum without the heart, and the spine with its muscles."""
    middle, deep = body.centre_at(z), np.maximum(body.depth_at(z), 1)
    half = 6 + 20 * np.exp(-(((y - middle - 0.25 * deep) / (0.5 * deep)) ** 2))
    column = (x / 26) ** 2 + ((y - body.back_at(z) + 10) / 30) ** 2 < 1
    arch = _ball(x, y, z, (10, float(body.centre_at(np.float32(80))) + 10, 0.3 * body.height), (30, 42, 17))
    down = ((x - 22) / 14) ** 2 + ((y - body.back_at(z) + 36) / 14) ** 2 < 1
    hila = _ball(np.abs(x), y, z, (30, float(body.centre_at(np.float32(110))) + 5, 0.43 * body.height), (16, 18, 20))
    return (np.abs(x) < half) | column | arch | (down & (z > 0.3 * body.height)) | hila


def _heart(body: Thorax, x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    level = (body.dome - 0.13) * body.height
    front = float(body.centre_at(np.float32(level))) - 0.4 * body.half_depth
    tilt = np.radians(35)
    along, across = (x - 24), (z - level)
    turned, height = along * np.cos(tilt) + across * np.sin(tilt), across * np.cos(tilt) - along * np.sin(tilt)
    left = _ball(turned, y - front, height, (0, 0, 0), (66 * body.heart, 44 * body.heart, 50 * body.heart))
    right = _ball(x, y - front, z, (-16, 10, level - 4), (32 * body.heart, 36 * body.heart, 46 * body.heart))
    vessels = _ball(x, y, z, (4, front + 15, 0.42 * body.height), (32, 30, 48))
    return left | right | vessels


def _flesh(body: Thorax, x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    """Everything inside the skin."""
    rise = np.clip((z + 55) / 80, 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    wide = 62 + (body.half_width + body.wall - 62) * rise
    deep = 58 + (np.maximum(body.depth_at(z) + 0.75 * body.wall, 58) - 58) * rise
    back = body.back_at(z) + 0.9 * body.wall
    trunk = (np.abs(x) / wide) ** 2.4 + (np.abs(y - back + deep) / deep) ** 2.4 < 1
    side = np.abs(x)
    middle = float(body.centre_at(np.float32(60))) + 15
    start, end = _arm(body, middle)
    shoulder = _ball(side, y, z, (start[0] - 12, start[1], start[2] + 5), (58, 52, 46))
    flesh = trunk | shoulder | _rod(side, y, z, start, end, 42)
    if body.breasts:
        low = 0.66 * body.height
        skin = float(body.back_at(np.float32(low)) - 2 * body.depth_at(np.float32(low))) - 0.6 * body.wall
        flesh |= _ball(side, y, z, (74, skin + 18, low), (62, 18 + body.breasts, 58))
    return flesh


def _arm(body: Thorax, middle: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Shoulder and elbow of the patient's left side."""
    wide = body.half_width
    return {
        "down": ((wide + 24, middle - 5, 32.0), (wide + 95, middle - 40, 290.0)),
        "up": ((wide + 2, middle - 5, -18.0), (wide - 10, middle - 95, -260.0)),
        "forward": ((wide + 12, middle - 15, 18.0), (wide + 10, middle - 290, -20.0)),
    }[body.arms]


def _rod(
    x: Array, y: Array, z: Array, start: tuple[float, float, float], end: tuple[float, float, float], radius: float
) -> NDArray[np.bool_]:
    way = np.subtract(end, start)
    length = float(np.linalg.norm(way))
    way = (way / length).astype(np.float32)
    along = (x - start[0]) * way[0] + (y - start[1]) * way[1] + (z - start[2]) * way[2]
    square = (x - start[0]) ** 2 + (y - start[1]) ** 2 + (z - start[2]) ** 2 - along**2
    return (square < radius**2) & (along > 0) & (along < length)


def _vertebrae(body: Thorax, x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
    between = np.mod(z, 25) < 5
    return ((x / 17) ** 2 + ((y - body.back_at(z) + 17) / 16) ** 2 < 1) & ~between


Thin = tuple[Points, Points, float]
"""``(n, 3)`` points, the attenuation times area (mm, mm^2 per mm) that each lays down, and the radius that it is spread over, mm."""


def _thin(body: Thorax) -> list[Thin]:
    chance = np.random.default_rng(body.seed)
    laid: list[Thin] = []
    for side in _SIDES:
        laid += [_rib(body, number, side) for number in range(1, 11)]
        laid += _vessels(body, side, chance)
        laid += _shoulder(body, side)
    laid += _midline(body)
    return laid


def _tube(points: Points, radius: Points | float, extra: float) -> Thin:
    """A tube along points that attenuates by `extra` a millimetre more than what it lies in."""
    steps = np.linalg.norm(np.gradient(points, axis=0), axis=1)
    return points, steps * np.pi * np.square(radius) * extra, float(np.mean(radius))


def _rib(body: Thorax, number: int, side: float) -> Thin:
    angle = np.linspace(np.radians(8), np.radians(128 if number < 8 else 95), 240)
    start = body.height * (0.01 + 0.085 * number)
    z = (
        start
        - 12 * np.sin(angle) ** 2 * (angle < np.pi / 2)
        + 0.30 * body.height * (1 - np.cos(angle)) / 2 * min(1, 0.35 + 0.1 * number)
    )
    wide, deep = body.width_at(z) + 5, body.depth_at(z) + 5
    x = side * wide * np.sin(angle) ** 0.85
    y = body.centre_at(z) + deep * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.85
    return _tube(np.stack([x, y, z], 1), 5.0, 0.75 * (BONE - WATER))


def _vessels(body: Thorax, side: float, chance: np.random.Generator) -> list[Thin]:
    hilum = np.array([side * 34, float(body.centre_at(np.float32(110))) + 5, 0.43 * body.height])
    way = np.linspace(0, 1, 80)[:, None]
    laid = []
    for _ in range(70):
        z = body.height * chance.uniform(0.08, body.dome + 0.06)
        angle, reach = chance.uniform(0, 2 * np.pi), np.sqrt(chance.uniform(0.1, 0.95))
        wide, deep = float(body.width_at(np.float64(z))), float(body.depth_at(np.float64(z)))
        middle = float(body.centre_at(np.float64(z)))
        target = np.array([side * (0.55 + 0.42 * reach * np.cos(angle)) * wide, middle + 0.85 * deep * reach * np.sin(angle), z])
        bend = chance.normal(0, 14, 3)
        points = hilum + way * (target - hilum) + np.sin(np.pi * way) * bend
        radius = chance.uniform(1.6, 3.6) * (1 - 0.75 * way[:, 0])
        laid.append(_tube(points, radius, WATER - LUNG))
    return laid


def _shoulder(body: Thorax, side: float) -> list[Thin]:
    """Clavicle, scapula and humerus."""
    middle = float(body.centre_at(np.float32(60))) + 15
    start, end = (np.array(place) * (side, 1, 1) for place in _arm(body, middle))
    front = float(body.back_at(np.float32(30)) - 2 * body.depth_at(np.float32(30)))
    inner = np.array([side * 16, front - 4, 34.0])
    way = np.linspace(0, 1, 160)[:, None]
    clavicle = inner + way * (start - (side * 22, 0, 22) - inner) + np.sin(2 * np.pi * way) * (0, -8, 4)
    humerus = start + way * (end - start)
    across, down = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 90))
    away = 30 if body.arms == "down" else 12
    x = side * (start[0] * side - 60 + away + 62 * across * (1 - 0.7 * down))
    z = start[2] - 8 + 125 * down
    y = body.back_at(z) + 2 - 38 * across * (1 - 0.5 * down)
    plate = np.stack([x.ravel(), y.ravel(), z.ravel()], 1)
    area = np.full(len(plate), 62 * 0.65 * 125 / len(plate) * 4 * (BONE - WATER))
    return [_tube(clavicle, 5.5, 0.8 * (BONE - WATER)), _tube(humerus, 11.0, 0.6 * (BONE - WATER)), (plate, area, 2.5)]


def _midline(body: Thorax) -> list[Thin]:
    """Sternum, spinous processes, windpipe and main bronchi."""
    z = np.linspace(30, 0.66 * body.height, 120)
    front = body.back_at(z) - 2 * body.depth_at(z) - 4
    laid = [_tube(np.stack([np.full(120, x), front, z], 1), 5.0, SPONGY - WATER) for x in (-12.0, 0.0, 12.0)]
    for level in np.arange(-65, 0.98 * body.height, 25):
        tail = np.linspace(0, 1, 30)
        back = float(body.back_at(np.float64(level)))
        laid.append(_tube(np.stack([0 * tail, back + 4 + 26 * tail, level + 18 * tail], 1), 4.0, BONE - WATER))
    z = np.linspace(TOP_MM, 0.36 * body.height, 150)
    pipe = np.stack([0 * z, body.centre_at(np.maximum(z, 30)) + 18 + 0.05 * z, z], 1)
    laid.append(_tube(pipe, 8.5, -WATER))
    way = np.linspace(0, 1, 60)[:, None]
    for side in _SIDES:
        end = np.array([side * 36, float(body.centre_at(np.float64(110))) + 8, 0.43 * body.height])
        laid.append(_tube(pipe[-1] + way * (end - pipe[-1]), 6.0, -WATER))
    return laid


def _lay_down(points: Points, weights: Points, radius: float, degrees: float, shape: tuple[int, ...]) -> Array:
    """Attenuation of thin things on the film; that along a ray is the weight over the area it is spread over."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    u = points[:, 0] * cosine + points[:, 1] * sine
    rows, columns = (points[:, 2] - TOP_MM) / PIXEL_MM, (u + HALF_MM) / PIXEL_MM - 0.5
    edges = [np.arange(side + 1) - 0.5 for side in shape]
    laid, _, _ = np.histogram2d(rows, columns, bins=edges, weights=weights / PIXEL_MM**2)
    blurred: Array = ndimage.gaussian_filter(laid, max(0.55, radius / 2 / PIXEL_MM)).astype(np.float32)
    return blurred
