"""How training and evaluation look on a terminal."""

from __future__ import annotations

from typing import Any

from rich.progress import Progress, TaskID
from rich.table import Table


class ProgressWatch:
    """A bar for each stage of a training run.

    Parameters
    ----------
    progress
        With a field ``loss`` in its columns.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def stage(self, name: str, total: int) -> None:
        """Begin a bar."""
        self._task = self._progress.add_task(name, total=total, loss="")

    def advance(self, loss: float | None = None) -> None:
        """Move the newest bar on."""
        if self._task is not None:
            self._progress.update(self._task, advance=1, loss="" if loss is None else f"loss {loss:.3f}")


def figures_table(figures: dict[str, Any]) -> Table:
    """Figures of `models.training.evaluation.evaluate` as a table."""
    table = Table(
        "label", "figure", "value", title=f"{figures['model']} {figures['version']} on {figures['dataset']}/{figures['split']}"
    )
    for key, value in figures.items():
        if key not in {"model", "version", "dataset", "split", "per_label"}:
            table.add_row("", key, _plain(value))
    for label, per_label in figures["per_label"].items():
        for key, value in per_label.items():
            table.add_row(label, key, _plain(value))
    return table


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, list):
        return " to ".join(_plain(one) for one in value)
    return str(value)
