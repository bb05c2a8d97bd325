"""MeshNet (Fedorov et al. 2017, arXiv:1612.00940): dilated 3D convolutions at full resolution, no pooling, no skips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from torch import Tensor, nn

Activation = Literal["relu", "elu"]

DILATIONS: Final = (1, 2, 4, 8, 16, 8, 4, 2, 1)
"""Of brainchop's networks of 10 layers: each voxel sees 93 voxels a side."""
_ACTIVATIONS: Final[dict[str, type[nn.ReLU | nn.ELU]]] = {"relu": nn.ReLU, "elu": nn.ELU}


class MeshNet(nn.Module):
    """Logits of each class for each voxel.

    Parameters
    ----------
    classes
        Number of classes, background included.
    channels
        Of every layer but the last.
    dilations
        One 3 x 3 x 3 convolution each, its padding equal to its dilation, so that the grid stays as it is.
    channels_in
        Of the image.
    activation
        After each of these convolutions.
    normalised
        Whether a batch normalisation stands between convolution and activation.
    dropout
        Share of channels left out in training.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 21,
        dilations: Sequence[int] = DILATIONS,
        *,
        channels_in: int = 1,
        activation: Activation = "elu",
        normalised: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        blocks = []
        for index, dilation in enumerate(dilations):
            layers: list[nn.Module] = [
                nn.Conv3d(
                    channels_in if index == 0 else channels, channels, 3, padding=dilation, dilation=dilation, bias=not normalised
                )
            ]
            if normalised:
                layers.append(nn.BatchNorm3d(channels))
            layers.append(_ACTIVATIONS[activation](inplace=True))
            if dropout:
                layers.append(nn.Dropout3d(dropout))
            blocks.append(nn.Sequential(*layers))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv3d(channels, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """``(batch, channels_in, x, y, z)`` to logits ``(batch, classes, x, y, z)``."""
        logits: Tensor = self.head(self.blocks(image))
        return logits


def meshnet(channels_in: int, outputs: int, width: int = 21) -> MeshNet:
    """The form that is trained here: 10 layers, each normalised, with rectifiers."""
    return MeshNet(outputs, width, channels_in=channels_in, activation="relu", normalised=True)
