"""Convolutions of side 3 with half the multiplications along the first axis: Winograd's filtering, whole planes its numbers.

Four answers from six inputs and three taps take twelve products; Winograd's scheme (Lavin and Gray 2016, arXiv:1509.09308) takes
six, of sums of inputs with sums of taps. Here an input is a plane and a product its convolution in two dimensions, so that the
sums cost little beside what they save. Planes one dilation apart are a sequence of their own that no other reads, so each is
computed in place with one plane put aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from models.runtimes.onednn import Steps, convolved


@dataclass(frozen=True, slots=True)
class _Scheme:
    """``answers = of_products @ ((of_taps @ taps) * (of_inputs @ inputs))``; every answer has the second product once."""

    of_inputs: tuple[tuple[float, ...], ...]
    of_taps: tuple[tuple[float, ...], ...]
    of_products: tuple[tuple[float, ...], ...]


FOUR: Final = _Scheme(
    (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
)
TWO: Final = _Scheme(
    ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
    ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    ((1, 1, 1, 0), (0, 1, -1, 1)),
)
"""For the last one or two planes of a sequence."""


def convolve_in_place(buffer: Tensor, weight: Tensor, bias: Tensor, dilation: int, activation: nn.Module) -> None:
    """Overwrite a volume by its convolution, padded with zeros, and activation.

    Parameters
    ----------
    buffer
        ``(slice, row, column, channels)`` float32, contiguous.
    weight
        ``(channels, channels, 3, 3, 3)``.
    dilation
        Along all three axes.
    """
    filters = {scheme: _filters(scheme, weight) for scheme in (FOUR, TWO)}
    work = _Work(buffer, bias, dilation)
    planes = buffer.view(len(buffer), -1)
    for start in range(min(dilation, len(buffer))):
        sequence = planes[start::dilation]
        before = None
        for first in range(0, len(sequence), len(FOUR.of_products)):
            here = sequence[first : first + len(FOUR.of_products)]
            seen = sequence[first : first + len(here) + 1]
            kept = here[-1].clone()
            scheme = FOUR if len(here) > len(TWO.of_products) else TWO
            work.answer(scheme, filters[scheme], before, seen, here)
            here.copy_(activation(here))  # nothing to copy where it works in place
            before = kept


class _Work:
    """Room for the planes that are convolved and for the products."""

    def __init__(self, buffer: Tensor, bias: Tensor, dilation: int) -> None:
        _, self._rows, self._columns, self._channels = buffer.shape
        self._bias = bias
        self._steps = Steps((dilation, dilation), (dilation, dilation), (1, 1))
        self._sums = buffer.new_empty(len(FOUR.of_inputs), buffer[0].numel())
        self._products = torch.empty_like(self._sums)

    def answer(self, scheme: _Scheme, filters: list[Tensor], before: Tensor | None, seen: Tensor, answers: Tensor) -> None:
        """``(planes, values)`` from the plane before them, themselves and the plane behind, where there are such."""
        sums, products = self._sums[: len(filters)], self._products[: len(filters)]
        of_inputs, of_products = seen.new_tensor(scheme.of_inputs), seen.new_tensor(scheme.of_products)
        torch.mm(of_inputs[:, 1 : 1 + len(seen)], seen, out=sums)
        if before is not None:
            sums[0].add_(before, alpha=scheme.of_inputs[0][0])  # no other sum has it
        for index, one in enumerate(filters):
            plane = sums[index].view(1, self._rows, self._columns, self._channels).permute(0, 3, 1, 2)
            product = convolved(plane, one, self._bias if index == 1 else None, self._steps)
            products[index].view(self._rows, self._columns, self._channels).copy_(product[0].permute(1, 2, 0))
        torch.mm(of_products[: len(answers)], products, out=answers)


def _filters(scheme: _Scheme, weight: Tensor) -> list[Tensor]:
    """Of planes, channels last in memory."""
    of_taps = torch.tensor(scheme.of_taps, dtype=torch.float64, device=weight.device)
    sums = torch.einsum("pt,oityx->poiyx", of_taps, weight.double()).to(weight.dtype)
    return [one.contiguous(memory_format=torch.channels_last) for one in sums]
