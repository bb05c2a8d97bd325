"""``overread page``: health, figures and the page of studies, as a process of its own."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from node.commands.options import ConfigOption, DataOption, settings_from

app = typer.Typer()


@app.command()
def page(
    config: ConfigOption = None,
    data: DataOption = None,
    http: Annotated[str | None, typer.Option("--http", help="HOST:PORT to serve on.", show_default="127.0.0.1:8042")] = None,
) -> None:
    """Serve /healthz, /metrics and the page of studies, until Ctrl-C or SIGTERM."""
    from node.page.server import serve_page
    from node.store.catalog.catalog import open_catalog
    from node.store.log import configure_logging

    configure_logging()
    # uvicorn stops in order and then raises the signal again; by then there is nothing left that it should end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    settings = settings_from(config, data=data, http=http)
    catalog = open_catalog(settings)
    try:
        serve_page(settings, catalog)
    finally:
        catalog.close()
