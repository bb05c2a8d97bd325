"""Every family: its shapes, its size against what is published, and that it learns one batch by heart."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.networks.architectures import ARCHITECTURES, Answers, Architecture, Reads, find_architecture
from node.store.errors import ConfigurationError

NAMES: Final = list(ARCHITECTURES)
HEAVY: Final = {"alexnet", "zfnet", "vgg16", "resnet50", "densenet3d121"}
"""Whose forty steps take more than some seconds."""
WANTED: Final = {
    *("alexnet", "zfnet", "vgg16", "googlenet", "resnet18", "resnet50", "densenet121", "squeezenet", "unet"),
    *("resnet3d18", "densenet3d121", "unet3d", "meshnet", "cnn_gru"),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny inputs: on a loaded machine threads that wait for each other take most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_side(one: Architecture) -> int:
    return max(one.smallest, 2 * one.multiple, 16 if one.reads is Reads.VOLUME else 32)


def small_input(one: Architecture, count: int, channels: int) -> Tensor:
    side = small_side(one)
    shapes = {
        Reads.PICTURE: (count, channels, side, side),
        Reads.VOLUME: (count, channels, side, side, side),
        Reads.SEQUENCE: (count, 3, channels, side, side),
    }
    return torch.rand(shapes[one.reads], generator=torch.Generator().manual_seed(1))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_all_families_are_there() -> None:
    assert set(ARCHITECTURES) == WANTED


@pytest.mark.parametrize("name", NAMES)
def test_size_is_the_published_one(name: str) -> None:
    one = ARCHITECTURES[name]
    if one.published is None:
        assert name == "unet"
        blocks = [(4, 24), (24, 32), (32, 48), (48, 64), (64, 96), (56, 24), (80, 32), (112, 48), (160, 64)]
        assert count(one.build(1, 2)) == sum(9 * (before + after) * after + 4 * after for before, after in blocks) + 24 * 2 + 2
        return
    form = one.published
    with torch.device("meta"):
        network = one.build(form.channels_in, form.outputs, form.width)
    assert count(network) == form.parameters


def test_figures_that_are_derived_follow_from_the_published_ones() -> None:
    published = {name: one.published.parameters for name, one in ARCHITECTURES.items() if one.published}
    assert published["densenet3d121"] == published["densenet121"] + 58 * 128 * 32 * (27 - 9) + 64 * 3 * (7**3 - 7**2)
    assert published["resnet3d18"] == 33_371_472 + 64 * 3 * (7 - 3) * 49
    normalised = sum((32, 64, 64, 128, 128, 256, 256, 512)) + sum((256, 256, 128, 128, 64, 64))
    assert published["unet3d"] == 19_069_955 + 2 * normalised
    assert published["meshnet"] == 147_474 - 9 * 26
    gru = 2 * (3 * 128 * (1024 + 128) + 2 * 3 * 128)
    assert published["cnn_gru"] == (published["squeezenet"] - 513_000) + gru + 256 * 10 + 10


@pytest.mark.parametrize("name", NAMES)
def test_logits_have_the_stated_shape_and_the_feature_map_is_where_stated(name: str) -> None:
    one = ARCHITECTURES[name]
    torch.manual_seed(0)
    network = one.build(1, 2).eval()
    images = small_input(one, 1, 1)
    seen: list[Tensor] = []
    network.get_submodule(one.features).register_forward_hook(lambda _module, _given, made: seen.append(made))
    with torch.inference_mode():
        logits = network(images)
    grid = images.shape[2:] if one.answers is Answers.STRUCTURES else ()
    assert logits.shape == (1, 2, *grid)
    assert torch.isfinite(logits).all()
    assert seen[-1].ndim == (5 if one.reads is Reads.VOLUME else 4)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in NAMES])
def test_one_batch_is_learned_by_heart(name: str) -> None:
    one = ARCHITECTURES[name]
    torch.manual_seed(0)
    network = one.build(1, 2, 8 if one.width else None).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images = small_input(one, 2, 1)
    if one.answers is Answers.STRUCTURES:
        images[:] = images.new_tensor(0.1)
        images[..., 4:12, 4:12] = 0.9
        labels = (images[:, 0] > 0.5).long()
    else:
        images[1] *= 0.2
        labels = torch.tensor([0, 1])
    small = one.answers is Answers.STRUCTURES
    rate = 1e-2 if small else 3e-4 if name in {*HEAVY, "densenet121", "resnet3d18"} else 3e-3 if name == "cnn_gru" else 1e-3
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    first = last = float("nan")
    for step in range(60):
        loss = cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        last = loss.item()
        first = last if step == 0 else first
        if last < 0.1:
            break
    assert first > 0.3
    assert last < 0.1


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="did you mean resnet18"):
        find_architecture("resnet-18")
    with pytest.raises(ConfigurationError, match="there are alexnet, "):
        find_architecture("x")
    with pytest.raises(ConfigurationError, match="squeezenet reads 1 or 3 channels, not 2"):
        ARCHITECTURES["squeezenet"].build(2, 1)
    with pytest.raises(ConfigurationError, match="one width only"):
        ARCHITECTURES["vgg16"].build(1, 1, 8)
    with pytest.raises(ConfigurationError, match="at least one output"):
        ARCHITECTURES["unet"].build(1, 0)


def test_the_table_needs_neither_torch_nor_monai() -> None:
    code = "import sys, models.networks.architectures; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
