"""A slice as a picture for viewers that show nothing but pictures: outlines, heat and a legend are part of its pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Raster
from PIL import ImageDraw, ImageFont
from scipy import ndimage

Color = tuple[int, int, int]
Pixels = NDArray[np.uint8]

SHORTEST: Final = 512
LONGEST: Final = 1024
"""Pixels of the picture's longer side, without head and legend."""
SMALLEST_TEXT: Final = 15
"""Height of letters, pixels; larger pictures have larger ones."""
_HEAD: Final = (255, 220, 90)
_WORDS: Final = (235, 235, 235)
_HEAT: Final = ((0.0, (0, 0, 0)), (0.35, (120, 20, 80)), (0.7, (240, 110, 20)), (1.0, (255, 245, 160)))
"""Colours of a heat map, from nothing to most."""
_ACCENTED: Final = resources.files("workers.encode").joinpath("fonts", "DejaVuSans-Latin.ttf")
"""DejaVu Sans, reduced to the letters of Latin-1 and Latin Extended-A; its licence lies beside it."""
_MOST_HEAT: Final = 0.55
"""Share of the hottest colour in the mixture; below it the image stays to be seen."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One structure on the slice.

    Parameters
    ----------
    mask
        ``(row, column)`` boolean.
    words
        What stands beside its colour in the legend.
    """

    mask: NDArray[np.bool_]
    color: Color
    words: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """What stands around the image.

    Parameters
    ----------
    head
        Lines above it.
    foot
        Lines below it, after the legend.
    edges
        Letters at the left and the right edge of the image, ``("R", "L")``; empty where unknown.
    """

    head: Sequence[str]
    foot: Sequence[str] = ()
    edges: tuple[str, str] = ("", "")


def draw(
    shades: Pixels,
    sheet: Sheet,
    outlines: Sequence[Outline] = (),
    heat: NDArray[np.float32] | None = None,
    pixel_ratio: float = 1.0,
) -> Pixels:
    """Draw one slice.

    Parameters
    ----------
    shades
        ``(row, column)`` grey or ``(row, column, 3)`` colour, 0 to 255.
    heat
        ``(row, column)``, 0 to 1.
    pixel_ratio
        Height of a pixel divided by its width, so that what is round stays round.

    Returns
    -------
    numpy.ndarray
        ``(row, column, 3)`` sRGB.
    """
    size = _size(shades.shape[0] * pixel_ratio, shades.shape[1])
    picture = np.asarray(Raster.fromarray(shades).convert("RGB").resize(size, Raster.Resampling.BILINEAR))
    if heat is not None:
        picture = _heated(picture, heat, size)
    shown = picture.copy()
    for one in outlines:
        mask = np.asarray(Raster.fromarray(one.mask.astype(np.uint8)).resize(size, Raster.Resampling.NEAREST)) > 0
        shown[mask & ~ndimage.binary_erosion(mask, iterations=2, border_value=0)] = one.color
    return _with_words(shown, sheet, [(one.color, one.words) for one in outlines])


def windowed(values: NDArray[np.float32], centre: float, width: float) -> Pixels:
    """Grey values as shades by a linear window (PS3.3 section C.11.2.1.2.1)."""
    low = centre - 0.5 - (width - 1) / 2
    return np.asarray(np.clip((values - low) / max(width - 1, 1e-6), 0, 1) * 255, dtype=np.uint8)


def _size(height: float, width: float) -> tuple[int, int]:
    longer = max(height, width)
    scale = min(max(longer, SHORTEST), LONGEST) / longer
    return max(1, round(width * scale)), max(1, round(height * scale))


def _heated(picture: Pixels, heat: NDArray[np.float32], size: tuple[int, int]) -> Pixels:
    """Mix a heat map into a picture; where there is no heat the picture is as it was."""
    shades = (np.clip(heat, 0, 1) * 255).astype(np.uint8)
    warm = np.asarray(Raster.fromarray(shades).resize(size, Raster.Resampling.BILINEAR), dtype=np.float32) / 255
    stops = [stop for stop, _ in _HEAT]
    tint = np.stack([np.interp(warm, stops, [color[part] for _, color in _HEAT]) for part in range(3)], axis=-1)
    share = (np.sqrt(warm) * _MOST_HEAT)[..., np.newaxis]
    return np.asarray(picture * (1 - share) + tint * share, dtype=np.uint8)


def _with_words(picture: Pixels, sheet: Sheet, legend: Sequence[tuple[Color, str]]) -> Pixels:
    width = max(picture.shape[1], SHORTEST)
    text = max(SMALLEST_TEXT, width // 48)
    font = _font(text, [*sheet.head, *sheet.foot, *(words for _, words in legend)])
    line, margin = text * 3 // 2, text // 2
    room = width - 2 * margin
    head = [part for words in sheet.head for part in _wrapped(words, font, room)]
    foot = [part for words in sheet.foot for part in _wrapped(words, font, room)]
    above = len(head) * line + margin
    page = Raster.new("RGB", (width, above + picture.shape[0] + (len(legend) + len(foot)) * line + margin))
    left = (width - picture.shape[1]) // 2
    page.paste(Raster.fromarray(picture), (left, above))
    pen = ImageDraw.Draw(page)
    for number, words in enumerate(head):
        pen.text((margin, margin // 2 + number * line), words, _HEAD, font)
    middle = above + picture.shape[0] // 2
    pen.text((left + margin, middle), sheet.edges[0], _HEAD, font, stroke_width=2, stroke_fill="black")
    pen.text(
        (left + picture.shape[1] - margin, middle), sheet.edges[1], _HEAD, font, anchor="ra", stroke_width=2, stroke_fill="black"
    )
    below = above + picture.shape[0] + margin // 2
    for number, (color, words) in enumerate(legend):
        top = below + number * line
        pen.rectangle((margin, top + text // 4, margin + text, top + text * 5 // 4), fill=color)
        pen.text((margin + 2 * text, top), _wrapped(words, font, room - 2 * text)[0], _WORDS, font)
    for number, words in enumerate(foot, start=len(legend)):
        pen.text((margin, below + number * line), words, _WORDS, font)
    return np.asarray(page)


def _font(height: int, words: Sequence[str]) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Letters of a height in pixels; Pillow's own font has none with accents."""
    if "".join(words).isascii():
        return ImageFont.load_default(height)
    return ImageFont.truetype(io.BytesIO(_ACCENTED.read_bytes()), height)


def _wrapped(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """`words` in lines that fit."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
