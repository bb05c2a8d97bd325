"""A MeshNet over a whole volume in one buffer: slab by slab, layer by layer, with exact neighbours and without any recomputation.

The plain forward pass holds a layer's input and its output at once, and the logits of every class. Here each layer overwrites its
input: a slab's convolution needs the planes up to one dilation before and after it; those after it are still untouched, those
before it were copied before they were overwritten. Classes are decided slab by slab, so logits of the whole volume never exist.

On the CPU, layers are computed in fewer products, as `models.runtimes.winograd` says. Not on a GPU: its convolutions may round to
10 bits, and the scheme would blow up what was rounded off.

Where only a part is asked for, each layer is computed only as far around it as the layers after it look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.networks.meshnet import MeshNet
from models.runtimes.onednn import Steps, convolved
from models.runtimes.winograd import convolve_in_place

SLAB: Final = 16
"""Planes that are computed at once: memory against the calls' overhead."""
Region = tuple[slice, slice, slice]


def classes_of(network: MeshNet, volume: Tensor, slab: int = SLAB, region: Region | None = None) -> Tensor:
    """The most likely class of each voxel, the same as of the network's forward pass.

    Parameters
    ----------
    network
        In evaluation mode, on the device that shall compute.
    volume
        ``(x, y, z)`` float32.
    region
        First and last voxels (exclusive) of the part that is asked for; None: all. The network sees what lies around it as well.

    Returns
    -------
    Tensor
        ``(x, y, z)`` uint8 of the region, on the CPU.
    """
    device = network.head.weight.device
    with torch.inference_mode():
        features = features_of(network, volume.to(device), slab, region, direct=device.type != "cpu")
        matrix = network.head.weight[:, :, 0, 0, 0]
        labels = torch.empty(features.shape[:3], dtype=torch.uint8)
        for start in range(0, features.shape[0], slab):
            part = features[start : start + slab]
            labels[start : start + slab] = functional.linear(part, matrix, network.head.bias).argmax(-1)
    return labels


def features_of(network: MeshNet, volume: Tensor, slab: int = SLAB, region: Region | None = None, *, direct: bool) -> Tensor:
    """What the last convolution works on, ``(x, y, z, channels)`` of the region; every layer was computed in this one buffer.

    `direct` says that layers are computed slab by slab, otherwise by Winograd's scheme.
    """
    first, *others = [_layer(block) for block in network.blocks]
    wanted = region or _grown((slice(0, 0),) * 3, max(volume.shape), volume.shape)
    reach = first.dilation + sum(layer.dilation for layer in others)
    held = _grown(wanted, reach, volume.shape)
    buffer = torch.empty((*volume[held].shape, len(first.bias)), dtype=volume.dtype, device=volume.device)
    _first(first, volume[held], buffer, slab)
    reach -= first.dilation
    for layer in others:
        # what the layer before made of the rim of its input is wrong, for it saw zeros around it; from here on nobody looks there
        needed = _grown(wanted, reach, volume.shape)
        buffer = _narrowed(buffer, _inside(needed, held))
        held, reach = needed, reach - layer.dilation
        if direct:
            _in_place(layer, buffer, slab)
        else:
            convolve_in_place(buffer, layer.weight, layer.bias, layer.dilation, layer.activation)
    return buffer[_inside(wanted, held)]


def _grown(region: Region, reach: int, shape: tuple[int, ...]) -> Region:
    """With as many voxels more on every side, as far as there are any."""
    first, second, third = (
        slice(max(0, side.start - reach), min(extent, side.stop + reach)) for side, extent in zip(region, shape, strict=True)
    )
    return first, second, third


def _inside(region: Region, outer: Region) -> Region:
    """The region, counted from the first voxels of one around it."""
    first, second, third = (
        slice(side.start - around.start, side.stop - around.start) for side, around in zip(region, outer, strict=True)
    )
    return first, second, third


def _narrowed(buffer: Tensor, region: Region) -> Tensor:
    """The region of a contiguous buffer, contiguous, moved to the front of the same memory."""
    seen = buffer[region]
    if seen.shape == buffer.shape:
        return buffer
    made = buffer.view(-1)[: seen.numel()].view(seen.shape)
    for index in range(len(seen)):  # a plane lies at or behind its new place, so that none is overwritten before it was moved
        made[index] = seen[index].clone()
    return made


@dataclass(frozen=True, slots=True)
class _Layer:
    """One convolution, its channels last in memory, a normalisation folded in, and its activation."""

    weight: Tensor
    bias: Tensor
    dilation: int
    activation: nn.Module


def _layer(block: nn.Module) -> _Layer:
    modules = [one for one in block.children() if not isinstance(one, nn.Dropout3d)]
    convolution, activation = modules[0], modules[-1]
    if not isinstance(convolution, nn.Conv3d):
        raise TypeError("a block of a MeshNet starts with its convolution")
    if isinstance(modules[1], nn.BatchNorm3d):
        convolution = fuse_conv_bn_eval(convolution, modules[1])
    if convolution.bias is None:
        raise TypeError("a convolution of a MeshNet has a bias, or a normalisation behind it")
    weight = convolution.weight.to(memory_format=torch.channels_last_3d)
    return _Layer(weight, convolution.bias, convolution.dilation[0], activation)


def _first(layer: _Layer, volume: Tensor, buffer: Tensor, slab: int) -> None:
    reach = layer.dilation
    padded = functional.pad(volume, (0, 0, 0, 0, reach, reach))
    for start in range(0, volume.shape[0], slab):
        stop = min(start + slab, volume.shape[0])
        buffer[start:stop] = _convolved(layer, padded[start : stop + 2 * reach, ..., None])


def _in_place(layer: _Layer, buffer: Tensor, slab: int) -> None:
    reach, depth = layer.dilation, buffer.shape[0]
    before = buffer.new_zeros((reach, *buffer.shape[1:]))
    for start in range(0, depth, slab):
        stop = min(start + slab, depth)
        known = buffer[start : min(stop + reach, depth)]
        after = buffer.new_zeros((max(0, stop + reach - depth), *buffer.shape[1:]))
        block = torch.cat((before, known, after))
        before = block[stop - start : stop - start + reach].clone()
        buffer[start:stop] = _convolved(layer, block)


def _convolved(layer: _Layer, block: Tensor) -> Tensor:
    """``(planes, y, z, channels)`` with `dilation` planes more on both ends to the activated planes between them."""
    seen = block.permute(3, 0, 1, 2)[None]  # channels lie last in memory, which is what the convolution is quickest on
    padding = (0, layer.dilation, layer.dilation)
    answer = convolved(seen, layer.weight, layer.bias, Steps(padding, (layer.dilation,) * 3, (1, 1, 1)))
    activated: Tensor = layer.activation(answer)
    return activated[0].permute(1, 2, 3, 0)
