"""The networks that nnU-Net v2 (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z) plans: a plain and a residual U-Net.

Parameters carry the names of nnU-Net's checkpoints (dynamic_network_architectures), so that weights map one to one or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

Sides = tuple[int, ...]
SLOPE: Final = 0.01
"""Of nnU-Net's leaky rectifiers, torch's own default."""


@dataclass(frozen=True, slots=True)
class UNetPlan:
    """What a U-Net of nnU-Net is made of.

    Parameters
    ----------
    residual
        Whether the encoder is residual (the ResEnc presets).
    channels
        Of each stage, finest first.
    kernels, strides
        Of each stage.
    encoder_blocks, decoder_blocks
        Convolutions (plain) or blocks (residual) of each stage of the encoder; convolutions of each stage of the decoder.
    bias
        Whether convolutions have one.
    epsilon
        Of the instance normalisation.
    affine
        Whether it has scale and shift.
    """

    residual: bool
    channels: tuple[int, ...]
    kernels: tuple[Sides, ...]
    strides: tuple[Sides, ...]
    encoder_blocks: tuple[int, ...]
    decoder_blocks: tuple[int, ...]
    bias: bool = True
    epsilon: float = 1e-5
    affine: bool = True

    def __post_init__(self) -> None:
        stages = len(self.channels)
        axes = {len(one) for one in (*self.kernels, *self.strides)}
        lengths = (len(self.kernels), len(self.strides), len(self.encoder_blocks), len(self.decoder_blocks) + 1)
        if stages < 2 or any(length != stages for length in lengths) or axes not in ({2}, {3}):
            raise ValueError("the plan's stages do not belong together")
        numbers = [*self.channels, *self.encoder_blocks, *self.decoder_blocks]
        numbers += [side for one in (*self.kernels, *self.strides) for side in one]
        if min(numbers) < 1 or max(self.channels) > 4096 or max(side for one in self.kernels for side in one) > 15:
            raise ValueError("the plan has numbers that no network has")

    @property
    def axes(self) -> int:
        """2 or 3."""
        return len(self.kernels[0])


def _pool(axes: int) -> Any:
    return nn.AvgPool3d if axes == 3 else nn.AvgPool2d


def _conv(axes: int) -> Any:
    return nn.Conv3d if axes == 3 else nn.Conv2d


class _Unit(nn.Module):
    """Convolution, instance normalisation and, unless it ends a residual block, a leaky rectifier."""

    def __init__(
        self, plan: UNetPlan, channels_in: int, channels: int, kernel: Sides, stride: Sides, *, bias: bool, rectified: bool = True
    ) -> None:
        super().__init__()
        self.conv = _conv(plan.axes)(channels_in, channels, kernel, stride, [(side - 1) // 2 for side in kernel], bias=bias)
        norm = nn.InstanceNorm3d if plan.axes == 3 else nn.InstanceNorm2d
        self.norm = norm(channels, eps=plan.epsilon, affine=plan.affine)
        self.rectified = rectified

    def forward(self, features: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.conv(features))
        return nn.functional.leaky_relu_(normalised, SLOPE) if self.rectified else normalised


class _Stack(nn.Module):
    def __init__(self, plan: UNetPlan, count: int, channels_in: int, channels: int, kernel: Sides, stride: Sides) -> None:  # noqa: PLR0917 - one stage's numbers, in the plan's order
        super().__init__()
        ones = (1,) * plan.axes
        self.convs = nn.Sequential(
            *(
                _Unit(plan, channels if index else channels_in, channels, kernel, ones if index else stride, bias=plan.bias)
                for index in range(count)
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        stacked: Tensor = self.convs(features)
        return stacked


class _Block(nn.Module):
    """Two convolutions and a way past them, which averages where the block strides (ResNet-D, He et al. 2019)."""

    def __init__(self, plan: UNetPlan, channels_in: int, channels: int, kernel: Sides, stride: Sides) -> None:
        super().__init__()
        ones = (1,) * plan.axes
        self.conv1 = _Unit(plan, channels_in, channels, kernel, stride, bias=plan.bias)
        self.conv2 = _Unit(plan, channels, channels, kernel, ones, bias=plan.bias, rectified=False)
        past: list[nn.Module] = []
        if any(side != 1 for side in stride):
            past.append(_pool(plan.axes)(stride, stride))
        if channels_in != channels:
            past.append(_Unit(plan, channels_in, channels, ones, ones, bias=False, rectified=False))
        self.skip = nn.Sequential(*past)

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.leaky_relu_(self.conv2(self.conv1(features)) + self.skip(features), SLOPE)


class _Blocks(nn.Module):
    def __init__(self, plan: UNetPlan, stage: int, channels_in: int) -> None:
        super().__init__()
        ones, channels, kernel = (1,) * plan.axes, plan.channels[stage], plan.kernels[stage]
        self.blocks = nn.Sequential(
            *(
                _Block(plan, channels if index else channels_in, channels, kernel, ones if index else plan.strides[stage])
                for index in range(plan.encoder_blocks[stage])
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        passed: Tensor = self.blocks(features)
        return passed


class _Encoder(nn.Module):
    def __init__(self, plan: UNetPlan, channels_in: int) -> None:
        super().__init__()
        ones = (1,) * plan.axes
        before = [plan.channels[0] if plan.residual else channels_in, *plan.channels[:-1]]
        stages: list[nn.Module] = []
        if plan.residual:
            self.stem: nn.Module = _Stack(plan, 1, channels_in, plan.channels[0], plan.kernels[0], ones)
            stages = [_Blocks(plan, stage, before[stage]) for stage in range(len(plan.channels))]
        else:
            self.stem = nn.Identity()
            for stage, channels in enumerate(plan.channels):
                count, kernel, stride = plan.encoder_blocks[stage], plan.kernels[stage], plan.strides[stage]
                stages.append(nn.Sequential(_Stack(plan, count, before[stage], channels, kernel, stride)))
        self.stages = nn.Sequential(*stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        features, levels = self.stem(images), []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels


class _Decoder(nn.Module):
    def __init__(self, plan: UNetPlan, outputs: int) -> None:
        super().__init__()
        up = nn.ConvTranspose3d if plan.axes == 3 else nn.ConvTranspose2d
        ones = (1,) * plan.axes
        self.stages, self.transpconvs, self.seg_layers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for depth, count in zip(range(len(plan.channels) - 2, -1, -1), plan.decoder_blocks, strict=True):
            channels, stride = plan.channels[depth], plan.strides[depth + 1]
            self.transpconvs.append(up(plan.channels[depth + 1], channels, stride, stride, bias=plan.bias))  # type: ignore[arg-type]
            self.stages.append(_Stack(plan, count, 2 * channels, channels, plan.kernels[depth], ones))
            self.seg_layers.append(_conv(plan.axes)(channels, outputs, 1))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        features = levels[-1]
        for index, stage in enumerate(self.stages):
            features = stage(torch.cat([self.transpconvs[index](features), levels[-(index + 2)]], 1))
        logits: Tensor = self.seg_layers[-1](features)
        return logits


class NnUNet(nn.Module):
    """Logits of each output for each pixel or voxel; the layers for deep supervision are there, as in the checkpoints, unused.

    Parameters
    ----------
    plan
        Of the network.
    channels_in
        Of the image.
    outputs
        Background and structures.
    """

    def __init__(self, plan: UNetPlan, channels_in: int, outputs: int) -> None:
        super().__init__()
        self.encoder = _Encoder(plan, channels_in)
        self.decoder = _Decoder(plan, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels_in, …)``, sides multiples of all strides together, to ``(n, outputs, …)``."""
        logits: Tensor = self.decoder(self.encoder(images))
        return logits
