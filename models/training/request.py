"""What `overread train` is asked for, and how a training run says where it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Only(StrEnum):
    """What of an image is left to see."""

    ALL = "all"
    BORDER = "border"  # markers, collimation, the frame of a scan
    BACKGROUND = "background"  # what lies around the middle, where what is looked for is supposed to be


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What ``--arch`` trains and on what grid.

    Parameters
    ----------
    name
        Of the model.
    architecture
        As `models.networks.architectures` names it.
    width
        Of the network, or None for its own.
    size
        Grid, or None for the architecture's own.
    batch
        Images of a batch.
    rate
        Highest learning rate.
    colour
        Whether pictures are read in colour.
    window
        Values that become 0 and 1 (HU of a CT), or None for percentiles of each image.
    frames
        Taken out of each sequence.
    normal
        Label that is no finding, or None: ``normal``, ``negative`` or ``none`` where there is one.
    modality
        That the model reads, as in ``model.toml``; empty: the folder's ``labels.toml`` says, or any.
    device
        As torch spells it.
    only
        What of the images is shown; all but `Only.ALL` is a check of shortcuts, of which no model comes.
    """

    name: str
    architecture: str
    width: int | None = None
    size: tuple[int, ...] | None = None
    batch: int = 8
    rate: float = 1e-3
    colour: bool = False
    window: tuple[float, float] | None = None
    frames: int = 16
    normal: str | None = None
    modality: str = ""
    device: str = "cpu"
    only: Only = Only.ALL


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
    network
        What is trained where the model has no recipe of its own.
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
    network: NetworkOptions | None = None

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
