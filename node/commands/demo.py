"""``overread demo``: three real studies go in over DICOM, SEG and SR come back."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from node.demo.cases import Case
    from node.demo.play import Played
    from node.demo.show import Bars

app = typer.Typer()

NODE = "node, worker, archive"
QUIET_S = 2.0


@app.command()
def demo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Studies of your own, files or folders.", show_default="three public studies"),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.", file_okay=False)] = Path("demo-results"),
) -> None:
    """Start a node and an archive on loopback, send studies over DICOM, and show what comes back."""
    from rich.console import Console

    from node.demo.gallery import gallery
    from node.demo.show import show_pictures, show_results

    signal.signal(signal.SIGTERM, _interrupt)
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    try:
        played = _play(paths or [], out, console)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        raise typer.Exit(130) from None
    show_results(played, out, console)
    show_pictures(*gallery(played, out), console)
    raise typer.Exit(1 if any(one.faults for one in played) else 0)


def _play(paths: Sequence[Path], out: Path, console: Console) -> list[Played]:
    from node.demo.play import play
    from node.demo.show import Bars
    from node.demo.stage import Stage

    bars = Bars(console)
    with bars.progress:
        cases = _cases(paths, bars)
        bars.say(NODE, "starting", 0.1)
        with Stage(out, QUIET_S) as stage:
            bars.say(NODE, f"listening on port {stage.peer.port}", 1.0)
            return play(cases, stage, out, bars.tell)


def _cases(paths: Sequence[Path], bars: Bars) -> tuple[Case, ...]:
    from node.demo.collect import own_cases

    return own_cases(paths) if paths else _shipped_cases(bars)


def _shipped_cases(bars: Bars) -> tuple[Case, ...]:
    """The three public studies, fetched at first use."""
    from node.demo.cases import DOWNLOADS, shipped_cases
    from node.demo.stage import cache_folder
    from node.store.download import fetch
    from node.store.settings import load_settings

    title, files = "studies (pydicom-data 1.0.0)", {}
    mirror = load_settings().mirror
    for number, one in enumerate(DOWNLOADS):
        bars.say(title, one.name, number / len(DOWNLOADS))
        files[one.name] = fetch(one.source, one.sha256, cache_folder(), mirror)
    bars.say(title, "here", 1.0)
    return shipped_cases(files)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
