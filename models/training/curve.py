"""Learning curves, as small pictures beside the weights."""

from __future__ import annotations

from pathlib import Path

from models.training.fit import History


def draw_sizes(figures: dict[int, float], path: Path) -> None:
    """Draw AUROC on held-out folds by the number of films that were learned from; PNG, about 20 KB."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(4.5, 2.8), dpi=80)
    axes.plot(list(figures), list(figures.values()), marker="o")
    axes.set(xlabel="films learned from", ylabel="AUROC, held-out folds")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


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
