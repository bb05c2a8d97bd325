"""``overread destinations``: whether results get where they shall, and what waits for whom."""

from __future__ import annotations

import typer

from node.commands.options import ConfigOption, DataOption, JsonOption, settings_as_served, settings_of_node
from node.commands.studies import open_views, print_json

app = typer.Typer()


@app.command("destinations")
def list_destinations(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the destinations: which are down and when they are tried again, what waits, failed, is held or not proven."""
    from datetime import UTC, datetime

    from node.page.standing import standings

    settings_of_node(config, data)  # a data folder that was named must be there
    config, settings = settings_as_served(config, data)
    with open_views(config, data) as catalog:
        found = standings(catalog, settings, datetime.now(UTC))
    if as_json:
        from node.page.plain import destination_in_full

        print_json([destination_in_full(one) for one in found])
        return
    from node.commands.tables import show_destinations

    show_destinations(found)
