"""`overread train` and `overread evaluate`: make a model's weights, and say how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from models.networks.architectures import ARCHITECTURES
from models.training.request import Only

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from models.manifest import Manifest
    from models.runtime import Model
    from models.training.worst import Worst

train = typer.Typer()
evaluate = typer.Typer()


@train.command()
def train_command(
    model: str = typer.Argument(help="A model with a recipe of its own (cxr-lungs, …), or with --arch any name."),
    dataset_dir: Path = typer.Argument(help="Folder with an index.csv; rows of split train are used."),
    out: Path | None = typer.Option(None, help="Where weights and curve go; trained/MODEL by default."),
    arch: str | None = typer.Option(None, help="Family of networks: " + ", ".join(ARCHITECTURES) + "."),
    width: int | None = typer.Option(None, min=1, help="With --arch: channels, where the family has a width."),
    size: list[int] | None = typer.Option(None, min=1, help="With --arch: side of the grid; three times for three sides."),
    batch: int = typer.Option(8, min=1, help="With --arch: images of a batch."),
    rate: float = typer.Option(1e-3, min=0, help="With --arch: highest learning rate."),
    colour: bool = typer.Option(False, "--colour", help="With --arch: read pictures in colour."),
    window: tuple[float, float] | None = typer.Option(None, help="With --arch: values that become 0 and 1, e.g. HU."),
    frames: int = typer.Option(16, min=1, help="With --arch cnn_gru: frames taken out of each sequence."),
    normal: str | None = typer.Option(None, help="With --arch: the label that is no finding."),
    modality: str = typer.Option("", help="With --arch: what the model may read, e.g. CR,DX."),
    only: Only = typer.Option(Only.ALL, help="With --arch: a check: learn from the border or the background alone; no model."),
    device: str = typer.Option("cpu", help="With --arch: cpu or cuda."),
    epochs: int | None = typer.Option(None, min=0, help="How often each film is seen; the model's own number by default."),
    seed: int = typer.Option(0, help="Of folds, batches and augmentation."),
    folds: int = typer.Option(5, min=0, help="Of the cross-validation inside train; 0 with --arch: none, and no figures."),
    init: Path | None = typer.Option(None, help="Weights to start from; skin-7, cxr-pneumonia: a folder with two."),
    lungs: Path | None = typer.Option(None, help="Weights of the lung network; the shipped ones by default."),
    unlabelled: list[Path] | None = typer.Option(None, help="Folder of films without masks, outlined in a second stage."),
    others: list[Path] | None = typer.Option(None, help="Folder of pictures that are no chests, to learn what to refuse."),
    resume: bool = typer.Option(False, "--resume", help="Go on from the checkpoints in OUT."),
    threads: int = typer.Option(0, min=0, help="Of the processor; 0: all."),
) -> None:
    """Train a model on a labelled folder."""
    import json

    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from models.commands.watching import ProgressWatch
    from models.training.recipes import find_recipe
    from models.training.request import NetworkOptions, Request
    from models.training.train_network import train_network
    from node.store.errors import ConfigurationError

    recipe = find_recipe(model, arch)
    if recipe.run is not train_network and only is not Only.ALL:
        raise ConfigurationError("--only goes with --arch")
    if recipe.run is not train_network and folds < 2:
        raise ConfigurationError(f"{model} needs at least two folds")
    if threads:
        torch.set_num_threads(threads)
    folder = out or Path("trained") / model
    folder.mkdir(parents=True, exist_ok=True)
    request = Request(
        dataset=dataset_dir,
        out=folder,
        epochs=recipe.epochs if epochs is None else epochs,
        seed=seed,
        folds=folds,
        init=init,
        lungs=lungs,
        unlabelled=tuple(unlabelled or ()),
        others=tuple(others or ()),
        resume=resume,
        network=NetworkOptions(
            name=model,
            architecture=recipe.architecture,
            width=width,
            size=tuple(size) if size else None,
            batch=batch,
            rate=rate,
            colour=colour,
            window=window,
            frames=frames,
            normal=normal,
            modality=modality,
            device=device,
            only=only,
        ),
    )
    console = Console(stderr=True)
    text, loss = TextColumn("{task.description}"), TextColumn("{task.fields[loss]}")
    with Progress(text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), loss, console=console) as progress:
        record = recipe.run(request, ProgressWatch(progress))
    if only is not Only.ALL:
        console.print(f"Figures are in {folder}: what can be told by the {only} alone. No model was written.")
    elif recipe.run is train_network:
        console.print(f"Written to {folder}: a model folder. 'overread models add {folder}' puts it on the shelf.")
    else:
        console.print(f"Written to {folder}. To ship these weights, copy what training.json says into the model's model.toml.")
    typer.echo(json.dumps(record))


@evaluate.command()
def evaluate_command(
    model: str = typer.Argument(help="Name of a model of the library, or a folder with a model.toml."),
    path: Path | None = typer.Argument(
        None, help="Folder with an index.csv, or DICOM of one volume; nothing: what the model's authors published.", exists=True
    ),
    split: str | None = typer.Option(None, help="With an index.csv: split whose rows are read, e.g. val."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object on standard output."),
    view: str | None = typer.Option(None, help="Show it in part: border-only, border-hidden, lungs-only, lungs-evened, chest."),
    where: list[str] | None = typer.Option(None, help="COLUMN=VALUE: read only such rows, e.g. source=montgomery."),
    copies: bool = typer.Option(False, "--copies", help="With a volume: read it again, stored and made in other ways."),
    copy: list[str] | None = typer.Option(None, help="With a volume: only this copy, e.g. lossy, another-visit."),
    reference: Path | None = typer.Option(None, help="With a volume: labelled volume (NIfTI) to compare with.", exists=True),
    labels: list[str] | None = typer.Option(None, help="STRUCTURE=NUMBERS of the reference, e.g. bone=25-50,69."),
    pictures: Path | None = typer.Option(
        None, help="With an index.csv or --reference: folder for pictures of what is most wrong."
    ),
    blank: bool = typer.Option(False, "--blank", help="With --pictures: on black ground, where images may not be passed on."),
    card: bool = typer.Option(False, "--card", help="Keep the figures in the model's folder and write them into its card."),
    device: str = typer.Option("cpu", help="cpu or cuda."),
    threads: int = typer.Option(0, min=0, help="Of the processor; 0: all."),
    config: Path | None = typer.Option(None, "--config", help="overread.toml."),
    data: Path | None = typer.Option(None, "--data", help="Data folder, for models added and weights fetched."),
    mirror: Path | None = typer.Option(None, "--mirror", help="Folder laid out as HOST/PATH to take weights from."),
) -> None:
    """Measure a model, as it ships: on a labelled folder, on a volume and its copies, or on what its authors published."""
    import json

    import torch
    from rich.console import Console
    from rich.progress import Progress

    from models.commands.watching import figures_table
    from models.training.card import keep_figures
    from models.training.evaluation import load_for_evaluation
    from models.training.metrics import sayable
    from models.training.published import reproduce
    from models.training.stated import to_be_stated
    from node.store.errors import ConfigurationError
    from node.store.settings import load_settings
    from workers.evaluate import evaluate_volume
    from workers.worst_pictures import draw_worst

    if threads:
        torch.set_num_threads(threads)
    settings = load_settings(config, {"data": data, "mirror": mirror})
    labelled = path is not None and (path / "index.csv").exists()
    if labelled and not split:
        raise typer.BadParameter("an index.csv has splits: say which, e.g. --split val", param_hint="--split")
    if not labelled and (split or where or view):
        raise ConfigurationError(f"{path or 'nothing'} is no folder with an index.csv: --split, --where and --view go with one")
    if (reference is None) != (not labels):
        raise ConfigurationError("--reference and --labels go together: a volume, and which of its numbers are which structure")
    if (path is None or labelled) and (copies or copy or reference):
        raise ConfigurationError("--copies, --copy and --reference go with DICOM images of one volume")
    if (pictures and not labelled and not reference) or (blank and not pictures):
        raise ConfigurationError("--pictures goes with a folder with an index.csv or with --reference, --blank with --pictures")
    manifest, loaded = load_for_evaluation(model, device, view, settings)
    bad: list[Worst] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(manifest.name, total=1)
        if path is None:
            figures = reproduce(manifest, loaded, settings)
        elif labelled:
            figures = _on_rows(manifest, loaded, path, str(split), where or (), progress, task, bad if pictures else None)
        else:
            figures = evaluate_volume(
                manifest,
                loaded,
                path,
                settings,
                chosen=copy or () if copies or copy else None,
                reference=reference,
                labels=labels or (),
                pictures=pictures,
                blank=blank,
                started=lambda count: progress.update(task, total=count),
                advance=lambda: progress.advance(task),
            )
    if pictures and path and labelled:
        mapping = loaded if view else load_for_evaluation(model, device, None, settings, maps=True)[1]
        drawn = draw_worst(manifest, mapping, path, bad, pictures, blank=blank)
        Console(stderr=True).print(
            f"Pictures of the {len(drawn)} worst answers are in {pictures}" if drawn else "No answer was wrong."
        )
    if view:
        figures["view"] = view
    if card:
        keep_figures(manifest.folder, figures)
    for key, line in to_be_stated(manifest, figures).items() if labelled else ():
        console = Console(stderr=True)
        console.print(
            "model.toml does not state this calibration, so no result does. Add below its [[findings]] of", key, markup=False
        )
        console.print(line, markup=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(sayable(figures), allow_nan=False))
    else:
        Console().print(figures_table(figures))


def _on_rows(
    manifest: Manifest,
    model: Model,
    folder: Path,
    split: str,
    where: Sequence[str],
    progress: Progress,
    task: TaskID,
    bad: list[Worst] | None,
) -> dict[str, Any]:
    from models.training.evaluation import chosen_rows
    from models.training.evaluation import evaluate as measure
    from models.training.worst import worst

    if odd := [one for one in where if "=" not in one]:
        raise typer.BadParameter(f"{odd[0]} is not COLUMN=VALUE", param_hint="--where")
    condition = dict(one.split("=", 1) for one in where)
    progress.update(task, description=f"{manifest.name} on {split}", total=len(chosen_rows(folder, split, condition)))
    return measure(
        manifest,
        model,
        folder,
        split,
        lambda: progress.advance(task),
        where=condition,
        answered=lambda answers: None if bad is None else bad.extend(worst(manifest, folder, answers)),
    )
