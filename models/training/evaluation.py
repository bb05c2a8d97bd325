"""A model's figures on a labelled folder, by the very runtime that reads in the hospital."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

from models.approval import read_approvals
from models.manifest import Manifest, named, read_library, read_manifest
from models.prediction import Prediction
from models.runtime import Model, RatesOnly, load_model
from models.runtimes.chest_views import Shown
from models.training.finding_figures import finding_figures
from models.training.outline_figures import Answers, needed_columns, outline_figures
from models.training.pictures import row_image
from models.training.tables import Row, read_rows, split_rows
from models.weights import ensure_weights
from node.store.errors import ConfigurationError, Refused
from node.store.settings import Settings

Advance = Callable[[], None]

Where = Mapping[str, str]
"""Values that rows must have, by column."""

NO_CONDITION: Final[Where] = MappingProxyType({})


@runtime_checkable
class ShowsParts(Protocol):
    """A model that can be shown a part of the film only, to learn what its answer rests on."""

    def showing(self, part: Shown) -> Model:
        """The same model, shown `part`."""
        ...


def evaluate(
    manifest: Manifest,
    model: Model,
    folder: Path,
    split: str,
    advance: Advance = lambda: None,
    *,
    where: Where = NO_CONDITION,
    answered: Callable[[Answers], None] = lambda _: None,
) -> dict[str, Any]:
    """Run `model` on every row of a split and return its figures.

    Parameters
    ----------
    manifest, model
        What is evaluated.
    folder
        With an ``index.csv``: columns of masks for a model with structures (`models.manifest.Pictures.masks`; ``mask`` where it
        names none), ``label`` for one with findings.
    advance
        Called after each image.
    where
        Only rows with these values in these columns are read, e.g. ``{"source": "montgomery"}``: a figure across hospitals.
    answered
        Given all rows that were read, each with its answer.

    Returns
    -------
    dict
        ``dice``, ``auroc`` or, where one of several findings is the answer, ``balanced_accuracy``, with its interval; ``n``,
        ``refused`` (by code under ``refusals``), the rest under ``per_label``. Images that the model refuses are in no figure but
        those two. Intervals are of 95 %, by bootstrap over patients, or over lesions where the folder names no patients.

    Raises
    ------
    ConfigurationError
        Where the folder has no labels that fit the model, or the model refuses every image.
    """
    columns = needed_columns(manifest) if manifest.structures else ("label",)
    rows = chosen_rows(folder, split, where, *columns)
    refusals: Counter[str] = Counter()

    def read() -> Iterator[tuple[Row, Prediction]]:
        for row in rows:
            try:
                yield row, model.predict(row_image(folder, row, manifest.pictures))
            except Refused as refused:
                refusals[refused.code] += 1
            advance()

    answers = list(read())
    if not answers:
        raise ConfigurationError(f"{manifest.name} refused all {len(rows)} images: {dict(refusals)}")
    answered(answers)
    outlines = bool(manifest.structures)
    headline, per_label = outline_figures(manifest, folder, answers) if outlines else finding_figures(manifest, answers)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "dataset": folder.name,
        "split": split,
        **({"where": dict(where)} if where else {}),
        "n": len(answers),
        "refused": sum(refusals.values()),
        "refusals": dict(sorted(refusals.items())),
        **headline,
        "per_label": per_label,
    }


def chosen_rows(folder: Path, split: str, where: Where = NO_CONDITION, *columns: str) -> list[Row]:
    """Rows of a split that meet a condition.

    Raises
    ------
    ConfigurationError
        Where the folder lacks a column, or no row is left.
    """
    rows = split_rows(read_rows(folder, *columns, *where), split)
    chosen = [row for row in rows if all(row[column] == value for column, value in where.items())]
    if not chosen:
        said = " and ".join(f"{column}={value}" for column, value in where.items())
        found = "; ".join(f"{column}: {', '.join(sorted({row[column] for row in rows}))}" for column in where)
        raise ConfigurationError(f"no row of split {split} has {said}; there are {found}")
    return chosen


def load_for_evaluation(
    model: str, device: str, view: str | None, settings: Settings | None = None, *, maps: bool = False
) -> tuple[Manifest, Model]:
    """A model of the library, or of a folder, loaded as the worker loads it.

    Parameters
    ----------
    model
        A name, or a path of a folder with a ``model.toml``.
    view
        For runtimes that can hide parts of the film (`models.runtimes.chest_views.Shown`): which part is shown.
    settings
        Further folders of models, where fetched weights are kept and whether they may be fetched; the defaults where absent.
    maps
        Whether heat maps are made, which figures do not need.

    Raises
    ------
    ConfigurationError
        Where there is no such model, a file of weights is missing or not the one of the manifest, or it has no such view.
    """
    settings = settings or Settings()
    if Path(model, "model.toml").is_file():
        manifest = read_manifest(Path(model))
    else:
        manifest = named(read_library(*settings.all_model_folders), model)
    weights = ensure_weights(manifest, settings.cache, settings.mirror, pull=settings.pull)
    loaded = load_model(manifest, weights, device, read_approvals(settings.data))
    if isinstance(loaded, RatesOnly) and not maps:
        loaded = loaded.rating_only()
    if view is not None:
        if not isinstance(loaded, ShowsParts):
            raise ConfigurationError(f"{manifest.name} has no views")
        if view not in {one.value for one in Shown}:
            raise ConfigurationError(f"no view {view}; there are {', '.join(one.value for one in Shown)}")
        loaded = loaded.showing(Shown(view))
    return manifest, loaded
