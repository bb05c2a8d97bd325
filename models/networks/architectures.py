"""The families of networks by name: what each reads and answers, who published it, how to build it. Free of torch until built."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from node.store.errors import ConfigurationError
from node.store.nearest import nearest

if TYPE_CHECKING:
    from torch import nn


class Reads(StrEnum):
    """What one input of a network is; the shape of a batch of it."""

    PICTURE = "picture"  # (n, channel, row, column)
    VOLUME = "volume"  # (n, channel, slice, row, column)
    SEQUENCE = "sequence"  # (n, frame, channel, row, column)


class Answers(StrEnum):
    """What a network's logits are; the shape of a batch of them."""

    FINDINGS = "findings"  # (n, output)
    STRUCTURES = "structures"  # (n, output, …), on the grid of the input


@dataclass(frozen=True, slots=True)
class Published:
    """A figure to check the network against.

    Parameters
    ----------
    parameters
        Number of trainable parameters.
    channels_in, outputs
        What the network was built for there.
    width
        As there, or None where there is one form only.
    """

    parameters: int
    channels_in: int
    outputs: int
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Architecture:
    """One family of networks.

    Parameters
    ----------
    name
        As ``--arch`` and ``arch`` in a ``model.toml`` name it.
    reads, answers
        What goes in and what comes out.
    paper
        Who published it, and where.
    factory
        ``package.module:callable`` that takes channels in and outputs, and the keyword ``width`` where `width` is given.
    features
        Module whose output is the last feature map (heat maps are made from it), as `torch.nn.Module.get_submodule` names it.
    side
        Pixels a side that pictures are usually scaled to; voxels for volumes.
    multiple
        Each side must be a multiple of it.
    smallest
        No side may be shorter.
    published
        Parameters as published, or as follows from what is published (`note`); None: the form is our own.
    width
        Default of the width, or None where the network has one form only.
    channels
        Numbers of channels that may go in; empty: any.
    note
        What to know about the published figure.
    """

    name: str
    reads: Reads
    answers: Answers
    paper: str
    factory: str
    features: str
    side: int
    multiple: int = 1
    smallest: int = 32
    published: Published | None = None
    width: int | None = None
    channels: tuple[int, ...] = ()
    note: str = ""

    def build(self, channels_in: int, outputs: int, width: int | None = None) -> nn.Module:
        """Build the network with first weights drawn at random.

        Raises
        ------
        ConfigurationError
            Where it cannot be built for so many channels, or has no width to choose.
        """
        if self.channels and channels_in not in self.channels:
            raise ConfigurationError(f"{self.name} reads {' or '.join(map(str, self.channels))} channels, not {channels_in}")
        if width is not None and self.width is None:
            raise ConfigurationError(f"{self.name} has one width only")
        if outputs < 1 or (width is not None and width < 1):
            raise ConfigurationError(f"{self.name} needs at least one output and a width of at least 1")
        module, _, attribute = self.factory.partition(":")
        factory = cast("Callable[..., nn.Module]", getattr(importlib.import_module(module), attribute))
        return factory(channels_in, outputs) if width is None else factory(channels_in, outputs, width=width)


_RESNET_3D = (
    "Hara, Kataoka and Satoh 2018, Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?, arXiv:1711.09577"
)

