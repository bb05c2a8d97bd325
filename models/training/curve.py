"""The learning curve, as a small picture beside the weights."""

from __future__ import annotations

from pathlib import Path

from models.training.fit import History


def draw_curve(histories: dict[str, History], path: Path, score_name: str) -> None:
    """Draw loss and score by step, one line for each history (a fold, a stage); PNG, about 30 KB."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (losses, scores) = pyplot.subplots(1, 2, figsize=(7, 2.8), dpi=80)
    for name, history in histories.items():
        losses.plot(history.steps, history.losses, label=name)
        scores.plot(history.steps, history.scores, marker=".", label=name)
    losses.set(xlabel="step", ylabel="loss", yscale="log")
    scores.set(xlabel="step", ylabel=score_name)
    losses.legend(fontsize="x-small")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
