"""``overread events``: what concerns the node and no study, peers that were turned away among it."""

from __future__ import annotations

from typing import Annotated

import typer

from node.commands.options import ConfigOption, DataOption, JsonOption
from node.commands.studies import open_views, print_json

app = typer.Typer()


@app.command("events")
def list_events(
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    days: Annotated[float, typer.Option("--days", min=0.0, help="How far back.")] = 7.0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 100,
) -> None:
    """Show events of no study, newest first: associations and contexts rejected, objects refused, and what to change."""
    from datetime import UTC, datetime, timedelta

    with open_views(config, data) as catalog:
        found = catalog.views.node_events(datetime.now(UTC) - timedelta(days=days), limit)
    if as_json:
        from node.page.plain import event_in_full

        print_json([event_in_full(event) for event in found])
        return
    from node.commands.tables import show_events

    show_events(found)
