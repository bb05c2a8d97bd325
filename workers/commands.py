"""``overread work``: one worker process, for one device."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


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
