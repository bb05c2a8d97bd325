"""``overread studies`` and ``overread study UID``: what the node knows of its studies. Never pays for torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.options import ConfigOption, DataOption, JsonOption, settings_of_node

if TYPE_CHECKING:
    from node.store.catalog.catalog import Catalog
    from node.store.events import NodeEvent
    from node.store.records import StudyView

studies = typer.Typer()
study = typer.Typer()


@studies.command("studies")
def list_studies(
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 100,
) -> None:
    """Show the studies, newest first: state, answers, deliveries."""
    with open_views(config, data) as catalog:
        found = catalog.views.studies(limit=limit)
        unread = {} if as_json else _unread(catalog, found)
        happened = () if as_json else _happened(catalog)
    if as_json:
        from node.page.plain import study_in_brief

        print_json([study_in_brief(view) for view in found])
        return
    from node.commands.tables import show_events, show_studies

    show_studies(found, unread)
    if happened:
        show_events(happened, more="`overread events` shows all")


@study.command("study")
def show_one(
    study_uid: Annotated[str, typer.Argument(metavar="UID", help="Study Instance UID, or its unmistakable end.")],
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    send_again: Annotated[bool, typer.Option("--send-again", help="Make its failed and held deliveries due again.")] = False,
    release: Annotated[
        bool, typer.Option("--release", help="Send what is held, though the destination knows the study as another patient's.")
    ] = False,
) -> None:
    """Show one study: jobs, deliveries, decisions with their reasons, events."""
    from node.store.errors import Permanent

    with open_views(config, data) as catalog:
        view = catalog.views.study(study_uid)
        if view is None:
            ending = [one.study_uid for one in catalog.views.studies(limit=1000) if one.study_uid.endswith(study_uid)]
            view = catalog.views.study(ending[0]) if len(ending) == 1 else None
        if view is None:
            raise Permanent(f"no study {study_uid} here: `overread studies` lists them")
        again = catalog.outbox.send_again(view.study_uid, release=release) if send_again or release else None
        view = catalog.views.study(view.study_uid) or view
    if as_json:
        from node.page.plain import study_in_full

        print_json(study_in_full(view))
        return
    from node.commands.tables import show_study

    show_study(view)
    if again is not None:
        typer.echo(f"{again} {'held' if release else 'failed'} deliveries are due again")


def _unread(catalog: Catalog, found: Sequence[StudyView]) -> dict[str, str]:
    """By UID of each study that is finished without a job: why. The list leaves decisions out."""
    from node.page.words import why_unread
    from node.store.states import StudyState

    finished = [one.study_uid for one in found if one.state is StudyState.FINISHED and not one.jobs]
    views = (catalog.views.study(uid) for uid in finished)
    return {view.study_uid: why_unread(view) for view in views if view}


def _happened(catalog: Catalog) -> Sequence[NodeEvent]:
    """What a person should see though it belongs to no study: the newest of the last day."""
    from datetime import UTC, datetime, timedelta

    return catalog.views.node_events(datetime.now(UTC) - timedelta(days=1), limit=5)


@contextmanager
def open_views(config: Path | None, data: Path | None) -> Iterator[Catalog]:
    """The catalog of a node that was served here."""
    from node.store.catalog.catalog import open_catalog

    catalog = open_catalog(settings_of_node(config, data))
    try:
        yield catalog
    finally:
        catalog.close()


def print_json(value: object) -> None:
    """Print one JSON document."""
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
