"""``overread work``: one worker process, for one device; ``overread run``: one model on files. Light until they are called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from node.store.errors import ConfigurationError
from node.store.profiles import LANGUAGES, PROFILES

app = typer.Typer()
run_app = typer.Typer()


@app.command()
def work(
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings as TOML; flags win over them.", show_default="none", dir_okay=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of catalog, spool, queue and token.", show_default="overread-data", file_okay=False),
    ] = None,
) -> None:
    """Take jobs from the queue, one at a time, until SIGTERM; then end the one at hand."""
    from node.store.log import configure_logging
    from node.store.settings import load_settings
    from workers.app import serve

    configure_logging()
    sys.exit(serve(load_settings(config, {"data": data})))


@run_app.command()
def run(
    model: str = typer.Argument(help="Name of a model; `overread models` lists them."),
    paths: list[Path] = typer.Argument(help="DICOM files or folders; they may hold many studies."),
    out: Path = typer.Option(..., "--out", help="Folder for the results: DIR/<study UID>/*.dcm."),
    data: Path | None = typer.Option(None, "--data", help="Data folder, for weights already fetched."),
    config: Path | None = typer.Option(None, "--config", help="overread.toml."),
    mirror: Path | None = typer.Option(None, "--mirror", help="Folder laid out as HOST/PATH to take weights from."),
    profile: str = typer.Option("standard", "--profile", help=f"Which kinds of object are written: {', '.join(PROFILES)}."),
    language: str = typer.Option("en", "--language", help=f"Of texts for people: {', '.join(LANGUAGES)}."),
    region: str | None = typer.Option(
        None, "--region", help="COLUMN,ROW,RADIUS in pixels: a region that you mark, for a model that rates marked regions."
    ),
    reference: Path | None = typer.Option(None, "--reference", help="Labelled volume (NIfTI) to compare outlines with."),
    labels: list[str] | None = typer.Option(None, "--labels", help="STRUCTURE=NUMBERS of the reference, e.g. bone=25-50,69."),
) -> None:
    """Read DICOM files with one model, no network needed."""
    from rich.console import Console
    from rich.markup import escape

    from node.store.settings import load_settings
    from node.store.summary import summary_in_words
    from workers.compare import Reference, read_labels
    from workers.run import marked_region, read_files

    settings = load_settings(config, {"data": data, "mirror": mirror})
    if profile not in PROFILES:
        raise ConfigurationError(f"no profile is named {profile}; there are: {', '.join(PROFILES)}")
    if language not in LANGUAGES:
        raise ConfigurationError(f"nothing is said in {language}; the languages are: {', '.join(LANGUAGES)}")
    if (reference is None) != (not labels):
        raise ConfigurationError("--reference and --labels go together: a volume, and which of its numbers are which structure")
    known = None if reference is None else Reference(reference, read_labels(labels or ()))
    marked = marked_region(region)
    console = Console()
    readings = []
    for reading in read_files(model, paths, out, settings, profile, language=language, region=marked, reference=known):
        readings.append(reading)
        why = f" ({reading.reason})" if reading.reason else ""
        console.print(f"[bold]{reading.study_uid}[/] {escape(f'{reading.stack}: {reading.outcome}{why}')}", soft_wrap=True)
        for line in summary_in_words(reading.summary):
            console.print(f"  {escape(line)}")
        for one in reading.agreements:
            console.print(f"  {escape(one.in_words)}")
        for file in reading.files:
            console.print(f"  {escape(str(file))}", style="dim", soft_wrap=True)
    if not any(reading.outcome == "read" for reading in readings) or any(reading.outcome == "failed" for reading in readings):
        raise typer.Exit(1)
