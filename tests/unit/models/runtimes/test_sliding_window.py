"""The same answers as a plain reckoning over all windows, whatever is left out or handed on early."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.networks.unet3d import UNet3d
from models.runtimes.quickened import quickened
from models.runtimes.sliding_window import Window, importance, slide


class Local(nn.Module):
    """Answers of two classes that depend on place in the window, so that blending shows."""

    def forward(self, part: Tensor) -> Tensor:
        ramp = torch.linspace(0, 1, part.shape[-1])
        return torch.cat([part * 2 + ramp, part.cumsum(2)], 1)


def blended(network: nn.Module, volume: Tensor, window: Window, body: Tensor | None = None) -> tuple[Tensor, int]:
    planes: list[Tensor] = []

    def take(first: int, answers: Tensor) -> None:
        assert first == sum(one.shape[1] for one in planes), "in order, without gaps"
        planes.append(answers.clone())

    runs = slide(network, volume, window, take, body)
    return torch.cat(planes, 1), runs


def reckoned(network: nn.Module, volume: Tensor, window: Window) -> Tensor:
    """Every window, all in memory."""
    weights = importance(window.shape)
    starts = []
    for side, length in zip(volume.shape[1:], window.shape, strict=True):
        step = max(1, int(length * (1 - window.overlap)))
        starts.append(sorted({min(start, side - length) for start in range(0, side, step)}))
    sums, total = 0.0 * network(volume[None])[0], torch.zeros(volume.shape[1:])
    for z in starts[0]:
        for y in starts[1]:
            for x in starts[2]:
                at = tuple(slice(start, start + length) for start, length in zip((z, y, x), window.shape, strict=True))
                sums[(slice(None), *at)] += network(volume[(slice(None), *at)][None])[0] * weights
                total[at] += weights
    return sums / total


@pytest.mark.parametrize("shape", [(20, 17, 23), (8, 17, 8), (9, 8, 30)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
def test_blends_as_a_plain_reckoning_does(shape: tuple[int, int, int], overlap: float) -> None:
    volume = torch.rand(1, *shape)
    window = Window((8, 8, 8), overlap)

    found, _ = blended(Local(), volume, window)

    assert found.shape == (2, *shape)
    assert torch.allclose(found, reckoned(Local(), volume, window), atol=1e-4)


def test_a_volume_smaller_than_the_window_is_filled_and_cut_again() -> None:
    volume = torch.rand(1, 5, 12, 3)
    filled = nn.functional.pad(volume, (2, 3, 0, 0, 1, 2))

    found, runs = blended(Local(), volume, Window((8, 8, 8), 0.5))

    assert torch.allclose(found, reckoned(Local(), filled, Window((8, 8, 8), 0.5))[:, 1:6, :, 2:5], atol=1e-4)
    assert runs == 2


def test_windows_of_one_value_are_answered_once_and_change_nothing() -> None:
    volume = torch.full((1, 24, 24, 24), -1.0)
    volume[:, 9:13, 9:13, 9:13] = torch.rand(1, 4, 4, 4)
    window = Window((8, 8, 8), 0.0)

    found, runs = blended(Local(), volume, window)

    assert runs == 2
    assert torch.allclose(found, reckoned(Local(), volume, window), atol=1e-4)


def test_outside_the_body_nothing_is_computed_and_inside_nothing_changes() -> None:
    volume = torch.rand(1, 24, 24, 24)
    body = torch.zeros(24, 24, 24, dtype=torch.bool)
    body[2:9, 10:14, 3:20] = True
    window = Window((8, 8, 8), 0.5)

    found, runs = blended(Local(), volume, window, body)
    whole, every = blended(Local(), volume, window)

    assert runs < every
    assert torch.equal(found[:, body], whole[:, body])
    assert not found[:, 20:].any()


@pytest.mark.parametrize("mode", ["gaussian", "constant"])
def test_is_what_monai_gives(mode: str) -> None:
    sliding_window_inference = pytest.importorskip("monai.inferers").sliding_window_inference
    torch.manual_seed(1)
    network = UNet3d(1, 3, 4).eval()
    volume = torch.rand(1, 21, 40, 33)

    with torch.inference_mode():
        theirs = sliding_window_inference(volume[None], (16, 24, 24), 1, network, overlap=0.25, mode=mode)[0]
    found, _ = blended(quickened(network), volume, Window((16, 24, 24), 0.25, gaussian=mode == "gaussian"))

    assert torch.allclose(found, theirs, atol=1e-4)
