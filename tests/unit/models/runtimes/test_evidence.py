"""What places add to a score: found where it was put, for pictures, volumes and sequences, by features and by hiding."""

import pytest
import torch
from torch import Tensor, nn

from models.networks.architectures import Reads
from models.runtimes.evidence import Features, Hiding

SHAPES = {Reads.PICTURE: (1, 1, 32, 32), Reads.VOLUME: (1, 1, 16, 32, 32), Reads.SEQUENCE: (1, 8, 1, 32, 32)}


def lit(reads: Reads) -> Tensor:
    """Dark but for a block in the last rows and first columns, of the last slices or frames."""
    batch = torch.zeros(SHAPES[reads])
    if reads is Reads.SEQUENCE:
        batch[:, 6:, :, 24:, :8] = 1
    else:
        batch[..., 24:, :8] = 1
    if reads is Reads.VOLUME:
        batch[:, :, :12] = 0
    return batch


def brightest(batch: Tensor) -> Tensor:
    """Two logits: what is bright speaks for the second."""
    bright = batch.flatten(1).square().mean(1) * 100
    return torch.stack([torch.zeros_like(bright), bright], 1)


def second(logits: Tensor) -> Tensor:
    return logits[:, 1] - logits[:, 0]


@pytest.mark.parametrize("reads", list(Reads))
def test_hiding_finds_the_place_that_the_answer_rests_on(reads: Reads) -> None:
    places = Hiding(reads, brightest)(lit(reads), second)
    assert places.ndim == (2 if reads is Reads.PICTURE else 3)
    at = [int(one) for one in torch.unravel_index(places.argmax(), places.shape)]
    rows, columns = places.shape[-2:]
    assert at[-2] >= 3 * rows // 4
    assert at[-1] < columns // 4 + 1
    if reads is not Reads.PICTURE:
        assert at[0] == len(places) - 1
    assert places.max() > 0


class Plain(nn.Module):
    """A layer of features that keeps places, then their squares' mean changed in place."""

    def __init__(self, reads: Reads) -> None:
        super().__init__()
        self.reads = reads
        self.features = nn.AvgPool3d(4) if reads is Reads.VOLUME else nn.AvgPool2d(4)

    def forward(self, batch: Tensor) -> Tensor:
        flat = batch.flatten(0, 1) if self.reads is Reads.SEQUENCE else batch
        seen = self.features(flat).relu_()
        bright = seen.square().mean().view(1) * 100
        return torch.stack([torch.zeros_like(bright), bright], 1)


@pytest.mark.parametrize("reads", list(Reads))
def test_features_find_it_and_nothing_else(reads: Reads) -> None:
    network = Plain(reads).eval()
    with torch.inference_mode():  # as a caller may be
        places = Features(reads, network, "features", "cpu")(lit(reads), second)
    assert places.shape[-2:] == (8, 8)
    marked = places > 0
    assert marked[..., 6:, :2].any()
    assert not marked[..., :6, :].any()
    assert not marked[..., 2:].any()
    if reads is Reads.SEQUENCE:
        assert marked.flatten(1).any(1).tolist() == [False] * 6 + [True] * 2
    assert not network.features._forward_hooks
