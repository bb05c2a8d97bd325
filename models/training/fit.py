"""The training loop: seeded, resumable at any step, its weights averaged over the last steps."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from node.store.errors import ConfigurationError

N = TypeVar("N", bound=nn.Module)
Trained_contra = TypeVar("Trained_contra", bound=nn.Module, contravariant=True)


class Recipe(Protocol[Trained_contra]):
    """What is trained: batches and their loss."""

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw one batch."""
        ...

    def loss(self, network: Trained_contra, batch: tuple[Tensor, ...]) -> Tensor:
        """The loss of one batch, a scalar."""
        ...

    def score(self, network: Trained_contra) -> float:
        """A figure of merit on rows held out inside train, higher is better; NaN where none are held out."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast.

    Parameters
    ----------
    steps
        Batches in all.
    rate
        Highest learning rate of the one cycle.
    decay
        Weight decay of AdamW.
    averaging
        Decay of the running mean of the weights, which is what is kept.
    every
        Steps between two scores and checkpoints.
    seed
        Of batches and augmentation.
    """

    steps: int
    rate: float = 2e-3
    decay: float = 1e-4
    averaging: float = 0.99
    every: int = 50
    seed: int = 0


@dataclass(slots=True)
class History:
    """What happened: mean losses and scores, by step."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


Report = Callable[[int, float], None]
"""Called after each step with the step's number and its loss."""


def fit(
    network: N, recipe: Recipe[N], plan: Plan, *, checkpoint: Path | None = None, report: Report = lambda _step, _loss: None
) -> tuple[N, History]:
    """Train `network` and return the network with averaged weights, and the history.

    Parameters
    ----------
    checkpoint
        Written every `Plan.every` steps; where it exists training goes on from it. None: not resumable.

    Raises
    ------
    ConfigurationError
        Where the checkpoint was made by another plan.
    """
    optimiser = torch.optim.AdamW((p for p in network.parameters() if p.requires_grad), lr=plan.rate, weight_decay=plan.decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=plan.steps + 1, pct_start=0.15)
    average = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(plan.seed)
    history, done = History(), 0
    if checkpoint is not None and checkpoint.exists():
        done = _resume(checkpoint, plan, network, average, optimiser, cycle, generator, history)
    since: list[float] = []
    for step in range(done, plan.steps):
        network.train()
        torch.manual_seed(plan.seed * 1_000_003 + step)  # dropout draws from the global generator: the same after a resumption
        loss = recipe.loss(network, recipe.batch(generator))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        cycle.step()
        _mix(average, network, min(plan.averaging, (1 + step) / (10 + step)))
        since.append(loss.item())
        report(step + 1, since[-1])
        if (step + 1) % plan.every == 0 or step + 1 == plan.steps:
            average.eval()
            history.steps.append(step + 1)
            history.losses.append(math.fsum(since) / len(since))
            history.scores.append(recipe.score(average))
            since.clear()
            if checkpoint is not None:
                _write(checkpoint, plan, step + 1, network, average, optimiser, cycle, generator, history)
    return average.eval(), history


@torch.no_grad()
def _mix(average: nn.Module, network: nn.Module, keep: float) -> None:
    for mean, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.mul_(keep).add_(new, alpha=1 - keep)
        else:
            mean.copy_(new)


def _plan_key(plan: Plan) -> list[float]:
    return [plan.steps, plan.rate, plan.decay, plan.averaging, plan.seed]


def _write(checkpoint: Path, plan: Plan, step: int, *parts: Any) -> None:
    network, average, optimiser, cycle, generator, history = parts
    state = {
        "plan": _plan_key(plan),
        "step": step,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "cycle": cycle.state_dict(),
        "generator": generator.get_state(),
        "history": [history.steps, history.losses, history.scores],
    }
    new = checkpoint.with_suffix(".new")
    torch.save(state, new)
    os.replace(new, checkpoint)  # noqa: PTH105 - the checkpoint is either the old or the new one, never half of it


def _resume(checkpoint: Path, plan: Plan, *parts: Any) -> int:
    network, average, optimiser, cycle, generator, history = parts
    state = torch.load(checkpoint, weights_only=True)
    if state["plan"] != _plan_key(plan):
        raise ConfigurationError(f"{checkpoint.name} was made with other settings; remove it, or repeat those settings")
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    cycle.load_state_dict(state["cycle"])
    generator.set_state(state["generator"])
    history.steps, history.losses, history.scores = state["history"]
    return int(state["step"])
