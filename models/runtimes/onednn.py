"""Convolutions that oneDNN computes, whatever their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Steps:
    """How a convolution walks, axis by axis."""

    padding: Sequence[int]
    dilation: Sequence[int]
    stride: Sequence[int]
    groups: int = 1


def convolved(features: Tensor, weight: Tensor, bias: Tensor | None, steps: Steps) -> Tensor:
    """``(n, channels, row, column)`` or ``(n, channels, slice, row, column)``, convolved.

    Torch gives a single image to a slow convolution of its own where the product of its first four sides is 20,480 or less: the
    lower levels of a U-Net, and its first one, whose answer then has its channels first again.
    """
    if features.device.type == "cpu" and features.dtype == torch.float32 and _has_onednn():
        return torch.mkldnn_convolution(features, weight, bias, steps.padding, steps.stride, steps.dilation, steps.groups)
    plain = functional.conv2d if features.dim() == 4 else functional.conv3d
    return plain(features, weight, bias, steps.stride, steps.padding, steps.dilation, steps.groups)


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]  # torch's own lacks its types
