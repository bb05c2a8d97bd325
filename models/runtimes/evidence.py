"""What each place of an image adds to a finding, for any network: from its features, or by hiding places one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from models.networks.architectures import Reads
from models.runtimes.heat_map import attribute

Score = Callable[[Tensor], Tensor]
"""Of logits ``(n, output)``, ``(n,)``: that of which the places are asked."""


class Evidence(Protocol):
    """What each place of an image adds to a score."""

    method: str
    """How, for the reader (`models.prediction.HeatMap.method`)."""

    def __call__(self, batch: Tensor, score: Score) -> Tensor:
        """Ask one image.

        Parameters
        ----------
        batch
            A batch of one, on the CPU.

        Returns
        -------
        Tensor
            ``(row, column)`` of a picture, ``(slice, row, column)`` of a volume, ``(frame, row, column)`` of a sequence: as
            coarse as it is, over the extent of the image, on the CPU. Above 0 speaks for the score.
        """
        ...


CELLS: Final = {Reads.PICTURE: (1, 8, 8), Reads.VOLUME: (4, 4, 4), Reads.SEQUENCE: (4, 4, 4)}
"""Places that `Hiding` hides, one after another: 64 further answers of the network."""

_AT_ONCE: Final = 3
"""Cells a side of a picture that are hidden together: what lies across cells would else show on beside each."""


class Features:
    """Gradient times feature at the last layer that has places (`models.runtimes.heat_map.attribute`): HiResCAM.

    Parameters
    ----------
    reads
        What one input of the network is.
    network
        In evaluation mode, on its device.
    layer
        Name of that layer (`models.networks.architectures.Architecture.features`).
    device
        As torch spells it.
    """

    method = "HiResCAM"

    def __init__(self, reads: Reads, network: nn.Module, layer: str, device: str) -> None:
        self._reads, self._network, self._layer, self._device = reads, network, network.get_submodule(layer), device

    def __call__(self, batch: Tensor, score: Score) -> Tensor:
        """What each place of the features adds to the score, as `Evidence`."""
        seen: list[Tensor] = []

        def answer(batch: Tensor, replaced: Tensor | None) -> Tensor:
            def hook(_module: nn.Module, _given: object, made: Tensor) -> Tensor:
                seen.append(made.detach())
                # a copy, for what follows may change it in place
                return made if replaced is None else replaced.clone()

            handle = self._layer.register_forward_hook(hook)
            try:
                # cuDNN's recurrent layers have no way back outside of training
                with torch.backends.cudnn.flags(enabled=replaced is None):
                    logits: Tensor = self._network(batch)
            finally:
                handle.remove()
            return logits

        with torch.inference_mode(False):
            shown = batch.clone().to(self._device)
            with torch.no_grad():
                answer(shown, None)
            places = attribute(seen[0], lambda features: score(answer(shown, features)))
        return (places if self._reads is Reads.SEQUENCE else places[0]).float().cpu()


class Hiding:
    """How much the score falls where a place is hidden behind the image's mean (Zeiler and Fergus 2014, section 4.2).

    For networks of which only the answer is known. Costs as many answers as `CELLS` has places.

    Parameters
    ----------
    reads
        What one input of the network is.
    network
        A batch of one on the CPU to its logits on the CPU.
    """

    method = "occlusion"

    def __init__(self, reads: Reads, network: Callable[[Tensor], Tensor]) -> None:
        self._reads, self._network = reads, network

    def __call__(self, batch: Tensor, score: Score) -> Tensor:
        """What each of `CELLS` adds to the score, as `Evidence`."""
        grid = self._grid(batch)
        known = float(score(self._network(batch)))
        cells = CELLS[self._reads]
        added = torch.zeros(cells)
        for number in range(added.numel()):
            cell = torch.zeros(added.numel())
            cell[number] = 1
            hidden = cell.view(cells)
            if self._reads is Reads.PICTURE:
                hidden = avg_pool2d(hidden, _AT_ONCE, 1, _AT_ONCE // 2).sign()
            shown = self._without(batch, interpolate(hidden[None, None], size=grid, mode="nearest")[0, 0])
            added.view(-1)[number] = known - float(score(self._network(shown)))
        return added[0] if self._reads is Reads.PICTURE else added

    def _grid(self, batch: Tensor) -> tuple[int, ...]:
        """Frames or slices, rows and columns."""
        if self._reads is Reads.PICTURE:
            return (1, batch.shape[2], batch.shape[3])
        frames = batch.shape[1] if self._reads is Reads.SEQUENCE else batch.shape[2]
        return (frames, batch.shape[3], batch.shape[4])

    def _without(self, batch: Tensor, hidden: Tensor) -> Tensor:
        if self._reads is Reads.SEQUENCE:
            hidden = hidden[:, None]  # one channel axis for all
        mean = batch.mean(tuple(axis for axis in range(batch.ndim) if axis != self._channel), keepdim=True)
        return torch.where(hidden > 0, mean, batch)

    @property
    def _channel(self) -> int:
        return 2 if self._reads is Reads.SEQUENCE else 1
