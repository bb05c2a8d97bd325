from pathlib import Path

import pytest
import torch
from torch import nn

from models.networks.unet import UNet
from models.networks.weights import load_weights, read_weights, save_apart, save_weights
from node.store.errors import ConfigurationError


def test_weights_come_back_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    written, read = UNet(1, (4, 6)), UNet(1, (4, 6))
    save_weights(written.state_dict(), tmp_path / "w.safetensors")
    load_weights(read, tmp_path / "w.safetensors")
    for name, tensor in read.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, written.state_dict()[name].half().float()), name
    assert (tmp_path / "w.safetensors").stat().st_size < 2.5 * sum(p.numel() for p in written.parameters()) + 5000


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    save_weights(UNet(1, (4, 6)).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ConfigurationError, match=r"w\.safetensors does not fit the network"):
        load_weights(UNet(1, (4, 8)), tmp_path / "w.safetensors")
    with pytest.raises(ConfigurationError, match=r"decoder\.1\..* is in only one of them"):
        load_weights(UNet(1, (4, 6, 8)), tmp_path / "w.safetensors")


def test_what_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04not safe")
    with pytest.raises(ConfigurationError, match="cannot be read as safetensors"):
        read_weights(tmp_path / "w.safetensors")
    with pytest.raises(ConfigurationError, match="cannot be read as safetensors"):
        read_weights(tmp_path / "none.safetensors")


def test_members_kept_apart_come_together_again_and_one_missing_is_named(tmp_path: Path) -> None:
    members = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
    files = save_apart(members, "", tmp_path / "w.safetensors")
    assert [file.name for file in files] == ["w-1.safetensors", "w-2.safetensors"]
    again = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
    load_weights(again, *files)
    for name, weight in members.named_parameters():
        assert torch.allclose(again.get_parameter(name), weight, atol=1e-3)
    with pytest.raises(ConfigurationError, match=r"w-2\.safetensors does not fit the network: 0\.(bias|weight) is in only one"):
        load_weights(again, files[1])
