"""The command line: finds each folder's commands by the entry-point group ``overread.commands``, naming none."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any

import typer
from typer.core import TyperGroup

from node.store.errors import ConfigurationError, OverreadError
from node.store.nearest import nearest

GROUP = "overread.commands"


class LazyCommands(TyperGroup):
    """A group whose commands are imported when they are called (or listed)."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature; its Context is private
        return sorted(_commands())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        entry = _commands().get(cmd_name)
        if entry is None:
            raise ConfigurationError(f"there is no command {cmd_name}: {nearest(cmd_name, _commands())}")
        try:
            command = typer.main.get_command(entry.load())
        except ImportError as missing:
            raise ConfigurationError(f"command {cmd_name} cannot be loaded: {missing}") from missing
        command.name = cmd_name
        return command


def _commands() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


app = typer.Typer(cls=LazyCommands, no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


def _show_version(value: bool) -> None:
    if value:
        sys.stdout.write(f"overread {version('overread')}\n")
        raise typer.Exit


@app.callback()
def overread(
    _version: bool = typer.Option(False, "--version", help="Show the version.", callback=_show_version, is_eager=True),
) -> None:
    """Overread: an AI reader on the hospital's DICOM network."""


def main() -> None:
    """Run the command line; an error of ours is one line on standard error and exit status 2.

    Of any other the places are shown, and not the message: standard error is a log, and libraries quote values of headers.
    """
    try:
        app()
    except OverreadError as error:
        sys.stderr.write(f"overread: {error}\n")
        sys.exit(2)
    except Exception as fault:  # noqa: BLE001 - a fault of ours or of a library, reported as it may be
        import traceback

        from node.store.faults import tell

        sys.stderr.write("".join(traceback.format_tb(fault.__traceback__)))
        sys.stderr.write(f"overread: a fault in Overread, please report it with the lines above: {tell(fault)}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
