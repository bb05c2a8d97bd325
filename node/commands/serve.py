"""``overread serve``: everything on one machine, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from node.commands.options import ConfigOption, DataOption, settings_from

if TYPE_CHECKING:
    from pathlib import Path

    from node.dispatch.supervisor import Supervisor
    from node.store.settings import Settings

app = typer.Typer()

_READY_WITHIN_S: Final = 60.0
"""Seconds after which a node that still does not accept associations is said to have failed."""

_SETTLES_S: Final = 30.0
"""Seconds after the start in which a part that cannot use the settings ends the node; later it is only started again."""


@app.command()
def serve(
    config: ConfigOption = None,
    data: DataOption = None,
    ae_title: Annotated[str | None, typer.Option("--ae-title", help="Our AE title.", show_default="OVERREAD")] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to accept images on.", show_default="0.0.0.0")] = None,  # noqa: S104
    port: Annotated[int | None, typer.Option("--port", help="Its port; 0: any that is free.", show_default="11112")] = None,
    http: Annotated[str | None, typer.Option("--http", help="HOST:PORT of the page.", show_default="127.0.0.1:8042")] = None,
    quiet: Annotated[
        float | None,
        typer.Option("--quiet", help="Seconds without a new image after which a study is complete.", show_default="10"),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", help="NAME=AET@HOST:PORT, NAME=https://… or NAME=/FOLDER; repeatable."),
    ] = None,
) -> None:
    """Receive studies, read them and send the results, all on this machine, until Ctrl-C or SIGTERM."""
    from node.dispatch.premises import lock_data_folder, settle
    from node.dispatch.supervisor import Supervisor

    flags = {"data": data, "ae_title": ae_title, "host": host, "port": port, "http": http, "quiet_s": quiet}
    settings = settings_from(config, to=to or (), **flags)
    with lock_data_folder(settings.data):
        settings, told = settle(settings)
        stopped: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _frame: stopped.append(number))
        supervisor = Supervisor(_environment(), settings.limits.drain_s, _report)
        try:
            status = _tend(supervisor, settings, told, stopped)
        finally:
            supervisor.stop("listen", "dispatch", "page", "work")
            supervisor.stop()  # the queue, last
    sys.exit(status)


def _report(event: str, **values: object) -> None:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    sys.stderr.write(f"{at} {event} " + " ".join(f"{key}={value}" for key, value in values.items()) + "\n")


def _environment() -> dict[str, str]:
    """Ours, without what would win over the settings that the parts are given."""
    import os

    return {key: value for key, value in os.environ.items() if key not in {"OVERREAD_DATA", "OVERREAD_CONFIG", "OVERREAD_MIRROR"}}


def _start_first(supervisor: Supervisor, settings: Settings, told: Path) -> None:
    """The listener, for a PACS may be waiting, and the queue, which costs nothing; the rest when images are accepted."""
    from node.dispatch.supervisor import Part, overread_command

    supervisor.start(Part("listen", overread_command("listen", "--config", str(told))))
    if settings.queue_url is None:
        supervisor.start(Part("queue", (sys.executable, "-P", "-m", "node.dispatch.embedded", str(settings.data))))


def _start_rest(supervisor: Supervisor, told: Path) -> None:
    from node.dispatch.supervisor import Part, overread_command

    for name in ("dispatch", "page"):
        supervisor.start(Part(name, overread_command(name, "--config", str(told))))
    # A worker that was asked to end would first end its job, without a queue or anybody who waits for it: its lease covers that.
    supervisor.start(Part("work", overread_command("work", "--config", str(told)), signal.SIGKILL))


def _tend(supervisor: Supervisor, settings: Settings, told: Path, stopped: list[int]) -> int:
    """Start the parts and keep them until a signal comes; return the exit status."""
    from node.dispatch.premises import accepts

    _start_first(supervisor, settings, told)
    deadline = time.monotonic() + _READY_WITHIN_S
    while not stopped and not accepts(settings.host, settings.sure_port):
        supervisor.tend()
        if _misconfigured(supervisor):
            return 2
        if time.monotonic() > deadline:
            sys.stderr.write(f"overread: nothing accepts on port {settings.sure_port}; what the listener said is above\n")
            return 1
        time.sleep(0.05)
    if not stopped:
        _start_rest(supervisor, told)
        _announce(settings)
    settled_at = time.monotonic() + _SETTLES_S
    while not stopped:
        supervisor.tend()
        if time.monotonic() < settled_at and _misconfigured(supervisor):
            return 2
        time.sleep(0.2)
    return 0


def _misconfigured(supervisor: Supervisor) -> bool:
    name = supervisor.misconfigured()
    if name:
        sys.stderr.write(f"overread: {name} cannot start with these settings; what it said is above\n")
    return name is not None


def _ports(settings: Settings) -> str:
    plain = [f"port {settings.port}"] if settings.plain else []
    return " and ".join([*plain, *([f"port {settings.tls.port} over TLS"] if settings.tls else [])])


def _announce(settings: Settings) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.panel import Panel

    destinations = "\n".join(f"  {escape(f'{one.name}  {one}')}" for one in settings.destinations)
    Console().print(
        Panel(
            f"[bold]{escape(settings.ae_title)}[/bold] accepts images on {escape(settings.host)} {_ports(settings)}\n"
            f"page   http://{escape(settings.http)}/  [dim]token in {escape(str(settings.data / 'page-token'))}[/dim]\n"
            + (f"results go to\n{destinations}" if destinations else "results go nowhere yet: add --to NAME=AET@HOST:PORT")
            + "\n[dim]Ctrl-C stops it[/dim]",
            title="Overread",
            expand=False,
        )
    )
    sys.stdout.flush()
