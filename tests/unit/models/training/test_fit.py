from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.training.fit import Plan, fit
from node.store.errors import ConfigurationError


class Line:
    """Learns y = 3 x - 1 from noisy points."""

    def __init__(self, stop_after: int | None = None) -> None:
        self._left = stop_after

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        x = torch.rand(16, 1, generator=generator)
        return x, 3 * x - 1 + 0.01 * torch.randn(16, 1, generator=generator)

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return (network(batch[0]) - batch[1]).square().mean()

    def score(self, network: nn.Module) -> float:
        with torch.no_grad():
            return -float((network(torch.tensor([[0.5]])) - 0.5).abs())


PLAN = Plan(steps=120, rate=0.1, decay=0.0, averaging=0.9, every=20)


def _network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(1, 1)


def test_it_learns_and_keeps_its_history() -> None:
    seen: list[int] = []
    trained, history = fit(_network(), Line(), PLAN, report=lambda step, _loss: seen.append(step))
    assert trained.weight.item() == pytest.approx(3, abs=0.2)
    assert seen == list(range(1, 121))
    assert history.steps == [20, 40, 60, 80, 100, 120]
    assert history.losses[-1] < history.losses[0] / 10
    assert history.scores[-1] > -0.05


def test_a_run_cut_short_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, whole_history = fit(_network(), Line(), PLAN)
    checkpoint = tmp_path / "line.pt"
    with pytest.raises(KeyboardInterrupt):
        fit(_network(), Line(stop_after=70), PLAN, checkpoint=checkpoint)
    resumed, history = fit(_network(), Line(), PLAN, checkpoint=checkpoint)
    assert torch.equal(resumed.weight, whole.weight)
    assert history == whole_history


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "line.pt"
    fit(_network(), Line(), PLAN, checkpoint=checkpoint)
    with pytest.raises(ConfigurationError, match=r"line\.pt was made with other settings"):
        fit(_network(), Line(), Plan(steps=60, rate=0.1), checkpoint=checkpoint)
