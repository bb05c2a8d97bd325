"""The figures on a model card: kept as JSON beside it, and written into it from there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from node.store.errors import ConfigurationError

FIGURES: Final = "evaluation.json"
CARD: Final = "MODEL_CARD.md"
AS_SHIPPED: Final = "as shipped"
"""View of a model that was shown whole images."""
_PLACE: Final = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def keep_figures(folder: Path, figures: dict[str, Any]) -> None:
    """Put what `overread evaluate` measured into the model's ``evaluation.json`` and its card.

    Raises
    ------
    ConfigurationError
        Where the card is missing or has no place for figures.
    """
    path = folder / FIGURES
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept[_run(figures)] = figures
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    write_card(folder)


def write_card(folder: Path) -> None:
    """Write the figures of ``evaluation.json`` into the card.

    Raises
    ------
    ConfigurationError
        Where the card is missing or has no place for figures.
    """
    kept = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.exists() else ""
    if not _PLACE.search(text):
        raise ConfigurationError(f"{card} has no lines <!-- figures --> and <!-- end of figures --> to write between")
    card.write_text(_PLACE.sub(lambda match: match[1] + render_figures(kept) + match[2], text), encoding="utf-8")


def _run(figures: dict[str, Any]) -> str:
    """What was measured on, by which figures of the same run replace earlier ones."""
    if "split" not in figures:
        return str(figures["dataset"])
    return f"{rows_in_words(figures)}, {figures.get('view', AS_SHIPPED)}"


def rows_in_words(figures: Mapping[str, Any]) -> str:
    """Which rows of a labelled folder were measured on, e.g. "cxr_tb/val, source=montgomery"."""
    conditions = "".join(f", {column}={value}" for column, value in figures.get("where", {}).items())
    return f"{figures['dataset']}/{figures['split']}{conditions}"


def render_figures(kept: dict[str, dict[str, Any]]) -> str:
    """Markdown of all kept figures, one part a run."""
    lines: list[str] = []
    for run, figures in kept.items():
        if "split" in figures:
            lines += _of_rows(run, figures)
        elif "published" in figures:
            lines += _of_published(run, figures)
        else:
            lines += _of_volume(run, figures)
    return "\n".join(lines) + "\n"


def _of_rows(run: str, figures: dict[str, Any]) -> list[str]:
    refused = ", ".join(f"{count} {code}" for code, count in figures["refusals"].items()) or "none"
    lines = [f"**{run}** (version {figures['version']}): {figures['n']} images read, refused: {refused}.", ""]
    lines += _headline(figures)
    return [*lines, *label_table(figures["per_label"]), *_groups(figures["per_label"])]


def label_table(per_label: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown: a row for each figure, with its interval where it has one, a column for each finding or structure."""
    names = list(dict.fromkeys(name for label in per_label.values() for name in label if not name.endswith("_ci")))
    names = [name for name in names if name != "by_group"]
    lines = ["| figure | " + " | ".join(per_label) + " |", "|---" * (len(per_label) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(_cell(figures, name) for figures in per_label.values()) + " |" for name in names]
    return [*lines, ""]


def _of_published(run: str, figures: dict[str, Any]) -> list[str]:
    keys = list(figures["published"])
    lines = [f"**{run}** (version {figures['version']}):", "", f"| | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|"]
    for words, name in (("published", "published"), ("here", "found")):
        lines.append(f"| {words} | " + " | ".join(f"{figures[name][key]:.4f}" for key in keys) + " |")
    return [*lines, ""]


def _of_volume(run: str, figures: dict[str, Any]) -> list[str]:
    """Volumes, agreement with a reference, and what changes in copies of the same study."""
    steps = " x ".join(f"{step:.2f}" for step in figures["spacing_mm"])
    lines = [f"**{run}** (version {figures['version']}): {figures['slices']} slices, voxels of {steps} mm.", ""]
    copies = figures["copies"]
    lines += ["| " + " | ".join(["structure", "ml", *copies]) + " |", "|---" * (len(copies) + 2) + "|"]
    for key, volume_ml in figures["volumes_ml"].items():
        cells = ["refused" if "refused" in one else _change(one["by_structure"][key]) for one in copies.values()]
        lines.append("| " + " | ".join([key, _millilitres(volume_ml), *cells]) + " |")
    lines += [f"- {name} was refused: {one['refused']}" for name, one in copies.items() if "refused" in one]
    lines.append("")
    if reference := figures.get("reference"):
        lines += ["| beside the reference | Dice | least and most of a slice | labelled part found |", "|---|---|---|---|"]
        for key, one in reference.items():
            if one["dice"] is None:
                lines.append(f"| {key} | neither outlined nor labelled | | |")
                continue
            slices = f"{one['dice_of_slices'][0]:.2f} to {one['dice_of_slices'][1]:.2f} ({one['slices']} slices)"
            part = "" if one["labelled_part_found"] is None else f"{one['labelled_part_found']:.3f}"
            lines.append(f"| {key} | {one['dice']:.3f} | {slices} | {part} |")
        lines.append("")
    return lines


def _millilitres(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _change(one: dict[str, Any]) -> str:
    """Change of the volume, and Dice with what the volume itself gave."""
    difference = one["difference"]
    if difference is None:
        return "absent"
    change = f"{difference:+.1%}" if abs(difference) >= 0.0005 else "0.0%"
    return f"{change}, {one['dice']:.3f}"


def _headline(figures: dict[str, Any]) -> list[str]:
    """Figures of the whole model, where it chooses between findings: as a line, and how its choices went as a table."""
    if "confusion" not in figures:
        return []
    names = [name for name, value in figures.items() if isinstance(value, float)]
    lines = [", ".join(f"{name} {_cell(figures, name)}" for name in names) + ".", ""]
    labels = figures["confusion"]["labels"]
    lines += ["| truth, and what it was called | " + " | ".join(labels) + " |", "|---" * (len(labels) + 1) + "|"]
    rows = zip(labels, figures["confusion"]["counts"], strict=True)
    lines += [f"| {label} | " + " | ".join(str(count) for count in counts) + " |" for label, counts in rows]
    return [*lines, "", *_by_group("the choice", figures)]


def _groups(per_label: dict[str, Any]) -> list[str]:
    return [line for label, figures in per_label.items() for line in _by_group(label, figures)]


def _by_group(label: str, figures: dict[str, Any]) -> list[str]:
    groups = figures.get("by_group")
    if not groups:
        return []
    names = list(dict.fromkeys(name for values in groups.values() for name in values if not name.endswith("_ci")))
    lines = [f"| {label}, by group | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {group} | " + " | ".join(_cell(one, name) for name in names) + " |" for group, one in groups.items()]
    return [*lines, ""]


def _cell(label: dict[str, Any], name: str) -> str:
    value, interval = label.get(name), label.get(f"{name}_ci")
    if value is None:
        return ""
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f"{shown} ({interval[0]:.3f} to {interval[1]:.3f})" if interval else shown
