"""``overread send``: C-STORE files and folders to a peer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from node.store_scu import Verdict

app = typer.Typer()


@app.command()
def send(
    paths: list[Path] = typer.Argument(help="Files and folders, then the receiver.", metavar="PATH... AET@HOST:PORT"),
    ae_title: str = typer.Option("OVERREAD", "--ae-title", help="AE title to call with."),
    timeout_s: float = typer.Option(60.0, "--timeout", help="Seconds to wait for each step of the receiver."),
    tls: bool = typer.Option(False, "--tls", help="Call over TLS; implied by the options below."),
    ca: Path | None = typer.Option(None, "--ca", help="CA certificates (PEM) to trust.", show_default="the system's"),
    certificate: Path | None = typer.Option(None, "--certificate", help="Our client certificate (PEM)."),
    key: Path | None = typer.Option(None, "--key", help="Its private key (PEM)."),
    tls_name: str | None = typer.Option(None, "--tls-name", help="Name in the receiver's certificate.", show_default="HOST"),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Show only what was not stored, and warnings."),
) -> None:
    """Send DICOM files as they are; says what became of each, exit status 1 if any was not stored."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track

    from node.store.errors import ConfigurationError
    from node.store.settings import parse_peer
    from node.store_scu import StoreScu

    if len(paths) < 2:
        raise ConfigurationError("name the files or folders to send, then the receiver as AET@HOST:PORT")
    files_of_tls = {"ca": ca, "certificate": certificate, "key": key, "tls_name": tls_name}
    given = {name: value for name, value in files_of_tls.items() if value is not None}
    peer = parse_peer(str(paths[-1]), **({"tls": True, **given} if tls or given else {}))
    console = Console()
    files, skipped = _collect(paths[:-1])
    for path in skipped:
        console.print(f"[dim]skipped[/]     {escape(str(path))} [dim]is not DICOM[/]", highlight=False, soft_wrap=True)
    stored = failed = 0
    verdicts = StoreScu(peer, ae_title, timeout_s=timeout_s).send(files)
    for verdict in track(verdicts, total=len(files), description=escape(f"to {peer}"), console=console, transient=True):
        stored, failed = stored + verdict.stored, failed + (not verdict.stored)
        _show(console, verdict, quiet=quiet)
    console.print(f"{stored} stored, {failed} not stored, {len(skipped)} skipped", highlight=False)
    if failed or not stored:
        raise typer.Exit(1)


def _show(console: Console, verdict: Verdict, *, quiet: bool) -> None:
    from rich.markup import escape

    if verdict.stored and not verdict.status:
        word, colour = "stored", "green"
        if quiet:
            return
    elif verdict.stored:
        word, colour = "warning", "yellow"
    else:
        word, colour = "not stored", "red"
    note = "" if verdict.stored and not verdict.status else f": {verdict.reason}"
    console.print(f"[{colour}]{word:<11}[/] {escape(f'{verdict.path}{note}')}", highlight=False, soft_wrap=True)


def _collect(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Files to send, and files in folders that are not DICOM. A file that was named is always tried, and judged."""
    from node.store.errors import ConfigurationError

    files: list[Path] = []
    skipped: list[Path] = []
    for path in paths:
        if path.is_dir():
            for each in _files_below(path):
                (files if _looks_like_dicom(each) else skipped).append(each)
        elif path.exists():
            files.append(path)
        else:
            raise ConfigurationError(f"{path} does not exist")
    return files, skipped


def _files_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _looks_like_dicom(path: Path) -> bool:
    from node.store.errors import NotUnderstood
    from node.store_scu import read_letter

    try:
        return read_letter(path).head.sop_class_uid != "1.2.840.10008.1.3.10"  # a DICOMDIR is an index, not an object
    except NotUnderstood:
        return False
