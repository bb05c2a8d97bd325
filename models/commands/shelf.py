"""``overread models``: the shelf of models, and ``overread models pull``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from models.manifest import Manifest
    from node.store.settings import Settings

_SAID = 5
"""Structures and findings of one model that the table names."""

app = typer.Typer(help="Show the models, and fetch their weights.", invoke_without_command=True, no_args_is_help=False)

Config = Annotated[Path | None, typer.Option("--config", help="overread.toml")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; its cache keeps fetched weights.")]


@app.callback()
def shelf(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One stable JSON array.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Show the models: what each reads and says, its licence, and where its weights are."""
    if context.invoked_subcommand is not None:
        context.obj = {"config": config, "data": data}
        return
    settings, library = _library(config, data)
    rows = [_row(manifest, settings) for manifest in library.values()]
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=1))
    else:
        _show(rows)


@app.command()
def pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A model's name, or 'all'.")],
    mirror: Annotated[Path | None, typer.Option("--mirror", help="Folder laid out as HOST/PATH instead of the network.")] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Fetch the weights of a model into the cache and check them."""
    given = context.obj or {}
    from models.manifest import named

    settings, library = _library(config or given.get("config"), data or given.get("data"))
    chosen = list(library.values()) if name == "all" else [named(library, name)]
    for manifest in chosen:
        _pull(manifest, settings, mirror or settings.mirror)


@app.command()
def add(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="Folder: model.toml, nnU-Net v2 or MONAI bundle; or its ZIP.")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the model; its own by default.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="labels.toml: structures with codes, input, licence.")] = None,
    modality: Annotated[str, typer.Option("--modality", help="What it reads, e.g. CT.")] = "",
    orientation: Annotated[str, typer.Option("--orientation", help="nnU-Net: axes of its training arrays.")] = "SPL",
    into: Annotated[Path | None, typer.Option("--into", help="Folder of models; DATA/models by default.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the model of that name.")] = False,
    config: Config = None,
    data: Data = None,
) -> None:
    """Take a model, check it and put it on the shelf. No code of it is run."""
    from models.adding.add import add_model
    from models.adding.draft import Wishes
    from models.training.model_folder import Labels, read_labels_file
    from node.store.settings import load_settings

    given = context.obj or {}
    settings = load_settings(config or given.get("config"), {"data": data or given.get("data")})
    wishes = Wishes(name, read_labels_file(labels) if labels else Labels(), modality, orientation)
    shelf = into or settings.shelf
    others = tuple(folder for folder in settings.all_model_folders if folder.resolve() != shelf.resolve())
    added = add_model(path, shelf, wishes, others=others, replace=replace)
    manifest = added.manifest
    typer.echo(f"{manifest.name} {manifest.version} is in {manifest.folder}")
    typer.echo(f"Licence: {manifest.licence}")
    if manifest.research_only:
        typer.echo("It is for research only: it runs where a route of the configuration names it, or by 'overread run'.")
    if added.needs_approval:
        typer.echo(f"It brings code of its own. Look at it, then: overread models approve {manifest.name}")
    if into is not None and into.resolve() not in {folder.resolve() for folder in settings.all_model_folders}:
        typer.echo(f'For the node to find it, write into overread.toml: model_folders = ["{into}"]')
    typer.echo("A node that runs finds it at its next start.")


@app.command()
def approve(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A model that brings code of its own.")],
    config: Config = None,
    data: Data = None,
) -> None:
    """Let a model's own code run, as it is now: any change of a file or a setting needs another approval."""
    from models.approval import approve as keep
    from models.runtime import find_runtime
    from models.weights import ensure_weights

    given = context.obj or {}
    from models.manifest import named

    settings, library = _library(config or given.get("config"), data or given.get("data"))
    manifest = named(library, name)
    if not find_runtime(manifest).executes_weights:
        typer.echo(f"{name} brings no code of its own: it needs no approval")
        return
    ensure_weights(manifest, settings.cache, settings.mirror, pull=False)
    keep(settings.data, manifest)
    for one in manifest.weights:
        typer.echo(f"{one.sha256}  {one.file}")
    typer.echo(f"{name} {manifest.version} may run these files here, and no others.")


def _library(config: Path | None, data: Path | None) -> tuple[Settings, dict[str, Manifest]]:
    from models.manifest import read_library
    from node.store.settings import load_settings

    settings = load_settings(config, {"data": data})
    return settings, read_library(*settings.all_model_folders)


def _pull(manifest: Manifest, settings: Settings, mirror: Path | None) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from models.weights import Place, ensure_weights, place_of

    console = Console()
    if place_of(manifest, settings.cache) in {Place.NONE_NEEDED, Place.PACKAGE, Place.FOLDER}:
        ensure_weights(manifest, settings.cache, mirror, pull=False)
        console.print(f"{manifest.name}: nothing to fetch")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console) as bar:

        def watch(weights: Any) -> Any:
            task = bar.add_task(weights.file, total=None)
            return lambda received, expected: bar.update(task, completed=received, total=expected)

        paths = ensure_weights(manifest, settings.cache, mirror, pull=True, progress=watch)
    for file, path in paths.items():
        console.print(f"{manifest.name}: {file} is checked and in the cache ({path.stat().st_size / 1e6:.1f} MB)")


def _row(manifest: Manifest, settings: Settings) -> dict[str, Any]:
    from models.weights import place_of

    return {
        "name": manifest.name,
        "version": manifest.version,
        "title": manifest.title,
        "intended_use": manifest.intended_use,
        "licence": manifest.licence,
        "research_only": manifest.research_only,
        "structures": [structure.key for structure in manifest.structures],
        "findings": [finding.key for finding in manifest.findings],
        "weights": str(place_of(manifest, settings.cache)),
        "evaluation": dict(manifest.evaluation),
        "calibration": {
            one.key: one.calibration.model_dump(mode="json") if one.calibration else None for one in manifest.findings
        },
        "fingerprint": manifest.fingerprint,
    }


def _shortened(words: list[str]) -> str:
    """The first few of many, so that a model takes some lines of a terminal and not all; `--json` has them all."""
    kept = words if len(words) <= _SAID else words[: _SAID - 1]
    return ", ".join([*kept, *([f"{len(words) - len(kept)} more"] if len(kept) < len(words) else [])])


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Models")
    for heading in ("model", "reads", "says", "licence", "weights", "figure"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        figure = next(iter(row["evaluation"].items()), None)
        name = f"{row['name']} {row['version']}" + (" (research only)" if row["research_only"] else "")
        says = _shortened([*row["structures"], *row["findings"]])
        shown = "" if figure is None else f"{figure[0]} {figure[1]}"
        table.add_row(name, row["title"], says, row["licence"], row["weights"], shown)
    Console().print(table)
    if any(row["weights"] == "to be pulled" for row in rows):
        Console().print("Weights to be pulled are fetched on first use, or now by: overread models pull NAME")
