"""``overread listen``: the listener as a process of its own."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import typer

app = typer.Typer()


@app.command()
def listen(
    config: Path | None = typer.Option(None, "--config", help="Configuration file."),
    data: Path | None = typer.Option(None, "--data", help="Folder of catalog and spool."),
    ae_title: str | None = typer.Option(None, "--ae-title", help="AE title; other called titles are answered too."),
    host: str | None = typer.Option(None, "--host", help="Address to listen on."),
    port: int | None = typer.Option(None, "--port", help="Port to listen on; 0 lets the system choose."),
    supervised: bool = typer.Option(False, "--supervised", hidden=True, help="End when the process that started this one ends."),
) -> None:
    """Receive images by C-STORE into the spool, until Ctrl-C or SIGTERM."""
    import logging

    from node.commands.parent import watch_parent
    from node.listener.listener import Listener
    from node.store.catalog.catalog import open_catalog
    from node.store.log import configure_logging
    from node.store.settings import load_settings

    flags = {"data": data, "ae_title": ae_title, "host": host, "port": port}
    settings = load_settings(config, flags)
    configure_logging()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what matters of it is said by our own events
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if supervised:
        watch_parent(stopping.set)
    listener = Listener(settings, open_catalog(settings).intake)
    listener.start()
    typer.echo(f"listening on {settings.host}:{listener.port}")
    stopping.wait()
    listener.stop()
