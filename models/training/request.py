"""What `overread train` is asked for, and how a training run says where it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One training run.

    Parameters
    ----------
    dataset
        Folder with an ``index.csv``; only its rows of split ``train`` are read.
    out
        Where weights, learning curve, ``training.json`` and checkpoints go.
    epochs
        How often each film is seen in the last stage.
    seed
        Of folds, first weights, batches and augmentation.
    folds
        Of the cross-validation inside train.
    init
        Weights to start from, or None.
    lungs
        Weights of the lung network, or None for the shipped ones; not used by `cxr-lungs` itself.
    unlabelled
        Folders of films without masks, outlined by the network itself in a second stage.
    others
        Folders of pictures that are no chest radiographs, to learn what to refuse.
    resume
        Go on from the checkpoints in `out`.
    """

    dataset: Path
    out: Path
    epochs: int
    seed: int = 0
    folds: int = 5
    init: Path | None = None
    lungs: Path | None = None
    unlabelled: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    resume: bool = False

    def checkpoint(self, stage: str) -> Path:
        """Where a stage keeps its checkpoint; a stale one is removed unless the run is resumed."""
        path = self.out / f"{stage}.checkpoint.pt"
        if not self.resume:
            path.unlink(missing_ok=True)
        return path

    def write_record(self, record: dict[str, Any]) -> None:
        """Keep what was done and measured as ``training.json``."""
        (self.out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


class Watch(Protocol):
    """Where a run reports to."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` steps begins."""
        ...

    def advance(self, loss: float | None = None) -> None:
        """One step is done."""
        ...


class NoWatch:
    """Reports to nobody."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, loss: float | None = None) -> None:
        """Nothing."""
