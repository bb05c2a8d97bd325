"""``overread listen``: the listener as a process of its own."""

from __future__ import annotations

import signal
import threading

import typer

from node.commands.options import ConfigOption, DataOption, settings_from

app = typer.Typer()


@app.command()
def listen(
    config: ConfigOption = None,
    data: DataOption = None,
    ae_title: str | None = typer.Option(None, "--ae-title", help="AE title; other called titles are answered too."),
    host: str | None = typer.Option(None, "--host", help="Address to listen on."),
    port: int | None = typer.Option(None, "--port", help="Port to listen on; 0 lets the system choose."),
) -> None:
    """Receive images by C-STORE into the spool, and what is said about them, until Ctrl-C or SIGTERM."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())

    import logging

    from node.listener.listener import Listener
    from node.listener.services.table import Services
    from node.store.catalog.catalog import open_catalog
    from node.store.log import configure_logging

    settings = settings_from(config, data=data, ae_title=ae_title, host=host, port=port)
    configure_logging()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what matters of it is said by our own events
    catalog = open_catalog(settings)
    listener = Listener(settings, catalog.intake, Services(catalog.signals))
    try:
        listener.start()
        if settings.plain:
            typer.echo(f"listening on {settings.host}:{listener.port}")
        if settings.tls:
            typer.echo(f"listening on {settings.host}:{listener.tls_port} over TLS")
        while not stopping.wait(0.5):
            pass  # in pieces: a signal that the kernel gives to another thread is handled only when this one wakes
    finally:
        listener.stop()
        catalog.close()
