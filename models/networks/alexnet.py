"""AlexNet in its form of one tower (Krizhevsky 2014, arXiv:1404.5997; first Krizhevsky, Sutskever and Hinton 2012)."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

_GRID: Final = 6
"""Side of the map that the dense layers see; other sizes of image are averaged to it."""


class AlexNet(nn.Module):
    """Five convolutions and three dense layers; parameters are named as in the published ImageNet weights of torchvision.

    The form of 2012, in two groups on two cards, counts 60,965,224 parameters; this one counts 61,100,840.

    Parameters
    ----------
    channels_in
        Of the image.
    outputs
        Number of logits.
    """

    def __init__(self, channels_in: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels_in, 64, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(_GRID)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(256 * _GRID * _GRID, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels_in, row, column)``, 63 pixels a side or more, to logits ``(n, outputs)``."""
        logits: Tensor = self.classifier(self.avgpool(self.features(images)).flatten(1))
        return logits
