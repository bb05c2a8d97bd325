"""Figures of a model on one volume of DICOM, read as a worker reads it: beside a labelled volume, and beside copies of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.manifest import Manifest
from models.runtime import Model
from models.training.copies import Copy, copies_of
from models.training.steadiness import steadiness
from node.store.errors import ConfigurationError, Refused
from node.store.settings import Settings
from workers.compare import Agreement, Reference, read_labels
from workers.run import only_stack
from workers.worst_pictures import draw_slices


def evaluate_volume(
    manifest: Manifest,
    model: Model,
    path: Path,
    settings: Settings,
    *,
    chosen: Sequence[str] | None = None,
    reference: Path | None = None,
    labels: Sequence[str] = (),
    pictures: Path | None = None,
    blank: bool = False,
    started: Callable[[int], None] = lambda _: None,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Read a volume, and say how far outlines agree with a reference and with those of its copies.

    Parameters
    ----------
    path
        A file or folder that holds one stack which the model reads.
    chosen
        Names of copies (`models.training.copies.COPIES`); empty: all of the modality. None: no copies.
    reference, labels
        A labelled volume and which of its numbers are which structure, as `overread run` takes them.
    pictures, blank
        With a reference: folder for pictures of the slices that agree least (`workers.worst_pictures.draw_slices`).
    started, advance
        Told how many readings there will be, and of each.

    Returns
    -------
    dict
        ``volumes_ml``, ``reference`` by structure and ``copies`` as `models.training.steadiness.steadiness` gives them.

    Raises
    ------
    ConfigurationError
        Where there is no such stack or copy, or the model refuses it.
    """
    known = None if reference is None else Reference(reference, read_labels(labels))
    with tempfile.TemporaryDirectory() as folder:
        image = only_stack(manifest, [path], settings, Path(folder)).image
    copies: dict[str, Copy] = {} if chosen is None else copies_of(image.header.modality, chosen)
    started(1 + len(copies))
    try:
        prediction = model.predict(image)
    except Refused as refused:
        raise ConfigurationError(f"{manifest.name} refuses {path.name}: {refused.reason}") from refused
    advance()
    figures: dict[str, Any] = {
        "model": manifest.name,
        "version": manifest.version,
        "dataset": path.name.partition(".")[0],
        "slices": image.slices,
        "spacing_mm": list(image.spacing_mm or ()),
        "notes": list(prediction.notes),
    }
    if known is not None:
        figures["reference"] = {one.key: _said(one) for one in known.compare(image, prediction)}
        if pictures is not None:
            draw_slices(manifest, image, known.pairs(image, prediction), pictures, blank=blank)
    return {**figures, **steadiness(manifest, model, image, copies, prediction, advance=advance)}


def _said(agreement: Agreement) -> dict[str, Any]:
    return {
        "dice": agreement.dice if agreement.found or agreement.labelled else None,
        "found": agreement.found,
        "labelled": agreement.labelled,
        "labelled_part_found": agreement.both / agreement.labelled if agreement.labelled else None,
        "slices": len(agreement.by_slice),
        "dice_of_slices": [min(agreement.by_slice), max(agreement.by_slice)] if agreement.by_slice else None,
    }
