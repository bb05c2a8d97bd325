"""Networks of 3D convolutions made quick on the CPU, their answers kept to what adding floats in another order changes.

Four things, each measured in docs/performance-models.md: normalisations are folded into the convolutions before them; channels
lie last in memory; oneDNN computes every convolution; and a `UNet3d`'s transposed convolutions become one with what follows them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.networks.unet3d import UNet3d
from models.runtimes.onednn import Steps, convolved


def quickened(network: nn.Module) -> nn.Module:
    """What answers as `network` does, and sooner.

    Parameters
    ----------
    network
        In evaluation mode. It is changed, and not to be used any more: parts of it are parts of what is returned.

    Returns
    -------
    nn.Module
        Not to be trained. Normalisations are folded where neighbours inside an `nn.Sequential`, between which nothing can lie,
        are a convolution and a batch normalisation.
    """
    _fold(network)
    quick = _RisingAtOnce(network) if type(network) is UNet3d else network
    _replace_convolutions(quick)
    for weight in quick.parameters():
        if weight.dim() == 5:
            weight.data = weight.data.to(memory_format=torch.channels_last_3d)
    return quick


class ByOneDnn(nn.Module):
    """A 3D convolution that oneDNN computes wherever it can.

    Parameters
    ----------
    convolution
        Padded with zeros, by numbers.
    """

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.convolution = convolution
        padding = [side for side in convolution.padding if isinstance(side, int)]
        self._steps = Steps(padding, convolution.dilation, convolution.stride, convolution.groups)

    def forward(self, volumes: Tensor) -> Tensor:
        """``(n, channels, slice, row, column)``."""
        return convolved(volumes, self.convolution.weight, self.convolution.bias, self._steps)


class _RisingAtOnce(nn.Module):
    """A `UNet3d` in two thirds of its multiplications, and without putting channels together.

    Its transposed convolutions of side 2 have neither bias nor activation behind them, so each is one with the convolution of
    side 3 that reads its answer: a transposed one of side 4, 8 products for each voxel and pair of channels instead of 27.
    What comes across from the way down is convolved for itself and added.
    """

    def __init__(self, network: UNet3d) -> None:
        super().__init__()
        self.encoder, self.head = network.encoder, network.head
        self.across, self.up, self.second = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for depth, unit in enumerate(network.decoder):
            first, second = unit.children()
            across, up = _split(first.get_submodule("0"), network.up[depth])
            self.across.append(across)
            self.up.append(up)
            self.second.append(second)

    def forward(self, volumes: Tensor) -> Tensor:
        """As `UNet3d.forward`."""
        levels: list[Tensor] = []
        features = volumes
        for depth, block in enumerate(self.encoder):
            features = block(features if depth == 0 else functional.max_pool3d(features, 2))
            levels.append(features)
        levels.pop()
        for depth in reversed(range(len(levels))):
            features = self.up[depth](features)
            features = self.second[depth](features.add_(self.across[depth](levels.pop())).relu_())
        logits: Tensor = self.head(features)
        return logits


def _split(reading: nn.Module, rising: nn.Module) -> tuple[nn.Conv3d, nn.ConvTranspose3d]:
    """The convolution of what came across, and the one of what rises, of a level's first convolution and the one before it."""
    if not isinstance(reading, nn.Conv3d) or not isinstance(rising, nn.ConvTranspose3d):
        raise TypeError("a level of a U-Net rises by a transposed convolution and then convolves")
    inner, outputs = rising.out_channels, reading.out_channels
    beside = reading.in_channels - inner  # come first
    across = nn.Conv3d(beside, outputs, 3, padding=1, bias=True)
    up = nn.ConvTranspose3d(rising.in_channels, outputs, 4, stride=2, padding=1, bias=False)
    across.weight = nn.Parameter(reading.weight[:, :beside].detach())
    across.bias = reading.bias
    both = functional.conv3d(rising.weight.detach(), reading.weight[:, beside:].detach(), padding=2)
    up.weight = nn.Parameter(both)
    return across, up


def _fold(network: nn.Module) -> None:
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for (name, one), (after, other) in pairwise(list(module.named_children())):
            if isinstance(one, nn.Conv3d) and isinstance(other, nn.BatchNorm3d) and not other.training:
                setattr(module, name, fuse_conv_bn_eval(one, other))
                setattr(module, after, nn.Identity())


def _replace_convolutions(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, one in list(module.named_children()):
            if type(one) is nn.Conv3d and one.padding_mode == "zeros" and not isinstance(one.padding, str):
                setattr(module, name, ByOneDnn(one))
