"""Residual networks (He et al. 2016, arXiv:1512.03385; in 3D Hara et al. 2018, arXiv:1711.09577), built by MONAI."""

from __future__ import annotations

from torch import nn


def resnet18(channels_in: int, outputs: int) -> nn.Module:
    """ResNet-18 for pictures, 11,689,512 parameters for ImageNet."""
    from monai.networks.nets import resnet18 as build

    return _module(
        build(spatial_dims=2, n_input_channels=channels_in, num_classes=outputs, conv1_t_stride=2, bias_downsample=False)
    )


def resnet50(channels_in: int, outputs: int) -> nn.Module:
    """ResNet-50 for pictures, 25,557,032 parameters for ImageNet."""
    from monai.networks.nets import resnet50 as build

    return _module(
        build(spatial_dims=2, n_input_channels=channels_in, num_classes=outputs, conv1_t_stride=2, bias_downsample=False)
    )


def resnet3d18(channels_in: int, outputs: int) -> nn.Module:
    """ResNet-18 for volumes; the first layer halves all three axes."""
    from monai.networks.nets import resnet18 as build

    return _module(
        build(spatial_dims=3, n_input_channels=channels_in, num_classes=outputs, conv1_t_stride=2, bias_downsample=False)
    )


def _module(built: object) -> nn.Module:
    if not isinstance(built, nn.Module):
        raise TypeError(f"MONAI built a {type(built).__name__}, not a network")
    return built
