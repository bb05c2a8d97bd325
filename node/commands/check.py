"""``overread check``: what would not work, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from node.commands.options import ConfigOption, DataOption, JsonOption, settings_as_served

if TYPE_CHECKING:
    from node.check.verdict import Checked
    from node.store.settings import Settings

app = typer.Typer()


@app.command()
def check(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Look at configuration, destinations (C-ECHO), decoders, weights, disk; exit 1 if anything will not work."""
    from node.check.verdict import Level

    found = list(_look(config, data))
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False))
    else:
        _show(found)
    raise typer.Exit(1 if any(one.level is Level.FAULT for one in found) else 0)


def _look(config: Path | None, data: Path | None) -> Iterable[Checked]:
    from node.check.verdict import fault, ok
    from node.store.errors import OverreadError

    try:
        config, settings = settings_as_served(config, data)
    except OverreadError as wrong:
        yield fault(
            "configuration", str(config or "overread.toml"), str(wrong), "correct it; docs/configuration.md lists all keys"
        )
        return
    yield ok("configuration", str(config or "defaults"), f"AE title {settings.ae_title}, port {settings.sure_port}")
    for part in _parts():
        yield from part(settings)


def _parts() -> tuple[Callable[[Settings], Iterable[Checked]], ...]:
    from node.check.decoders import check_decoders
    from node.check.disk import check_disk
    from node.check.door import check_door
    from node.check.peers import check_archives, check_destinations, check_own_port, check_requestors
    from node.check.reading import check_models, check_rules
    from node.check.services import check_catalog, check_page, check_queue
    from node.check.tls import check_tls

    return (
        check_rules,
        check_destinations,
        check_archives,
        check_requestors,
        lambda _: check_decoders(),
        check_models,
        check_disk,
        check_catalog,
        check_queue,
        check_own_port,
        check_tls,
        check_door,
        check_page,
    )


def _show(found: list[Checked]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from node.check.verdict import Level

    signs = {Level.OK: "[green]ok[/]", Level.NOTE: "[yellow]note[/]", Level.FAULT: "[red]fault[/]"}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "Part", "What", "Found"):
        table.add_column(column, overflow="fold")
    for one in _shortened(found):
        to_do = f"\n[bold]{escape(one.to_do)}[/]" if one.to_do else ""
        table.add_row(signs[one.level], one.part, escape(one.subject), escape(one.says) + to_do)
    console = Console()
    console.print(table)
    faults = sum(one.level is Level.FAULT for one in found)
    console.print(f"[red]{faults} fault{'s' if faults > 1 else ''}[/]" if faults else "[green]all that was looked at works[/]")


def _shortened(found: list[Checked]) -> list[Checked]:
    """The decoders that are there in one row: a long list of good news hides the bad."""
    from node.check.verdict import Level, ok

    fine = [one for one in found if one.part == "decoder" and one.level is Level.OK]
    if len(fine) < 2:
        return found
    place = found.index(fine[0])
    together = ok("decoder", f"{len(fine)} transfer syntaxes", ", ".join(one.subject for one in fine))
    return [*found[:place], together, *(one for one in found[place:] if one not in fine)]
