"""A picture of a skin lesion as its networks see it: square, in four turns and mirrors."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import interpolate

TURNS: Final = ((0, False), (1, True), (2, False), (3, True))
"""Quarter turns and mirrors that are averaged."""

BLUR: Final = 1 / 12
"""Width of `blurred`, as a part of the side."""

Colours = NDArray[np.uint8]


def centre(colours: Colours) -> tuple[int, int, int]:
    """First row, first column and side of the central square of a ``(row, column, 3)`` picture."""
    rows, columns = colours.shape[:2]
    side = min(rows, columns)
    return (rows - side) // 2, (columns - side) // 2, side


def square(colours: Colours, side: int) -> Tensor:
    """The central square of a picture, ``(1, 3, side, side)``, 0 to 1."""
    top, left, length = centre(colours)
    part = np.ascontiguousarray(colours[top : top + length, left : left + length].transpose(2, 0, 1))
    tensor = torch.from_numpy(part)[None].float() / 255
    if length == side:
        return tensor
    return interpolate(tensor, size=(side, side), mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def blurred(squares: Tensor) -> Tensor:
    """``(n, 3, side, side)`` squares so blurred that the skin's colour stays and no lesion can be told."""
    wide = ndimage.gaussian_filter(squares.cpu().numpy(), (0, 0, BLUR * squares.shape[2], BLUR * squares.shape[3]))
    return torch.from_numpy(wide).to(squares.device)


def turned(squares: Tensor) -> Tensor:
    """``(turn * n, 3, side, side)``: `TURNS` of each of ``(n, 3, side, side)``, turn by turn."""
    return torch.cat([torch.rot90(squares.flip(3) if mirrored else squares, turns, (2, 3)) for turns, mirrored in TURNS])
