"""A CNN over each slice or frame, and a recurrent layer over what it saw (Donahue et al. 2015, arXiv:1411.4389).

The CNN is SqueezeNet 1.0 (Iandola et al. 2016), whose ImageNet weights can be put in; the recurrent layer a gated recurrent unit
(Cho et al. 2014, arXiv:1406.1078) that runs both ways, because a stack of slices is there as a whole.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.squeezenet import FEATURES, SqueezeNet


class CnnGru(nn.Module):
    """Logits of each class for a sequence of pictures of any length.

    Parameters
    ----------
    channels_in
        1 or 3.
    outputs
        Number of logits.
    width
        Length of the recurrent layer's state, each way.
    """

    def __init__(self, channels_in: int, outputs: int, width: int = 128) -> None:
        super().__init__()
        if channels_in not in {1, 3}:
            raise ValueError(f"pictures of 1 or 3 channels are read, not of {channels_in}")
        self.features = SqueezeNet()
        self.gru = nn.GRU(2 * FEATURES, width, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * width, outputs)

    def forward(self, sequences: Tensor) -> Tensor:
        """``(n, frame, channels_in, row, column)``, 0 to 1, to logits ``(n, outputs)``."""
        count, frames = sequences.shape[:2]
        features = self.features(sequences.flatten(0, 1).flip(1))  # the published weights want blue first
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1).view(count, frames, -1)
        states, _ = self.gru(pooled)
        logits: Tensor = self.head(states.mean(1))
        return logits
