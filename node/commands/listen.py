"""``overread listen``: the listener as a process of its own."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import typer

from node.commands.options import ConfigOption, DataOption, settings_from

if TYPE_CHECKING:
    from node.listener.doorway import Doors

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
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stopped.append(number))

    import logging

    from node.listener import crew
    from node.store.log import configure_logging

    settings = settings_from(config, data=data, ae_title=ae_title, host=host, port=port)
    configure_logging()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what matters of it is said by our own events
    if not crew.run(settings, lambda: bool(stopped), lambda doors: _announce(settings.host, doors)):
        typer.echo(
            "overread listen: one of its processes died, the others have ended what they had begun: start it again", err=True
        )
        raise typer.Exit(1)


def _announce(host: str, doors: Doors) -> None:
    if doors.plain:
        typer.echo(f"listening on {host}:{doors.port}")
    if doors.secured:
        typer.echo(f"listening on {host}:{doors.tls_port} over TLS")
