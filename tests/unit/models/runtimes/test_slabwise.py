"""Slab by slab in one buffer gives what the plain forward pass gives."""

from __future__ import annotations

import pytest
import torch

from models.networks.meshnet import MeshNet
from models.runtimes import winograd
from models.runtimes.onednn import Steps
from models.runtimes.slabwise import classes_of, features_of


def network(*, activation: str = "elu", normalised: bool = False) -> MeshNet:
    torch.manual_seed(3)
    made = MeshNet(6, 7, (1, 2, 4, 8, 2, 1), activation=activation, normalised=normalised, dropout=0.1)  # type: ignore[arg-type]
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            module.weight.data.uniform_(0.5, 2.0)
            module.bias.data.normal_()
    return made.eval()


def logits_of(made: MeshNet, volume: torch.Tensor, slab: int, *, direct: bool) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = made.head(features_of(made, volume, slab, direct=direct).permute(3, 0, 1, 2)[None])[0]
    return logits


@pytest.mark.parametrize(("activation", "normalised"), [("elu", False), ("relu", True)])
@pytest.mark.parametrize("slab", [1, 5, 16, 64])
def test_gives_the_logits_of_the_forward_pass(activation: str, normalised: bool, slab: int) -> None:
    made = network(activation=activation, normalised=normalised)
    volume = torch.rand(21, 14, 9)

    with torch.inference_mode():
        plain = made(volume[None, None])[0]

    assert torch.allclose(logits_of(made, volume, slab, direct=True), plain, atol=1e-4)
    assert torch.allclose(logits_of(made, volume, slab, direct=False), plain, atol=1e-4)
    assert torch.equal(classes_of(made, volume, slab), plain.argmax(0).to(torch.uint8))


def test_a_volume_thinner_than_the_dilation_is_padded_with_zeros_on_both_sides() -> None:
    made = network()
    volume = torch.rand(3, 12, 12)

    with torch.inference_mode():
        plain = made(volume[None, None])[0]

    assert torch.allclose(logits_of(made, volume, 2, direct=True), plain, atol=1e-4)
    assert torch.allclose(logits_of(made, volume, 2, direct=False), plain, atol=1e-4)


def test_the_network_itself_is_left_as_it_was() -> None:
    made = network(activation="relu", normalised=True)
    before = {name: value.clone() for name, value in made.state_dict().items()}

    classes_of(made, torch.rand(8, 8, 8))

    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


REGIONS = [
    (slice(0, 40), slice(0, 44), slice(0, 42)),  # all
    (slice(20, 24), slice(21, 23), slice(17, 25)),  # in the middle, further from the sides than the network looks
    (slice(0, 9), slice(30, 44), slice(40, 42)),  # at the sides
]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("direct", [True, False])
def test_a_part_is_as_in_the_whole(region: tuple[slice, slice, slice], direct: bool) -> None:
    made = network()
    volume = torch.rand(40, 44, 42)

    with torch.inference_mode():
        whole = made(volume[None, None])[0][(slice(None), *region)]

        part = made.head(features_of(made, volume, 5, region, direct=direct).permute(3, 0, 1, 2)[None])[0]
    assert torch.allclose(part, whole, atol=1e-4)
    assert (classes_of(made, volume, 5, region) != whole.argmax(0)).float().mean() < 1e-4


def test_a_part_costs_less_than_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    made = network()
    seen: list[int] = []
    real = winograd.convolved

    def counted(block: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, steps: Steps) -> torch.Tensor:
        seen.append(block.numel())
        return real(block, weight, bias, steps)

    monkeypatch.setattr(winograd, "convolved", counted)
    classes_of(made, torch.rand(40, 44, 42), 16)
    whole, seen = sum(seen), []
    classes_of(made, torch.rand(40, 44, 42), 16, REGIONS[1])

    assert sum(seen) < whole / 2
