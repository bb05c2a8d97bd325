"""Pictures of the answers that a model got most wrong, for its card: the image, what is right, and what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Raster

from models.image import Image, Region
from models.manifest import Manifest
from models.prediction import HeatMap, Prediction
from models.runtime import Model
from models.training.metrics import dice
from models.training.outline_figures import Compared, Mask, compared
from models.training.pictures import row_image
from models.training.worst import SHOWN, Worst
from workers.encode.picture import Outline, Pixels, Sheet, draw, windowed
from workers.encode.window import spread_window

SHEET: Final = "worst.png"
"""All of them together, small enough for a card."""

LEAST_VOXELS: Final = 50
"""Of a slice that is drawn: below it Dice is a matter of single voxels."""

_TILE: Final = 320
"""Width of one picture on the sheet, pixels."""
_ACROSS: Final = 3
_RIGHT: Final = (120, 220, 140)
_ANSWERED: Final = (240, 130, 90)


def draw_worst(
    manifest: Manifest, model: Model, folder: Path, chosen: Sequence[Worst], into: Path, *, blank: bool = False
) -> list[Path]:
    """Draw each case as ``worst-N.png`` and all together as ``worst.png``; read anew, so that heat maps are there.

    Parameters
    ----------
    model
        Which makes heat maps where it can.
    folder
        With the ``index.csv`` that the rows are of.
    into
        Folder of the pictures, made where missing; pictures of an earlier run are replaced.
    blank
        Outlines and heat alone on black ground: nothing of the image is passed on.

    Returns
    -------
    list
        Paths of the single pictures, the worst case first.
    """
    return _save([_page(manifest, model, folder, one, blank=blank) for one in chosen], into)


def draw_slices(
    manifest: Manifest,
    image: Image,
    pairs: Iterable[tuple[str, Mask, Mask]],
    into: Path,
    *,
    blank: bool = False,
) -> list[Path]:
    """Draw the slices of a volume on which outlines and labels agree least, as `draw_worst` does.

    Parameters
    ----------
    pairs
        Key of each structure, its outline and its label, ``(slice, row, column)``; slices with less than `LEAST_VOXELS` of both
        together are left out.
    """
    cases = [
        (dice(found[index], truth[index]), key, index, found, truth)
        for key, found, truth in pairs
        for index in np.flatnonzero((found | truth).sum(axis=(1, 2)) >= LEAST_VOXELS).tolist()
    ]
    cases.sort(key=lambda case: case[:3])
    pages = []
    for score, key, index, found, truth in cases[:SHOWN]:
        words = f"Slice {index + 1} of {image.array.shape[0]}: {manifest.structure(key).name}, Dice {score:.2f}"
        shades = _shades(image, index)
        pair = Compared(key, manifest.structure(key).name, found, truth)
        pages.append(draw(np.zeros_like(shades) if blank else shades, Sheet([words]), _outlines(pair, index)))
    return _save(pages, into)


def _save(pages: Sequence[Pixels], into: Path) -> list[Path]:
    if not pages:
        return []
    into.mkdir(parents=True, exist_ok=True)
    for old in into.glob("worst*.png"):
        old.unlink()
    paths = [into / f"worst-{number}.png" for number in range(1, len(pages) + 1)]
    for path, page in zip(paths, pages, strict=True):
        Raster.fromarray(page).save(path)
    _together(pages).save(into / SHEET, optimize=True)
    return paths


def _page(manifest: Manifest, model: Model, folder: Path, case: Worst, *, blank: bool) -> Pixels:
    image = row_image(folder, case.row, manifest.pictures)
    said = model.predict(image)
    pair = compared(manifest, folder, case.row, said) if manifest.structures else None
    heat = next((one for one in said.heat_maps if one.key == case.key), None)
    index = _slice(pair, said, heat)
    shades = _shades(image, index)
    foot = [f"Colour: what spoke for {manifest.finding(heat.key).name} ({heat.method})."] if heat else []
    return draw(
        np.zeros_like(shades) if blank else shades,
        Sheet([f"Row {case.number}: {case.words}"], foot),
        _outlines(pair, index) if pair else _places(said, index, (image.array.shape[1], image.array.shape[2])),
        heat.array[index] if heat else None,
    )


def _slice(pair: Compared | None, said: Prediction, heat: HeatMap | None) -> int:
    """Where the answer differs most from the label, or where the map is hottest."""
    if pair is not None:
        return int((pair.found ^ pair.truth).sum(axis=(1, 2)).argmax())
    if heat is not None:
        return int(heat.array.max(axis=(1, 2)).argmax())
    return said.located[0].index if said.located else 0


def _shades(image: Image, index: int) -> Pixels:
    if image.array.ndim == 4:
        return np.asarray(image.array[index], dtype=np.uint8)
    values: NDArray[np.float32] = np.asarray(image.array[index], dtype=np.float32)
    return windowed(values, *spread_window(values))


def _outlines(pair: Compared, index: int) -> tuple[Outline, ...]:
    return (Outline(pair.truth[index], _RIGHT, "label"), Outline(pair.found[index], _ANSWERED, "answer"))


def _places(said: Prediction, index: int, shape: tuple[int, int]) -> tuple[Outline, ...]:
    """Discs that were rated."""
    down, across = np.mgrid[: shape[0], : shape[1]]
    discs = [one.place for one in said.located if one.index == index and isinstance(one.place, Region)]
    inside = [np.hypot(down - disc.row, across - disc.column) <= disc.radius for disc in discs]
    return tuple(Outline(mask, _ANSWERED, "what was rated") for mask in inside)


def _together(pages: Sequence[Pixels]) -> Raster.Image:
    """Rows of three."""
    tiles = []
    for page in pages:
        height = max(1, round(page.shape[0] * _TILE / page.shape[1]))
        tiles.append(Raster.fromarray(page).resize((_TILE, height), Raster.Resampling.LANCZOS))
    tallest = max(tile.height for tile in tiles)
    rows = -(-len(tiles) // _ACROSS)
    sheet = Raster.new("RGB", (_TILE * min(_ACROSS, len(tiles)), tallest * rows))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % _ACROSS * _TILE, number // _ACROSS * tallest))
    return sheet
