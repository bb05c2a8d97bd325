"""DenseNet-121 (Huang et al. 2017, arXiv:1608.06993) for pictures and for volumes, built by MONAI."""

from __future__ import annotations

from torch import nn


def densenet121(channels_in: int, outputs: int) -> nn.Module:
    """DenseNet-121 for pictures, 7,978,856 parameters for ImageNet."""
    return _dense(2, channels_in, outputs)


def densenet3d121(channels_in: int, outputs: int) -> nn.Module:
    """DenseNet-121 with each kernel of the picture's network grown along the slices."""
    return _dense(3, channels_in, outputs)


def _dense(axes: int, channels_in: int, outputs: int) -> nn.Module:
    from monai.networks.nets import DenseNet121

    built = DenseNet121(spatial_dims=axes, in_channels=channels_in, out_channels=outputs)
    if not isinstance(built, nn.Module):
        raise TypeError(f"MONAI built a {type(built).__name__}, not a network")
    return built
