"""The model card that a training run begins: what it knows is said, what a person must add is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from models.manifest import Manifest
from models.networks.architectures import Architecture
from models.runtimes.usual import LEAST_IMAGES
from models.training.card import CARD, label_table

_TRAINING: Final = re.compile(r"<!-- training -->\n.*?<!-- end of training -->\n", re.DOTALL)


def write_first_card(folder: Path, manifest: Manifest, record: Mapping[str, Any], architecture: Architecture) -> None:
    """Write ``MODEL_CARD.md`` beside the weights, with a place for what `overread evaluate --card` measures.

    Of a card that is there already, which a person may have written in, only what lies between ``<!-- training -->`` and
    ``<!-- end of training -->`` is written anew.

    Parameters
    ----------
    record
        What the run writes as ``training.json``.
    """
    path = folder / CARD
    training = "\n".join(_training(manifest, record, architecture))
    if path.exists():
        path.write_text(_TRAINING.sub(lambda _: training, path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        path.write_text(_card(manifest, training), encoding="utf-8")


def _card(manifest: Manifest, training: str) -> str:
    said = [f"- {one.name} ({one.code.scheme} {one.code.value}), present from {one.threshold:g}" for one in manifest.findings]
    said += [f"- {one.name} ({one.type.scheme} {one.type.value})" for one in manifest.structures]
    lines = [
        f"# {manifest.name}: {manifest.title}",
        "",
        f"{manifest.intended_use} **{manifest.warning}**",
        "",
        "## What it reads",
        "",
        *(f"- `{one.rule}`, else: {one.otherwise}" for one in manifest.input.require),
        *_refusal(manifest),
        "",
        "## What it says",
        "",
        *said,
        "",
        "## Data",
        "",
        f"Licence: {manifest.licence}. (To be added: who made and labelled the images, where, of whom, on which machines.)",
        "",
        training,
        "## Figures",
        "",
        f"Measured by `overread evaluate {manifest.name} FOLDER --split val --card`, on patients that were not learned from:",
        "",
        "<!-- figures -->",
        "None yet.",
        "<!-- end of figures -->",
        "",
        "## Where it fails",
        "",
        f"(To be added. `overread evaluate {manifest.name} FOLDER --split val --pictures HERE` draws the answers that are most",
        "wrong, `--blank` without the images where these may not be passed on: put `worst.png` here, and say what they share.)",
        "",
        "(To be added. Does it still answer where only the border or the background is shown? Then it reads how an image was",
        "made, not what it shows.)",
        "",
    ]
    return "\n".join(lines)


def _training(manifest: Manifest, record: Mapping[str, Any], architecture: Architecture) -> list[str]:
    return [
        "<!-- training -->",
        f"Learned from the {record['rows']} rows of split `train` of {record['dataset']}, {record['patients']} patients.",
        "",
        f"{architecture.name}, {record['parameters']:,} parameters ({architecture.paper}), {record['epochs']} epochs, seed "
        f"{record['seed']}, weights {manifest.weights[0].sha256[:12]}.",
        "",
        "![learning curve](learning-curve.png)",
        "",
        "### Cross-validation inside train",
        "",
        *_cross_validation(record, manifest),
        "<!-- end of training -->",
        "",
    ]


def _refusal(manifest: Manifest) -> list[str]:
    if "strangest" in manifest.parameters:
        return ["- Refused: what is unlike all that was learned from in grey values or colours, layout or detail."]
    return [f"- With fewer than {LEAST_IMAGES} images nothing was learned of what is unlike them: no image is refused for that."]


def _cross_validation(record: Mapping[str, Any], manifest: Manifest) -> list[str]:
    if not record["cross_validation"]:
        return ["None was made: nothing is known of how good this model is.", ""]
    return [
        f"{record['folds']} folds by patient, each rated by a network that had not seen it; intervals are of 95 %, by bootstrap "
        "over patients.",
        "",
        *label_table(record["cross_validation"]),
        *_calibration(manifest),
    ]


def _calibration(manifest: Manifest) -> list[str]:
    """What of the table every result says, and what that is worth."""
    if not any(one.calibration for one in manifest.findings):
        return []
    return [
        "Every result states the calibration error of its finding as above (`calibration` in `model.toml`). The calibration was "
        "fitted on",
        "these very answers, which flatters it: `overread evaluate` on other patients says what to state instead.",
        "",
    ]
