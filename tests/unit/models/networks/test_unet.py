import torch

from models.networks.lung_net import DESCRIBED, Kind, LungNet
from models.networks.unet import UNet


def test_logits_lie_on_the_grid_of_the_images() -> None:
    network = UNet(3, (4, 6, 8)).eval()
    assert network(torch.rand(2, 1, 32, 48)).shape == (2, 3, 32, 48)


def test_every_level_reaches_the_logits() -> None:
    torch.manual_seed(0)
    network = UNet(1, (4, 6, 8)).eval()
    network(torch.rand(1, 1, 32, 32)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_lung_net_answers_fields_and_kinds_as_its_parts_do() -> None:
    torch.manual_seed(0)
    network = LungNet().eval()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        fields, kinds = network.answer(images)
        assert torch.equal(fields, network(images))
        assert network.describe(network.encode(images)).shape == (2, DESCRIBED)
    assert kinds.shape == (2, len(Kind))
