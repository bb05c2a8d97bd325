"""The options that commands share, and how they become `Settings`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from node.store.settings import Settings

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of catalog, spool, queue and token.", show_default="overread-data", file_okay=False),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings as TOML; flags win over them.", show_default="none", dir_okay=False)
]
SERVED = Path("run") / "settings.json"
"""What `overread serve` wrote into its data folder: with no configuration given, the node that runs there is looked at."""
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]


def settings_from(config: Path | None = None, *, to: Sequence[str] = (), **flags: Any) -> Settings:
    """Build the settings of a command from its options.

    Parameters
    ----------
    config
        The file that ``--config`` names.
    to
        Destinations as ``NAME=AET@HOST:PORT``, beside those of the file.
    flags
        Fields of `node.store.settings.Settings` that were given as options; None where they were not.

    Raises
    ------
    ConfigurationError
        Where a file, key or value is wrong.
    """
    from node.store.settings import load_settings, parse_destination

    return load_settings(config, flags, destinations=[parse_destination(text) for text in to])


def settings_of_node(config: Path | None, data: Path | None) -> Settings:
    """The settings of a command that looks at a node, and does not start one.

    Raises
    ------
    ConfigurationError
        As `settings_from`, and where the data folder that was named is not there: a slip of the pen would look like a node
        without studies.
    """
    from node.store.errors import ConfigurationError

    if data is not None and not data.is_dir():
        raise ConfigurationError(f"there is no data folder {data}: name the one of the node with --data or --config")
    return settings_from(config, data=data)


def settings_as_served(config: Path | None, data: Path | None) -> tuple[Path | None, Settings]:
    """The settings of the node as it was last served from its data folder, where no file is named; and the file they are of.

    Raises
    ------
    ConfigurationError
        As `settings_from`.
    """
    settings = settings_from(config, data=data)
    served = settings.data / SERVED
    if config is not None or not served.is_file():
        return config, settings
    return served, settings_from(served, data=settings.data)
