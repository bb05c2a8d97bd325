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
    """Figures of any kind of evaluation as a table: what holds of the whole, then what holds of each label, copy or structure."""
    on = "/".join(str(figures[key]) for key in ("dataset", "split") if key in figures)
    table = Table("of", "figure", "value", title=f"{figures['model']} {figures['version']} on {on}")
    parts = {key: value for key, value in figures.items() if key in {"per_label", "reference", "copies"}}
    for key, value in figures.items():
        if key not in {"model", "version", "dataset", "split", *parts}:
            table.add_row("", key, _plain(value))
    for part in parts.values():
        for name, values in part.items():
            for key, value in values.items():
                table.add_row(name, key, _plain(value))
    return table


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, dict):
        return ", ".join(
            f"{key} ({_plain(one)})" if isinstance(one, dict) else f"{key} {_plain(one)}" for key, one in value.items()
        )
    if isinstance(value, list):
        return " to ".join(_plain(one) for one in value)
    return str(value)
