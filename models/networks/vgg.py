"""VGG-16 (Simonyan and Zisserman 2015, arXiv:1409.1556, configuration D)."""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

_BLOCKS: Final = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions between two poolings."""
_GRID: Final = 7
"""Side of the map that the dense layers see; other sizes of image are averaged to it."""


class VGG16(nn.Module):
    """Thirteen 3 x 3 convolutions and three dense layers, 138,357,544 parameters for ImageNet, named as torchvision names them.

    Parameters
    ----------
    channels_in
        Of the image.
    outputs
        Number of logits.
    """

    def __init__(self, channels_in: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels_in
        for channels, count in _BLOCKS:
            for _ in range(count):
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(inplace=True)]
                before = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(_GRID)
        self.classifier = nn.Sequential(
            nn.Linear(before * _GRID * _GRID, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, outputs),
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):  # without it sixteen layers without normalisation let no gradient through
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels_in, row, column)``, 32 pixels a side or more, to logits ``(n, outputs)``."""
        logits: Tensor = self.classifier(self.avgpool(self.features(images)).flatten(1))
        return logits