_ALL = (
    Architecture(
        "alexnet",
        Reads.PICTURE,
        Answers.FINDINGS,
        "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997",
        "models.networks.alexnet:AlexNet",
        features="features",
        side=224,
        smallest=63,
        published=Published(61_100_840, 3, 1000),
        note="The form of one tower, as in torchvision; the one of 2012, in two groups, has 60,965,224.",
    ),
    Architecture(
        "zfnet",
        Reads.PICTURE,
        Answers.FINDINGS,
        "Zeiler and Fergus 2014, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901",
        "models.networks.zfnet:ZFNet",
        features="features",
        side=224,
        smallest=63,
        published=Published(62_357_608, 3, 1000),
        note="Added up from the layers of the paper's figure 3; the paper states no sum.",
    ),
    Architecture(
        "vgg16",
        Reads.PICTURE,
        Answers.FINDINGS,
        "Simonyan and Zisserman 2015, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556",
        "models.networks.vgg:VGG16",
        features="features",
        side=224,
        published=Published(138_357_544, 3, 1000),
    ),
    Architecture(
        "googlenet",
        Reads.PICTURE,
        Answers.FINDINGS,
        "Szegedy et al. 2015, Going Deeper with Convolutions, arXiv:1409.4842",
        "models.networks.googlenet:GoogLeNet",
        features="inception5b",
        side=224,
        published=Published(6_624_904, 3, 1000),
        note="As in torchvision: batch normalisation, 3 x 3 for 5 x 5, no auxiliary classifiers. The paper's form has 6,998,552.",
    ),
    Architecture(
        "resnet18",
        Reads.PICTURE,
        Answers.FINDINGS,
        "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385",
        "models.networks.residual:resnet18",
        features="layer4",
        side=224,
        published=Published(11_689_512, 3, 1000),
    ),
    Architecture(
        "resnet50",
        Reads.PICTURE,
        Answers.FINDINGS,
        "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385",
        "models.networks.residual:resnet50",
        features="layer4",
        side=224,
        published=Published(25_557_032, 3, 1000),
    ),
    Architecture(
        "densenet121",
        Reads.PICTURE,
        Answers.FINDINGS,
        "Huang et al. 2017, Densely Connected Convolutional Networks, arXiv:1608.06993",
        "models.networks.dense:densenet121",
        features="features",
        side=224,
        published=Published(7_978_856, 3, 1000),
    ),
    Architecture(
        "squeezenet",
        Reads.PICTURE,
        Answers.FINDINGS,
        "Iandola et al. 2016, SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, arXiv:1602.07360",
        "models.networks.squeezenet:SqueezeNetClassifier",
        features="features",
        side=224,
        published=Published(1_248_424, 3, 1000),
        channels=(1, 3),
        note="Version 1.0.",
    ),
    Architecture(
        "unet",
        Reads.PICTURE,
        Answers.STRUCTURES,
        "Ronneberger, Fischer and Brox 2015, U-Net: Convolutional Networks for Biomedical Image Segmentation, arXiv:1505.04597",
        "models.networks.unet:unet",
        features="encoder.4",
        side=256,
        multiple=32,
        width=24,
        note="A small form of our own, whose first level works at half the resolution.",
    ),
    Architecture(
        "resnet3d18",
        Reads.VOLUME,
        Answers.FINDINGS,
        _RESNET_3D,
        "models.networks.residual:resnet3d18",
        features="layer4",
        side=96,
        published=Published(33_409_104, 3, 400),
        note="As torchvision's r3d_18 (33,371,472), whose first kernel is 3 x 7 x 7 where it is 7 x 7 x 7 in the paper.",
    ),
    Architecture(
        "densenet3d121",
        Reads.VOLUME,
        Answers.FINDINGS,
        "Huang et al. 2017, Densely Connected Convolutional Networks, arXiv:1608.06993, its kernels grown along the slices",
        "models.networks.dense:densenet3d121",
        features="features",
        side=96,
        published=Published(12_311_528, 3, 1000),
        note="From DenseNet-121's 7,978,856: 58 kernels of 128 x 32 x 3 x 3 and one of 3 x 64 x 7 x 7 grow by the third axis.",
    ),
    Architecture(
        "unet3d",
        Reads.VOLUME,
        Answers.STRUCTURES,
        "Cicek et al. 2016, 3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation, arXiv:1606.06650",
        "models.networks.unet3d:UNet3d",
        features="encoder.3",
        side=96,
        multiple=8,
        smallest=16,
        published=Published(19_074_627, 3, 3, 32),
        width=32,
        note="19,069,955 as published, which leaves out scale and shift of the batch normalisations: 4,672.",
    ),
    Architecture(
        "meshnet",
        Reads.VOLUME,
        Answers.STRUCTURES,
        "Fedorov et al. 2017, End-to-end learning of brain tissue segmentation from imperfect labeling, arXiv:1612.00940",
        "models.networks.meshnet:meshnet",
        features="blocks",
        side=96,
        smallest=1,
        published=Published(147_240, 1, 2, 26),
        width=21,
        note="147,474 in Fedorov et al. 2025 (arXiv:2503.05531), which counts the 234 biases that the normalisations make void.",
    ),
    Architecture(
        "cnn_gru",
        Reads.SEQUENCE,
        Answers.FINDINGS,
        "Donahue et al. 2015, Long-term Recurrent Convolutional Networks for Visual Recognition and Description, arXiv:1411.4389",
        "models.networks.cnn_gru:CnnGru",
        features="features",
        side=112,
        published=Published(1_624_266, 3, 10, 128),
        width=128,
        channels=(1, 3),
        note="SqueezeNet's 735,424 without its head, a gated recurrent unit (Cho et al. 2014) of 886,272, a head of 2,570.",
    ),
)

ARCHITECTURES: Final = {one.name: one for one in _ALL}
"""By name."""


def find_architecture(name: str) -> Architecture:
    """The architecture of that name.

    Raises
    ------
    ConfigurationError
        Where there is none; the message names the nearest one.
    """
    if name not in ARCHITECTURES:
        raise ConfigurationError(f"no architecture {name}; {nearest(name, ARCHITECTURES)}")
    return ARCHITECTURES[name]
