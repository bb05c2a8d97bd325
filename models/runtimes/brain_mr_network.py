"""The two networks of deepbet (Fisch et al. 2024): one finds where the brain is, the other outlines it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final, cast

import torch
from torch import Tensor
from torch.nn import functional

COARSE: Final = (128, 128, 128)
FINE: Final = (256, 256, 256)
"""Grids that the networks were trained on; the image is stretched to them whatever its spacing."""
LOWEST_QUANTILE: Final = 0.005
HIGHEST_QUANTILE: Final = 0.995
MEAN: Final = 0.449
DEVIATION: Final = 0.226
"""Grey values that the networks expect."""


def load_network(path: Path, device: str) -> torch.jit.ScriptModule:
    """Load a TorchScript network whose SHA-256 has been checked: the file is code, and runs.

    Raises
    ------
    RuntimeError
        Where the file is no TorchScript archive (torch's own message).
    """
    with warnings.catch_warnings():
        # torch 2.13 calls TorchScript deprecated; the networks are published in no other format
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.jit")
        network: torch.jit.ScriptModule = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    network.eval()
    return network


def stretched(volume: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """``(x, y, z)`` sampled at the nearest voxels of another grid over the same box."""
    return functional.interpolate(volume[None, None], shape, mode="nearest-exact")[0, 0]


def smoothly_stretched(volume: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """``(x, y, z)`` interpolated on another grid over the same box."""
    return functional.interpolate(volume[None, None], shape, mode="trilinear", align_corners=False)[0, 0]


def grey_range(volume: Tensor) -> tuple[float, float]:
    """The darkest and brightest values that count."""
    bounds = torch.quantile(
        volume.flatten()[:: max(1, volume.numel() // 2**23)], torch.tensor([LOWEST_QUANTILE, HIGHEST_QUANTILE])
    )
    return float(bounds[0]), float(bounds[1])


def brain_probability(network: torch.jit.ScriptModule, volume: Tensor, bounds: tuple[float, float], device: str) -> Tensor:
    """Probability of brain, on the CPU, of a volume already stretched to the network's grid.

    Parameters
    ----------
    volume
        ``(x, y, z)``; x leads to the patient's right, y to the front, z upwards.
    bounds
        From `grey_range`.
    """
    scaled = ((volume - bounds[0]) / (bounds[1] - bounds[0])).clamp(0.0, 1.0)
    scaled = (scaled - scaled.mean()) / scaled.std() * DEVIATION + MEAN
    with torch.inference_mode():
        return cast("Tensor", network(scaled[None, None].to(device))[0, 1].float().cpu())
