"""ZFNet (Zeiler and Fergus 2014, arXiv:1311.2901, figure 3): AlexNet with a finer first layer."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

_GRID: Final = 6
"""Side of the map that the dense layers see; other sizes of image are averaged to it."""


class ZFNet(nn.Module):
    """Five convolutions and three dense layers, 62,357,608 parameters for ImageNet.

    The paper's contrast normalisation after the first two layers is local response normalisation here, as in AlexNet of 2012.

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
            nn.Conv2d(channels_in, 96, 7, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0),
            nn.Conv2d(96, 256, 5, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(_GRID)
        self.classifier = nn.Sequential(
            nn.Linear(256 * _GRID * _GRID, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels_in, row, column)``, 63 pixels a side or more, to logits ``(n, outputs)``."""
        logits: Tensor = self.classifier(self.avgpool(self.features(images)).flatten(1))
        return logits
